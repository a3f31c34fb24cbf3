package reconcile

import (
	"bytes"
	"math"
)

// splitter takes records of a chunk's CSV apart. The chunk is our own writing: comma, LF, quotes
// doubled. It keeps its buffers, so the fields are valid until the next record.
type splitter struct {
	fields  [][]byte
	scratch []byte
}

// split returns the fields of one record, unquoted.
func (s *splitter) split(record []byte) [][]byte { return s.first(record, math.MaxInt) }

// first returns the first n fields of one record, or all where it has fewer, unquoted.
func (s *splitter) first(record []byte, n int) [][]byte {
	record = bytes.TrimSuffix(record, []byte{'\n'})
	s.fields = s.fields[:0]
	// Unquoted text never grows, so the scratch space is never moved under the fields.
	if cap(s.scratch) < len(record) {
		s.scratch = make([]byte, 0, 2*len(record))
	}
	s.scratch = s.scratch[:0]
	for {
		var field []byte
		var more bool
		if len(record) > 0 && record[0] == '"' {
			field, record, more = s.quoted(record[1:])
		} else {
			field, record, more = bytes.Cut(record, []byte{','})
		}
		s.fields = append(s.fields, field)
		if !more || len(s.fields) == n {
			return s.fields
		}
	}
}

func (s *splitter) quoted(rest []byte) (field, after []byte, more bool) {
	start := len(s.scratch)
	for {
		i := bytes.IndexByte(rest, '"')
		if i < 0 {
			s.scratch = append(s.scratch, rest...)
			return s.scratch[start:], nil, false
		}
		s.scratch = append(s.scratch, rest[:i]...)
		rest = rest[i+1:]
		if len(rest) == 0 || rest[0] != '"' {
			break
		}
		s.scratch = append(s.scratch, '"')
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0] == ',' {
		return s.scratch[start:], rest[1:], true
	}
	return s.scratch[start:], nil, false
}
