package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
)

// Records reads a chunk's records with the keys of their source rows, in the
// order of the file:
//
//	for records.Next() { ... }
//	err := records.Err()
type Records struct {
	file      *File
	csv, keys *os.File

	csvIn, keysIn pieces
	crc           uint32 // of the entries so far
	left          int64  // entries still to come
	entries       int64  // bytes of entries still to come

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
		csvIn:   newPieces(csv, bufferSize),
		keysIn:  newPieces(keys, bufferSize/4),
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
	r.key, r.record = nil, nil
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

// Offset is where the record begins in the CSV.
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
	head, err := r.keysIn.peek(2 * binary.MaxVarintLen64)
	if err != nil && !errors.Is(err, io.EOF) {
		return readError(r.file.name, err)
	}
	recordLen, n := binary.Uvarint(head)
	keyLen, m := binary.Uvarint(head[max(n, 0):])
	// Lengths are checked against what is there before any memory is taken.
	if n <= 0 || m <= 0 || keyLen > uint64(r.entries) || recordLen > uint64(r.file.foot.csvBytes-r.offset) {
		return damaged(r.file.name, "the entry of the record at offset %d is no entry", r.offset)
	}
	entry, err := r.keysIn.next(n + m + int(keyLen))
	if err != nil {
		return readError(r.file.name, err)
	}
	r.key = entry[n+m:]
	r.entries -= int64(len(entry))
	r.crc = crc32.Update(r.crc, castagnoli, entry)
	if r.record, err = r.csvIn.next(int(recordLen)); err != nil {
		return readError(r.file.name, err)
	}
	return nil
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
