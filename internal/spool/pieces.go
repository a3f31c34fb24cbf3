package spool

import (
	"bufio"
	"io"
	"slices"
)

// pieces hands a stream out piece by piece, without copying those that fit into
// its buffer. A piece is valid until the next call.
type pieces struct {
	buffer *bufio.Reader
	large  []byte // holds pieces that do not fit
}

func newPieces(r io.Reader, size int) pieces {
	return pieces{buffer: bufio.NewReaderSize(r, size)}
}

// peek returns the next n bytes, or fewer with io.EOF, without taking them. n is
// less than the buffer.
func (p *pieces) peek(n int) ([]byte, error) { return p.buffer.Peek(n) }

// next takes the next n bytes; fewer are an error.
func (p *pieces) next(n int) ([]byte, error) {
	if n <= p.buffer.Size() {
		piece, err := p.buffer.Peek(n)
		if err != nil {
			return nil, err
		}
		_, err = p.buffer.Discard(n)
		return piece, err
	}
	p.large = slices.Grow(p.large[:0], n)[:n]
	_, err := io.ReadFull(p.buffer, p.large)
	return p.large, err
}
