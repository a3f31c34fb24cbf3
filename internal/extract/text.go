package extract

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"unicode"
	"unicode/utf8"
)

func appendText(dst, raw []byte) ([]byte, *reason) {
	return append(dst, raw...), nil
}

// appendChar appends a char(n) without the blanks that fill it up, which mean
// nothing.
func appendChar(dst, raw []byte) ([]byte, *reason) {
	return append(dst, bytes.TrimRight(raw, " ")...), nil
}

func appendUUID(dst, raw []byte) ([]byte, *reason) {
	if len(raw) != 16 {
		return malformed(dst, codeInvalidText, "uuid")
	}
	var text [36]byte
	hex.Encode(text[:], raw[:4])
	hex.Encode(text[9:], raw[4:6])
	hex.Encode(text[14:], raw[6:8])
	hex.Encode(text[19:], raw[8:10])
	hex.Encode(text[24:], raw[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return append(dst, text[:]...), nil
}

func appendBase64(dst, raw []byte) ([]byte, *reason) {
	return base64.StdEncoding.AppendEncode(dst, raw), nil
}

// keyBytea appends what Postgres reads back as the same bytes.
func keyBytea(dst, raw []byte) ([]byte, *reason) {
	return hex.AppendEncode(append(dst, `\x`...), raw), nil
}

// arrayOf returns the encoder of arrays for multi-select picklists: the elements
// joined by ";". NULL and empty elements choose nothing and are left out.
func arrayOf(element encoder) encoder {
	return func(dst, raw []byte) ([]byte, *reason) {
		elements, why := arrayElements(raw)
		if why != nil {
			return dst, why
		}
		start := len(dst)
		for len(elements) > 0 {
			var item []byte
			if item, elements, why = nextElement(elements); why != nil {
				return dst, why
			}
			if item == nil {
				continue
			}
			if dst, why = appendElement(dst, start, item, element); why != nil {
				return dst, why
			}
		}
		return dst, nil
	}
}

// appendElement appends one element, after a ";" unless it is the first.
func appendElement(dst []byte, start int, item []byte, element encoder) ([]byte, *reason) {
	before := len(dst)
	if before > start {
		dst = append(dst, ';')
	}
	at := len(dst)
	dst, why := element(dst, item)
	switch {
	case why != nil:
		return dst, why
	case len(dst) == at:
		return dst[:before], nil
	case bytes.IndexByte(dst[at:], ';') >= 0:
		return dst, &reason{codeInvalidMultiselect, "an element of the array holds a semicolon, which separates the values of a multi-select picklist"}
	}
	return dst, nil
}

// arrayElements checks the head of a binary array (src/backend/utils/adt/
// arrayfuncs.c, array_send) and returns what follows it.
func arrayElements(raw []byte) ([]byte, *reason) {
	const head, perDimension = 12, 8
	if len(raw) < head {
		_, why := malformed(nil, codeInvalidMultiselect, "array")
		return nil, why
	}
	switch dimensions := binary.BigEndian.Uint32(raw); {
	case dimensions == 0:
		return nil, nil
	case dimensions > 1:
		return nil, &reason{codeInvalidMultiselect, "the array has more than one dimension; a multi-select picklist is a plain list"}
	case len(raw) < head+perDimension:
		_, why := malformed(nil, codeInvalidMultiselect, "array")
		return nil, why
	}
	return raw[head+perDimension:], nil
}

// nextElement splits the first element off; it is nil for a NULL.
func nextElement(elements []byte) (item, rest []byte, why *reason) {
	if len(elements) >= 4 {
		n := int32(binary.BigEndian.Uint32(elements))
		rest = elements[4:]
		if n == -1 {
			return nil, rest, nil
		}
		if n >= 0 && int(n) <= len(rest) {
			return rest[:n:n], rest[n:], nil
		}
	}
	_, why = malformed(nil, codeInvalidMultiselect, "array")
	return nil, nil, why
}

// isPlain reports whether a text is ASCII without control characters, quotes and
// commas, and so stands in a CSV as it is. It looks at eight bytes at a time: of
// an ASCII byte, taking away 0x20 borrows into the top bit if it is a control
// character, and taking away 1 after XOR with a character does if it is that
// character. What one byte borrows from the next spoils only a word that holds
// such a byte already.
func isPlain(s []byte) bool {
	const (
		ones   = 0x0101010101010101
		tops   = 0x80 * ones
		blanks = ' ' * ones
		quotes = '"' * ones
		commas = ',' * ones
	)
	for len(s) >= 8 {
		x := binary.LittleEndian.Uint64(s)
		if (x|(x-blanks)|((x^quotes)-ones)|((x^commas)-ones))&tops != 0 {
			return false
		}
		s = s[8:]
	}
	for _, c := range s {
		if c < ' ' || c >= utf8.RuneSelf || c == '"' || c == ',' {
			return false
		}
	}
	return true
}

// unixLines turns CRLF and CR into LF, in place: a CR inside quotes makes
// Salesforce refuse the whole job whose line ending is LF.
func unixLines(s []byte) []byte {
	i := bytes.IndexByte(s, '\r')
	if i < 0 {
		return s
	}
	out := s[:i]
	for ; i < len(s); i++ {
		c := s[i]
		if c == '\r' {
			if i+1 < len(s) && s[i+1] == '\n' {
				continue
			}
			c = '\n'
		}
		out = append(out, c)
	}
	return out
}

// checkText says why a text cannot stand in the CSV.
func checkText(s []byte) *reason {
	switch {
	case bytes.IndexByte(s, 0) >= 0:
		return &reason{codeInvalidText, "text holds a NUL character, which Salesforce cannot read"}
	case !utf8.Valid(s):
		return &reason{codeInvalidText, "text is not valid UTF-8"}
	case string(s) == nullMarker:
		return &reason{codeNullMarkerText, "text is exactly #N/A, which Salesforce takes for a null and not for a text"}
	}
	return nil
}

// needsQuotes reports whether a CSV field has to stand in quotes.
func needsQuotes(s []byte) bool {
	return bytes.IndexByte(s, ',') >= 0 || bytes.IndexByte(s, '"') >= 0 || bytes.IndexByte(s, '\n') >= 0
}

// quoteFrom puts what follows start into quotes, in place.
func quoteFrom(record []byte, start int) []byte {
	end := len(record)
	grow := 2 + bytes.Count(record[start:], []byte{'"'})
	record = slices.Grow(record, grow)[:end+grow]
	to := end + grow - 1
	record[to] = '"'
	for from := end - 1; from >= start; from-- {
		to--
		record[to] = record[from]
		if record[from] == '"' {
			to--
			record[to] = '"'
		}
	}
	record[start] = '"'
	return record
}

// appendFolded appends s with letters that differ in case only made the same.
func appendFolded(dst, s []byte) []byte {
	for len(s) > 0 {
		if c := s[0]; c < utf8.RuneSelf {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			dst, s = append(dst, c), s[1:]
			continue
		}
		r, size := utf8.DecodeRune(s)
		dst = utf8.AppendRune(dst, unicode.ToLower(unicode.ToUpper(r)))
		s = s[size:]
	}
	return dst
}
