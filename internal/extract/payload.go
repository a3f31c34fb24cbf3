package extract

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// payloadChars is how much of a value that is too large stands in a payload.
const payloadChars = 1000

// payload is what would have been sent of a row, as a JSON object.
func (e *rowEncoder) payload(row [][]byte, why wrong) []byte {
	object := []byte{'{'}
	for i := range e.columns {
		if i > 0 {
			object = append(object, ',')
		}
		object = appendJSONString(object, []byte(e.columns[i].Header))
		object = append(object, ':')
		value, null := e.plainValue(i, row)
		if null {
			object = append(object, "null"...)
			continue
		}
		value = bytes.ToValidUTF8(value, []byte("\uFFFD"))
		if why.tooLarge(i) {
			value = cut(value)
		}
		object = appendJSONString(object, value)
	}
	return append(object, '}')
}

// tooLarge reports whether the size of a column's value is what is wrong.
func (w wrong) tooLarge(column int) bool {
	if w.code != codeStringTooLong && w.code != codeRecordTooLarge {
		return false
	}
	return w.column == column || w.column < 0
}

// cut shortens a value that is long, and says so.
func cut(value []byte) []byte {
	chars := utf8.RuneCount(value)
	if chars <= payloadChars {
		return value
	}
	end := 0
	for range payloadChars {
		_, size := utf8.DecodeRune(value[end:])
		end += size
	}
	return fmt.Appendf(bytes.Clone(value[:end]), "… (cut here; the value has %d characters)", chars)
}
