package spool

import (
	"bufio"
	"hash/crc32"
	"io"
	"os"
)

// bufferSize is large because a write to the disk costs more than its bytes, and no larger because a
// call that takes long makes Go's scheduler look after it: 256 KiB cost more in sum.
const bufferSize = 64 << 10

// castagnoli is the polynomial of CRC32C, which processors compute in hardware.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumFile is a file being written through a buffer, with the length and the
// CRC32C of what went in.
type sumFile struct {
	*bufio.Writer
	disk diskWriter
}

// diskWriter is the part of a sumFile below the buffer: it sees large blocks.
type diskWriter struct {
	file  *os.File
	dir   string // of the spool, for errors
	bytes int64
	crc   uint32
}

func newSumFile(f *os.File, dir string, size int) *sumFile {
	s := &sumFile{disk: diskWriter{file: f, dir: dir}}
	s.Writer = bufio.NewWriterSize(&s.disk, size)
	return s
}

// Write writes a block to the file.
func (d *diskWriter) Write(p []byte) (int, error) {
	n, err := d.file.Write(p)
	d.crc = crc32.Update(d.crc, castagnoli, p[:n])
	d.bytes += int64(n)
	if err != nil {
		err = writeError(d.dir, d.bytes, int64(len(p)-n), err)
	}
	return n, err
}

// sync makes everything written durable.
func (s *sumFile) sync() error {
	if err := s.Flush(); err != nil {
		return err
	}
	// Some file systems find out here that the disk is full.
	if err := s.disk.file.Sync(); err != nil {
		return writeError(s.disk.dir, s.disk.bytes, 0, err)
	}
	return nil
}

// checksum reads r to its end and returns how much it was and its CRC32C.
func checksum(r io.Reader) (int64, uint32, error) {
	sum := crc32.New(castagnoli)
	n, err := io.CopyBuffer(sum, onlyReader{r}, make([]byte, bufferSize))
	return n, sum.Sum32(), err
}

// onlyReader hides *os.File's WriteTo, which would ignore our buffer.
type onlyReader struct{ io.Reader }
