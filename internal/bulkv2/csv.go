package bulkv2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	firstBuffer = 128 << 10
	maxRecord   = 8 << 20 // a record may hold 400,000 characters; what is longer than this is no record
)

// scanner splits CSV into records.
//
// encoding/csv is not used because it turns CRLF inside a value into LF, and because its lenient mode loses the place
// when a quote inside a value is not doubled, which has been seen in sf__Error.
type scanner struct {
	r         io.Reader
	delimiter byte

	buf    []byte
	lo, hi int   // buf[lo:hi] has been read and not been consumed
	eof    bool  // there is nothing after hi
	failed error // a read error other than io.EOF
	start  bool  // nothing has been consumed

	spans  []span
	values []string
}

// span is a value within buf, without the quotes around it.
type span struct {
	lo, hi int
	quotes bool // it holds quotes, doubled or not
}

func newScanner(r io.Reader, delimiter byte) *scanner {
	return &scanner{r: r, delimiter: delimiter, start: true}
}

// errMore says that the record does not end within what has been read.
var errMore = errors.New("more data is needed")

// errOpenQuote says that the data ends within a quoted value.
var errOpenQuote = fmt.Errorf("ends within a quoted value: %w", io.ErrUnexpectedEOF)

// record returns the next record, of so many columns, or of any number when columns is 0. It returns io.EOF at the end.
func (s *scanner) record(columns int) ([]string, error) {
	if err := s.skipBlank(); err != nil {
		return nil, err
	}
	end, err := s.complete(s.split)
	if err != nil || columns > 0 && len(s.spans) != columns {
		end, err = s.repair(columns, end, err)
	}
	if err != nil {
		return nil, err
	}
	s.take(end)
	return s.values, nil
}

// repair splits a record again that does not have the right number of values, with the rule that holds for results: as
// all values are quoted, a quote ends a value only where the next value begins with one.
func (s *scanner) repair(columns, end int, cause error) (int, error) {
	if cause != nil && !errors.Is(cause, errOpenQuote) {
		return 0, cause
	}
	got, short := len(s.spans), s.eof && end == s.hi && !bytes.HasSuffix(s.buf[:s.hi], []byte("\n"))
	if columns > 0 && s.buf[s.lo] == '"' {
		if again, err := s.complete(s.splitQuoted); err == nil && len(s.spans) == columns {
			return again, nil
		}
	}
	switch {
	case cause != nil:
		return 0, cause
	case short && got < columns:
		return 0, fmt.Errorf("ends after %d of %d values: %w", got, columns, io.ErrUnexpectedEOF)
	}
	return 0, fmt.Errorf("%d values, want %d", got, columns)
}

// complete calls split, reading on until the record is within the buffer.
func (s *scanner) complete(split func() (int, error)) (int, error) {
	for {
		end, err := split()
		if !errors.Is(err, errMore) {
			return end, err
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
}

// skipBlank moves to the next record: over a byte order mark at the very start, and over empty lines.
func (s *scanner) skipBlank() error {
	for {
		rest := s.buf[s.lo:s.hi]
		switch {
		case !s.eof && len(rest) < 3:
			if err := s.fill(); err != nil {
				return err
			}
		case s.start && bytes.HasPrefix(rest, []byte("\xEF\xBB\xBF")):
			s.lo += 3
			s.start = false
		case len(rest) == 0:
			return io.EOF
		case rest[0] == '\n':
			s.lo++
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			s.lo += 2
		default:
			s.start = false
			return nil
		}
	}
}

// fill reads more, and makes room for it.
func (s *scanner) fill() error {
	if s.failed != nil {
		return s.failed
	}
	if s.lo > 0 {
		s.hi = copy(s.buf, s.buf[s.lo:s.hi])
		s.lo = 0
	}
	if s.hi == len(s.buf) {
		if len(s.buf) >= maxRecord {
			return fmt.Errorf("more than %d bytes long", maxRecord)
		}
		s.buf = append(s.buf, make([]byte, max(firstBuffer, len(s.buf)))...)
	}
	n, err := s.r.Read(s.buf[s.hi:])
	s.hi += n
	switch {
	case errors.Is(err, io.EOF):
		s.eof = true
	case err != nil && n == 0:
		s.failed = err
		return err
	case err != nil: // what came with it comes first
		s.failed = err
	}
	return nil
}

// split finds the values of the record at lo, and returns where the next one begins.
func (s *scanner) split() (int, error) {
	s.spans = s.spans[:0]
	for at := s.lo; ; {
		var next int
		var v span
		var err error
		if at < s.hi && s.buf[at] == '"' {
			v, next, err = s.quoted(at + 1)
		} else {
			v, next, err = s.bare(at)
		}
		if err != nil {
			return 0, err
		}
		s.spans = append(s.spans, v)
		if next >= s.hi || s.buf[next] != s.delimiter {
			return s.afterLineEnd(next), nil
		}
		at = next + 1
		if at == s.hi && !s.eof {
			return 0, errMore
		}
	}
}

func (s *scanner) afterLineEnd(at int) int {
	if at < s.hi && s.buf[at] == '\r' {
		at++
	}
	if at < s.hi && s.buf[at] == '\n' {
		at++
	}
	return at
}

// bare finds the end of a value without quotes.
func (s *scanner) bare(at int) (v span, next int, err error) {
	for i := at; i < s.hi; i++ {
		switch s.buf[i] {
		case s.delimiter:
			return span{lo: at, hi: i}, i, nil
		case '\n':
			end := i
			if end > at && s.buf[end-1] == '\r' {
				end--
			}
			return span{lo: at, hi: end}, end, nil
		}
	}
	if !s.eof {
		return span{}, 0, errMore
	}
	return span{lo: at, hi: s.hi}, s.hi, nil
}

// quoted finds the end of a value whose quote stands before at. A quote that is neither doubled nor followed by what
// can follow a value belongs to the value; once there has been such a quote, a doubled one before the end of the value
// is taken for two: the value's own and the closing one.
func (s *scanner) quoted(at int) (v span, next int, err error) {
	v.lo = at
	sloppy := false
	for i := at; ; {
		q := bytes.IndexByte(s.buf[i:s.hi], '"')
		if q < 0 {
			return v, 0, s.unfinished()
		}
		i += q
		switch ends, known := s.endsValue(i + 1); {
		case !known:
			return v, 0, errMore
		case ends:
			v.hi = i
			return v, i + 1, nil
		}
		v.quotes = true
		if s.buf[i+1] != '"' {
			sloppy = true
			i++
			continue
		}
		if sloppy {
			switch ends, known := s.endsValue(i + 2); {
			case !known:
				return v, 0, errMore
			case ends:
				v.hi = i + 1
				return v, i + 2, nil
			}
		}
		i += 2
	}
}

// endsValue reports whether a quote before at can be a closing one by what stands at at, and whether enough has been
// read to know.
func (s *scanner) endsValue(at int) (ends, known bool) {
	switch {
	case at >= s.hi:
		return s.eof, s.eof
	case s.buf[at] == s.delimiter, s.buf[at] == '\n':
		return true, true
	case s.buf[at] != '\r':
		return false, true
	case at+1 >= s.hi:
		return s.eof, s.eof
	}
	return s.buf[at+1] == '\n', true
}

func (s *scanner) unfinished() error {
	if s.eof {
		return errOpenQuote
	}
	return errMore
}

// splitQuoted is split for a record all of whose values are quoted, and some of whose quotes may not be doubled.
func (s *scanner) splitQuoted() (int, error) {
	s.spans = s.spans[:0]
	v := span{lo: s.lo + 1}
	for i := v.lo; ; {
		q := bytes.IndexByte(s.buf[i:s.hi], '"')
		if q < 0 {
			return 0, s.unfinished()
		}
		i += q
		if i+4 >= s.hi && !s.eof { // the rules below look three bytes ahead
			return 0, errMore
		}
		switch {
		case s.endsRecord(i + 1):
			v.hi = i
			s.spans = append(s.spans, v)
			return s.afterLineEnd(i + 1), nil
		case s.beginsNext(i + 1):
			v.hi = i
			s.spans = append(s.spans, v)
			i += 3
			v = span{lo: i}
		case s.buf[i+1] == '"' && !s.endsRecord(i+2) && !s.beginsNext(i+2):
			v.quotes = true
			i += 2
		default:
			v.quotes = true
			i++
		}
	}
}

// endsRecord reports whether a line end, or the end of the data, stands at at.
func (s *scanner) endsRecord(at int) bool {
	rest := s.buf[at:s.hi]
	return len(rest) == 0 || rest[0] == '\n' || len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n'
}

// beginsNext reports whether a delimiter and the quote of another value stand at at.
func (s *scanner) beginsNext(at int) bool {
	rest := s.buf[at:s.hi]
	return len(rest) > 1 && rest[0] == s.delimiter && rest[1] == '"'
}

// take makes the values of the record that ends at end, and consumes it. One string holds them all.
func (s *scanner) take(end int) {
	for i, v := range s.spans {
		if v.quotes {
			s.spans[i].hi = v.lo + undouble(s.buf[v.lo:v.hi])
		}
	}
	text := string(s.buf[s.lo:end])
	s.values = s.values[:0]
	for _, v := range s.spans {
		s.values = append(s.values, text[v.lo-s.lo:v.hi-s.lo])
	}
	s.lo = end
}

// undouble makes two quotes one, in place, and returns the new length.
func undouble(b []byte) int {
	n := 0
	for i := 0; i < len(b); i++ {
		b[n] = b[i]
		n++
		if b[i] == '"' && i+1 < len(b) && b[i+1] == '"' {
			i++
		}
	}
	return n
}
