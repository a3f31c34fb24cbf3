package spool_test

import (
	"bytes"
	"strconv"
	"testing"

	"bulkhead/internal/spool"
)

// BenchmarkSpool writes a chunk of 100,000 records of 285 bytes, syncs it, verifies
// it and reads its records with their keys.
func BenchmarkSpool(b *testing.B) {
	const rows = 100_000
	s, _ := open(b, 0)
	record := append(bytes.Repeat([]byte("a value,"), 35), "last\n"...)
	b.SetBytes(int64(rows * len(record)))
	b.ReportAllocs()
	for b.Loop() {
		w := create(b, s, spool.Name(1, "step", 1))
		var key []byte
		for i := range rows {
			key = strconv.AppendInt(key[:0], int64(i), 10)
			if err := w.Append(key, record); err != nil {
				b.Fatal(err)
			}
		}
		info, err := w.Commit()
		if err != nil {
			b.Fatal(err)
		}
		if n := readBack(b, s, info); n != rows {
			b.Fatalf("%d records", n)
		}
	}
}

func readBack(b *testing.B, s *spool.Spool, info spool.Info) (n int) {
	b.Helper()
	f, err := s.Open(spool.Name(1, "step", 1))
	if err != nil {
		b.Fatal(err)
	}
	if err := f.Verify(info.Bytes, info.CRC32C); err != nil {
		b.Fatal(err)
	}
	list, err := f.Records()
	if err != nil {
		b.Fatal(err)
	}
	for list.Next() {
		n++
	}
	if list.Err() != nil || list.Close() != nil {
		b.Fatal(list.Err())
	}
	return n
}
