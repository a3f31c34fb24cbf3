package extract

import (
	"fmt"
	"unicode/utf8"
)

// rowEncoder makes records of rows. Its buffers are used again for each.
type rowEncoder struct {
	columns []column
	null    string
	empty   string
	record  []byte
}

// wrong is why a row is rejected: the reason, and the column it is about, or -1
// when it is about the record as a whole.
type wrong struct {
	*reason
	column int
}

func newRowEncoder(q *Query) *rowEncoder {
	return &rowEncoder{columns: q.columns, null: q.spec.Null, empty: q.spec.Empty}
}

// encode makes the record of a row, its line end included. It is valid until the
// next call, and only if nothing is wrong.
func (e *rowEncoder) encode(row [][]byte) ([]byte, wrong) {
	record := e.record[:0]
	for i := range e.columns {
		c := &e.columns[i]
		if i > 0 {
			record = append(record, ',')
		}
		switch {
		case c.Index < 0:
			record = append(record, c.cell...)
		case row[c.Index] == nil:
			record = append(record, e.null...)
		default:
			var why *reason
			if record, why = e.appendCell(record, c, row[c.Index]); why != nil {
				e.record = record
				return nil, wrong{why, i}
			}
		}
	}
	if len(record) == 0 {
		// A CSV reader would skip an empty line.
		record = append(record, `""`...)
	}
	record = append(record, '\n')
	e.record = record
	if len(record) > maxFieldChars {
		return record, e.checkSize(row)
	}
	return record, wrong{}
}

// appendCell appends a value as it stands in the CSV.
func (e *rowEncoder) appendCell(record []byte, c *column, raw []byte) ([]byte, *reason) {
	start := len(record)
	record, why := c.encode(record, raw)
	if why != nil {
		return record, why
	}
	quote := false
	if c.text {
		if record, quote, why = checkCell(record, start); why != nil {
			return record, why
		}
		if len(record) == start {
			return append(record, e.empty...), nil
		}
	}
	if c.MaxChars > 0 && len(record)-start > c.MaxChars {
		// As many bytes may be fewer characters.
		if chars := utf8.RuneCount(record[start:]); chars > c.MaxChars {
			return record, tooLong(chars, c.MaxChars)
		}
	}
	if quote {
		record = quoteFrom(record, start)
	}
	return record, nil
}

// checkCell mends the line ends of the text from start on, says why it cannot be
// sent, and whether it needs quotes.
func checkCell(record []byte, start int) (_ []byte, quote bool, _ *reason) {
	value := record[start:]
	if isPlain(value) {
		if string(value) == nullMarker {
			return record, false, checkText(value)
		}
		return record, false, nil
	}
	value = unixLines(value)
	return record[:start+len(value)], needsQuotes(value), checkText(value)
}

// checkSize checks the limits in characters, which only a record of more bytes
// can exceed.
func (e *rowEncoder) checkSize(row [][]byte) wrong {
	total := 0
	for i := range e.columns {
		value, null := e.plainValue(i, row)
		if null {
			continue
		}
		chars := utf8.RuneCount(value)
		if chars > maxFieldChars {
			return wrong{&reason{codeRecordTooLarge, fmt.Sprintf("value has %d characters, Salesforce takes at most %d in a field", chars, maxFieldChars)}, i}
		}
		total += chars
	}
	if total > maxRecordChars {
		return wrong{&reason{codeRecordTooLarge, fmt.Sprintf("the record has %d characters, Salesforce takes at most %d", total, maxRecordChars)}, -1}
	}
	return wrong{}
}

// plainValue is the value of a column without quotes, for rows that are not sent.
func (e *rowEncoder) plainValue(i int, row [][]byte) (value []byte, null bool) {
	c := &e.columns[i]
	if c.Index < 0 {
		return []byte(c.Const), c.ConstNull
	}
	if row[c.Index] == nil {
		return nil, true
	}
	value, _ = c.encode(nil, row[c.Index])
	if c.text {
		value = unixLines(value)
	}
	return value, false
}

func tooLong(chars, limit int) *reason {
	return &reason{codeStringTooLong, fmt.Sprintf("value has %d characters, the field holds %d", chars, limit)}
}
