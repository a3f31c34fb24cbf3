package spool

import (
	"encoding/binary"
	"hash/crc32"
	"os"
)

// The keys file of a chunk is, for each record of the CSV in order, uvarint
// length of the record, uvarint length of its key, the key; and then a footer,
// which ties the file to its CSV and tells whether all of it is there.

// keysMagic ends a keys file of this form.
const keysMagic = "etlkeys1"

// The length of an encoded footer: four counts and two checksums, a checksum of
// these, and the magic.
const (
	footerFields = 4*8 + 2*4
	footerSize   = footerFields + 4 + len(keysMagic)
)

// footer is the end of a keys file.
type footer struct {
	headerBytes int64  // of the CSV's first line
	csvBytes    int64  // of the CSV, header included
	rows        int64  // records, and so entries before the footer
	rejected    int64  // entries of the rejected file; none: no such file
	csvCRC      uint32 // CRC32C of the CSV
	keysCRC     uint32 // CRC32C of all before the footer
}

func (f footer) encode() []byte {
	var b []byte
	for _, n := range []int64{f.headerBytes, f.csvBytes, f.rows, f.rejected} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = binary.BigEndian.AppendUint32(b, f.csvCRC)
	b = binary.BigEndian.AppendUint32(b, f.keysCRC)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return append(b, keysMagic...)
}

// parseFooter reads what encode wrote; ok is false when b is something else.
func parseFooter(b []byte) (f footer, ok bool) {
	if len(b) != footerSize || string(b[footerFields+4:]) != keysMagic {
		return footer{}, false
	}
	if binary.BigEndian.Uint32(b[footerFields:]) != crc32.Checksum(b[:footerFields], castagnoli) {
		return footer{}, false
	}
	for i, n := range []*int64{&f.headerBytes, &f.csvBytes, &f.rows, &f.rejected} {
		*n = int64(binary.BigEndian.Uint64(b[i*8:]))
	}
	f.csvCRC = binary.BigEndian.Uint32(b[32:])
	f.keysCRC = binary.BigEndian.Uint32(b[36:])
	return f, true
}

// readFooter reads the footer of a keys file and returns how long the part
// before it is. The error is ErrGone or ErrDamaged where it is one of these.
func readFooter(name, path string) (footer, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return footer{}, 0, readError(name, err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return footer{}, 0, readError(name, err)
	}
	entries := info.Size() - int64(footerSize)
	if entries < 0 {
		return footer{}, 0, damaged(name, "its keys file has %d bytes", info.Size())
	}
	var b [footerSize]byte
	if _, err := file.ReadAt(b[:], entries); err != nil {
		return footer{}, 0, readError(name, err)
	}
	foot, ok := parseFooter(b[:])
	if !ok {
		return footer{}, 0, damaged(name, "its keys file does not end as one")
	}
	return foot, entries, nil
}
