package spool

import (
	"io"
	"os"
)

// File is a complete chunk. It holds no open file: each method opens what it
// reads, and fails with ErrGone when that was removed in the meantime.
type File struct {
	name    string
	path    string // less the files' endings
	foot    footer
	entries int64 // bytes of the keys file before its footer
}

// Open returns a complete chunk. The error is ErrGone when one of its files is
// missing, and ErrDamaged when they do not fit together.
func (s *Spool) Open(name string) (*File, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	f := &File{name: name, path: path}
	csv, err := os.Stat(path + csvExt)
	if err != nil {
		return nil, readError(name, err)
	}
	if f.foot, f.entries, err = readFooter(name, path+keysExt); err != nil {
		return nil, err
	}
	if csv.Size() != f.foot.csvBytes {
		return nil, damaged(name, "its CSV has %d bytes, its keys are for %d", csv.Size(), f.foot.csvBytes)
	}
	if f.foot.rejected > 0 {
		if _, err := os.Stat(path + rejectedExt); err != nil {
			return nil, readError(name, err)
		}
	}
	return f, nil
}

// Size is the length of the CSV in bytes, header included.
func (f *File) Size() int64 { return f.foot.csvBytes }

// CSV opens what is to be uploaded. It may be called any number of times; the
// caller closes each.
func (f *File) CSV() (*os.File, error) {
	csv, err := os.Open(f.path + csvExt)
	if err != nil {
		return nil, readError(f.name, err)
	}
	return csv, nil
}

// Verify reads the whole CSV and returns ErrDamaged unless it has this length
// and this CRC32C and its sidecars are of the same chunk.
func (f *File) Verify(bytes int64, crc uint32) error {
	if f.foot.csvBytes != bytes || f.foot.csvCRC != crc {
		return damaged(f.name, "it was written with %d bytes and checksum %08x, wanted are %d and %08x",
			f.foot.csvBytes, f.foot.csvCRC, bytes, crc)
	}
	csv, err := f.CSV()
	if err != nil {
		return err
	}
	defer func() { _ = csv.Close() }()
	gotBytes, gotCRC, err := checksum(csv)
	if err != nil {
		return readError(f.name, err)
	}
	if gotBytes != bytes || gotCRC != crc {
		return damaged(f.name, "its CSV has %d bytes and checksum %08x, wanted are %d and %08x", gotBytes, gotCRC, bytes, crc)
	}
	return nil
}

// Header returns the first line of the CSV, its line end included.
func (f *File) Header() ([]byte, error) {
	csv, err := f.CSV()
	if err != nil {
		return nil, err
	}
	defer func() { _ = csv.Close() }()
	header := make([]byte, f.foot.headerBytes)
	if _, err := io.ReadFull(csv, header); err != nil {
		return nil, readError(f.name, err)
	}
	return header, nil
}
