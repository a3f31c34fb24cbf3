package emulator

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// csvReader cuts a CSV into records without copying them. It knows only what
// decides where a record ends; what a record holds is for split.
type csvReader struct {
	src        io.Reader
	buf        []byte
	start, end int   // of what is read and not yet given out
	offset     int64 // of start in the file
	eof        bool
	unended    bool // the last record had no line break
}

const (
	csvBuffer = 64 << 10
	// csvMaxRecord bounds a record whose quote is never closed. Salesforce
	// allows 400,000 characters, of up to four bytes.
	csvMaxRecord = 4 << 20
)

// errOpenQuote is a record that has no end.
var errOpenQuote = errors.New("quote is never closed")

func newCSVReader(src io.Reader, offset int64) *csvReader {
	return &csvReader{src: src, buf: make([]byte, csvBuffer), offset: offset}
}

// next returns the next record up to and without its LF, valid until the next
// call. A CR before it is part of the record: whether it belongs to the line's
// end is a question of the job's setting. io.EOF ends the file.
func (c *csvReader) next() ([]byte, error) {
	seen, quotes := 0, 0
	for {
		window := c.buf[c.start:c.end]
		nl := bytes.IndexByte(window[seen:], '\n')
		for nl >= 0 {
			quotes += bytes.Count(window[seen:seen+nl], quoteMark)
			seen += nl
			if quotes%2 == 0 {
				c.start += seen + 1
				c.offset += int64(seen + 1)
				return window[:seen], nil
			}
			seen++
			nl = bytes.IndexByte(window[seen:], '\n')
		}
		quotes += bytes.Count(window[seen:], quoteMark)
		seen = len(window)
		if c.eof {
			return c.last(window, quotes)
		}
		if seen > csvMaxRecord {
			return window, errOpenQuote
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

var quoteMark = []byte{'"'}

// last gives out what follows the last line break.
func (c *csvReader) last(window []byte, quotes int) ([]byte, error) {
	if len(window) == 0 {
		return nil, io.EOF
	}
	c.start, c.unended = c.end, true
	c.offset += int64(len(window))
	if quotes%2 != 0 {
		return window, errOpenQuote
	}
	return window, nil
}

// atEnd reports whether the record just given out was the last and had no line
// break behind it.
func (c *csvReader) atEnd() bool { return c.unended }

// fill reads more behind what is kept, making room first.
func (c *csvReader) fill() error {
	if c.start > 0 {
		c.end = copy(c.buf, c.buf[c.start:c.end])
		c.start = 0
	}
	if c.end == len(c.buf) {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	n, err := c.src.Read(c.buf[c.end:])
	c.end += n
	if errors.Is(err, io.EOF) {
		c.eof = true
		return nil
	}
	return err
}

// quoting is what split found wrong with a record's quotes.
type quoting uint8

const (
	quotesFine   quoting = iota
	quotesSpaced         // a blank between a quote and its delimiter: the row's fault
	quotesBroken         // an unescaped quote: the whole file's fault
)

// split appends the bytes of a record's values to text, unquoted, and the end
// of each to ends.
func split(text []byte, ends []int, record []byte, delimiter byte) ([]byte, []int, quoting) {
	if bytes.IndexByte(record, '"') < 0 {
		for {
			i := bytes.IndexByte(record, delimiter)
			if i < 0 {
				text = append(text, record...)
				return text, append(ends, len(text)), quotesFine
			}
			text = append(text, record[:i]...)
			ends = append(ends, len(text))
			record = record[i+1:]
		}
	}
	fault := quotesFine
	for {
		var found quoting
		var more bool
		text, record, more, found = splitValue(text, record, delimiter)
		fault = max(fault, found)
		ends = append(ends, len(text))
		if !more {
			return text, ends, fault
		}
	}
}

// splitValue cuts the first value off a record; more tells that a delimiter
// followed it.
func splitValue(text, record []byte, delimiter byte) (out, rest []byte, more bool, fault quoting) {
	if len(record) == 0 || record[0] != '"' {
		value, rest, more := cutByte(record, delimiter)
		if bytes.IndexByte(value, '"') >= 0 {
			fault = bareQuote(value)
		}
		return append(text, value...), rest, more, fault
	}
	record = record[1:]
	for {
		i := bytes.IndexByte(record, '"')
		if i < 0 {
			return append(text, record...), nil, false, quotesBroken
		}
		text = append(text, record[:i]...)
		record = record[i+1:]
		if len(record) == 0 {
			return text, nil, false, quotesFine
		}
		if record[0] != '"' {
			break
		}
		text = append(text, '"')
		record = record[1:]
	}
	if record[0] == delimiter {
		return text, record[1:], true, quotesFine
	}
	// Something stands between the closing quote and the delimiter.
	junk, rest, more := cutByte(record, delimiter)
	fault = quotesBroken
	if len(bytes.Trim(junk, " \t")) == 0 {
		fault = quotesSpaced
	}
	return text, rest, more, fault
}

// bareQuote judges a value with a quote in it that does not begin with one.
func bareQuote(value []byte) quoting {
	if trimmed := bytes.TrimLeft(value, " \t"); len(trimmed) < len(value) && trimmed[0] == '"' {
		return quotesSpaced
	}
	return quotesBroken
}

func cutByte(s []byte, at byte) (before, after []byte, found bool) {
	if i := bytes.IndexByte(s, at); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, nil, false
}

// appendQuoted appends a value the way results print every value.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			dst = append(dst, s...)
			return append(dst, '"')
		}
		dst = append(dst, s[:i+1]...)
		dst = append(dst, '"')
		s = s[i+1:]
	}
}
