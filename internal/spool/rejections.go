package spool

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Rejections reads a chunk's rejected rows in the order they came, as Records
// does its records.
type Rejections struct {
	file    *File
	source  *os.File // nil when there are none
	decoder *json.Decoder
	left    int64
	current Rejection
	err     error
}

// Rejections opens the chunk's rejected rows. The caller closes them.
func (f *File) Rejections() (*Rejections, error) {
	r := &Rejections{file: f, left: f.foot.rejected}
	if r.left == 0 {
		return r, nil
	}
	source, err := os.Open(f.path + rejectedExt)
	if err != nil {
		return nil, readError(f.name, err)
	}
	r.source = source
	r.decoder = json.NewDecoder(bufio.NewReaderSize(source, bufferSize/4))
	return r, nil
}

// Next goes to the next rejected row. It is false after the last one and on an
// error.
func (r *Rejections) Next() bool {
	if r.err != nil || r.left == 0 {
		return false
	}
	r.left--
	r.current = Rejection{}
	if err := r.decoder.Decode(&r.current); err != nil {
		r.err = r.decodeError(err)
		return false
	}
	return true
}

// Rejection is the current rejected row. It stays valid.
func (r *Rejections) Rejection() Rejection { return r.current }

// Err is what made Next return false; nil at the end.
func (r *Rejections) Err() error { return r.err }

// Close closes the file.
func (r *Rejections) Close() error {
	if r.source == nil {
		return nil
	}
	return r.source.Close()
}

func (r *Rejections) decodeError(err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return readError(r.file.name, err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged(r.file.name, "%d of its rejected rows are missing", r.left+1)
	}
	return fmt.Errorf("%w: rejected rows: %w", damaged(r.file.name, "rejected row %d", r.file.foot.rejected-r.left), err)
}
