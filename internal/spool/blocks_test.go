package spool_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"bulkhead/internal/spool"
)

// TestBlocks reads records of many lengths, some longer than a block, in an order that throws blocks out
// and wants them again.
func TestBlocks(t *testing.T) {
	t.Parallel()
	s, err := spool.Open(spool.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	name := spool.Name(1, "accounts", 1)
	w, err := s.Create(t.Context(), name, []byte("Name\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	records, offsets, end := make([][]byte, 3_000), []int64{}, int64(5)
	for i := range records {
		size := 1 + random.IntN(4_000)
		if i%500 == 0 {
			size = 150_000
		}
		records[i] = append(bytes.Repeat([]byte{'a' + byte(i%26)}, size), '\n')
		offsets, end = append(offsets, end), end+int64(len(records[i]))
		if err := w.Append(fmt.Append(nil, i), records[i]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	f, err := s.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := f.Blocks()
	if err != nil {
		t.Fatal(err)
	}
	defer blocks.Close()
	for range 10_000 {
		i := random.IntN(len(records))
		got := make([]byte, len(records[i]))
		if n, err := blocks.ReadAt(got, offsets[i]); err != nil || !bytes.Equal(got, records[i]) {
			t.Fatalf("record %d: %d bytes, %v, or other bytes", i, n, err)
		}
	}
	if n, err := blocks.ReadAt(make([]byte, 10), end-4); n != 4 || err != io.EOF { //nolint:errorlint // as io.ReaderAt has it
		t.Errorf("at the end: %d bytes, %v", n, err)
	}
}
