package spool

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"slices"
)

// Records reads a chunk's records with the keys of their source rows, in the
// order of the file:
//
//	for records.Next() { ... }
//	err := records.Err()
type Records struct {
	file *File
	csv  *os.File
	keys *os.File

	csvBuf, keysBuf *bufio.Reader
	crc             uint32 // of the entries so far
	left            int64  // entries still to come
	entries         int64  // bytes of entries still to come

	offset      int64 // of the next record
	key, record []byte
	err         error
}

// Records opens the chunk's records. The caller closes them.
func (f *File) Records() (*Records, error) {
	csv, err := os.Open(f.path + csvExt)
	if err != nil {
		return nil, readError(f.name, err)
	}
	keys, err := os.Open(f.path + keysExt)
	if err != nil {
		return nil, readError(f.name, errors.Join(err, csv.Close()))
	}
	r := &Records{
		file: f, csv: csv, keys: keys,
		csvBuf:  bufio.NewReaderSize(csv, bufferSize),
		keysBuf: bufio.NewReaderSize(keys, bufferSize/4),
		left:    f.foot.rows,
		entries: f.entries,
		offset:  f.foot.headerBytes,
	}
	if _, err := csv.Seek(r.offset, io.SeekStart); err != nil {
		return nil, readError(f.name, errors.Join(err, r.Close()))
	}
	return r, nil
}

// Next goes to the next record. It is false after the last one and on an error.
func (r *Records) Next() bool {
	r.offset += int64(len(r.record))
	r.key, r.record = r.key[:0], r.record[:0]
	if r.err != nil {
		return false
	}
	if r.left == 0 {
		r.err = r.checkEnd()
		return false
	}
	r.left--
	r.err = r.read()
	return r.err == nil
}

// Key is the key of the record's source row. It is valid until Next.
func (r *Records) Key() []byte { return r.key }

// Record is the record as it stands in the CSV, its line end included. It is
// valid until Next.
func (r *Records) Record() []byte { return r.record }

// Offset is where the record begins in the CSV, for RecordAt.
func (r *Records) Offset() int64 { return r.offset }

// Err is what made Next return false; nil at the end of the chunk. It is
// ErrDamaged when the keys do not fit the CSV.
func (r *Records) Err() error { return r.err }

// Close closes the files.
func (r *Records) Close() error {
	return errors.Join(r.csv.Close(), r.keys.Close())
}

// read reads one entry of the keys file and the record it tells of.
func (r *Records) read() error {
	recordLen, err := r.uvarint()
	if err != nil {
		return err
	}
	keyLen, err := r.uvarint()
	if err != nil {
		return err
	}
	// Lengths are checked against what is there before any memory is taken.
	if keyLen > uint64(r.entries) || recordLen > uint64(r.file.foot.csvBytes-r.offset) {
		return damaged(r.file.name, "the entry of the record at offset %d is no entry", r.offset)
	}
	if r.key, err = r.fill(r.keysBuf, r.key, int(keyLen)); err != nil {
		return err
	}
	r.entries -= int64(keyLen)
	r.crc = crc32.Update(r.crc, castagnoli, r.key)
	r.record, err = r.fill(r.csvBuf, r.record, int(recordLen))
	return err
}

// fill reads n bytes into buf, which grows only when it has to.
func (r *Records) fill(from io.Reader, buf []byte, n int) ([]byte, error) {
	buf = slices.Grow(buf[:0], n)[:n]
	if _, err := io.ReadFull(from, buf); err != nil {
		return buf[:0], readError(r.file.name, err)
	}
	return buf, nil
}

// uvarint reads a length from the keys file.
func (r *Records) uvarint() (uint64, error) {
	var b [binary.MaxVarintLen64]byte
	for n := range b {
		c, err := r.keysBuf.ReadByte()
		if err != nil {
			return 0, readError(r.file.name, err)
		}
		b[n] = c
		if c < 0x80 {
			r.crc = crc32.Update(r.crc, castagnoli, b[:n+1])
			r.entries -= int64(n + 1)
			length, _ := binary.Uvarint(b[:n+1])
			return length, nil
		}
	}
	return 0, damaged(r.file.name, "the entry of the record at offset %d is no entry", r.offset)
}

// checkEnd says whether the records made up the whole chunk.
func (r *Records) checkEnd() error {
	foot := r.file.foot
	switch {
	case r.entries != 0 || r.crc != foot.keysCRC:
		return damaged(r.file.name, "its keys are not what was written")
	case r.offset != foot.csvBytes:
		return damaged(r.file.name, "its records end at %d of %d bytes", r.offset, foot.csvBytes)
	}
	return nil
}
