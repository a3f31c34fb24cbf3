package spool_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bulkhead/internal/spool"
)

// TestRoundTrip reads back whatever was written.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s, _ := open(t, 0)
	seq := 0
	rapid.Check(t, func(t *rapid.T) {
		seq++
		chunk := drawChunk(t)
		name := spool.Name(1, "step", seq)
		info := chunk.write(t, s, name)
		f, err := s.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		chunk.check(t, f, info)
		if err := s.Remove(name); err != nil {
			t.Fatal(err)
		}
	})
}

// chunk is what a chunk is to hold.
type chunk struct {
	header        []byte
	keys, records [][]byte
	rejections    []spool.Rejection
}

func drawChunk(t *rapid.T) chunk {
	c := chunk{header: append(rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "header"), '\n')}
	for range rapid.IntRange(0, 20).Draw(t, "rows") {
		c.keys = append(c.keys, rapid.SliceOf(rapid.Byte()).Draw(t, "key"))
		record := rapid.SliceOf(rapid.Byte()).Draw(t, "record")
		// Now and then one larger than any buffer.
		if rapid.IntRange(0, 50).Draw(t, "large") == 0 {
			record = append(record, bytes.Repeat([]byte("large "), 100_000)...)
		}
		c.records = append(c.records, append(record, '\n'))
	}
	for range rapid.IntRange(0, 5).Draw(t, "rejected") {
		payload, err := json.Marshal(rapid.MapOf(rapid.String(), rapid.Ptr(rapid.String(), true)).Draw(t, "payload"))
		if err != nil {
			t.Fatal(err)
		}
		c.rejections = append(c.rejections, spool.Rejection{
			Key:     rapid.String().Draw(t, "rejected key"),
			Code:    rapid.String().Draw(t, "code"),
			Message: rapid.String().Draw(t, "message"),
			Field:   rapid.String().Draw(t, "field"),
			Payload: payload,
		})
	}
	return c
}

func (c chunk) csv() []byte {
	return slices.Concat(append([][]byte{c.header}, c.records...)...)
}

// write writes the chunk through buffers that it spoils after each call.
func (c chunk) write(t *rapid.T, s *spool.Spool, name string) spool.Info {
	w, err := s.Create(t.Context(), name, c.header, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.records {
		key, record := bytes.Clone(c.keys[i]), bytes.Clone(c.records[i])
		if err := w.Append(key, record); err != nil {
			t.Fatal(err)
		}
		clear(key)
		clear(record)
	}
	for _, rejection := range c.rejections {
		if err := w.Reject(rejection); err != nil {
			t.Fatal(err)
		}
	}
	if w.Rows() != int64(len(c.records)) || w.Rejected() != int64(len(c.rejections)) || w.Bytes() != int64(len(c.csv())) {
		t.Errorf("writer counts %d rows, %d rejected, %d bytes", w.Rows(), w.Rejected(), w.Bytes())
	}
	info, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// check reads the chunk in every way there is.
func (c chunk) check(t *rapid.T, f *spool.File, info spool.Info) {
	csv := c.csv()
	want := spool.Info{
		Rows: int64(len(c.records)), Rejected: int64(len(c.rejections)), Bytes: int64(len(csv)),
		CRC32C: crc32.Checksum(csv, crc32.MakeTable(crc32.Castagnoli)),
	}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("info (-want +got):\n%s", diff)
	}
	if err := f.Verify(info.Bytes, info.CRC32C); err != nil {
		t.Error(err)
	}
	for range 2 {
		if got := readCSV(t, f); !bytes.Equal(got, csv) {
			t.Errorf("CSV is %q, want %q", got, csv)
		}
	}
	if got, err := f.Header(); err != nil || !bytes.Equal(got, c.header) {
		t.Errorf("header is %q, %v, want %q", got, err, c.header)
	}
	c.checkRecords(t, f)
	c.checkRejections(t, f)
}

func (c chunk) checkRecords(t *rapid.T, f *spool.File) {
	records, err := f.Records()
	if err != nil {
		t.Fatal(err)
	}
	csv, err := f.Blocks()
	if err != nil {
		t.Fatal(err)
	}
	defer csv.Close()
	n := 0
	for ; records.Next(); n++ {
		if n == len(c.records) {
			t.Fatal("too many records")
		}
		if !bytes.Equal(records.Key(), c.keys[n]) || !bytes.Equal(records.Record(), c.records[n]) {
			t.Errorf("record %d is %q: %q, want %q: %q", n, records.Key(), records.Record(), c.keys[n], c.records[n])
		}
		again := make([]byte, len(records.Record()))
		if _, err := csv.ReadAt(again, records.Offset()); err != nil || !bytes.Equal(again, c.records[n]) {
			t.Errorf("record at %d is %q, %v, want %q", records.Offset(), again, err, c.records[n])
		}
	}
	if err := errors.Join(records.Err(), records.Close()); err != nil || n != len(c.records) {
		t.Errorf("%d records, %v, want %d", n, err, len(c.records))
	}
	if records.Next() {
		t.Error("Next after the end")
	}
}

func (c chunk) checkRejections(t *rapid.T, f *spool.File) {
	rejections, err := f.Rejections()
	if err != nil {
		t.Fatal(err)
	}
	var got []spool.Rejection
	for rejections.Next() {
		got = append(got, rejections.Rejection())
	}
	if err := errors.Join(rejections.Err(), rejections.Close()); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(c.rejections, got, cmp.Transformer("json", parseJSON)); diff != "" {
		t.Errorf("rejections (-want +got):\n%s", diff)
	}
}

// parseJSON lets payloads be compared for what they say.
func parseJSON(raw json.RawMessage) (v any) {
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	return v
}

func readCSV(t interface{ Fatal(...any) }, f *spool.File) []byte {
	body, err := f.CSV()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestDamageIsSeen changes, cuts and removes each file of a chunk.
func TestDamageIsSeen(t *testing.T) {
	t.Parallel()
	for ext, want := range map[string]error{".csv": spool.ErrDamaged, ".keys": spool.ErrDamaged, ".rejected": nil} {
		for _, at := range []int64{0, 9, -1} {
			damageOne(t, "flip", ext, want, func(path string) error { return flip(path, at) })
		}
		damageOne(t, "cut", ext, spool.ErrDamaged, cut)
		damageOne(t, "remove", ext, spool.ErrGone, os.Remove)
	}
}

// damageOne wants reading to end in an error that is want (nil: any outcome that
// is not a crash, as JSON has no checksum of its own).
func damageOne(t *testing.T, how, ext string, want error, damage func(path string) error) {
	t.Helper()
	s, dir := open(t, 0)
	name := spool.Name(1, "a", 1)
	w := create(t, s, name)
	for _, record := range []string{"1,Ann\n", "2,Bob\n", "3,Cid\n"} {
		if err := w.Append([]byte(record[:1]), []byte(record)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Reject(spool.Rejection{Key: "4", Code: "X"}); err != nil {
		t.Fatal(err)
	}
	info, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if err := damage(filepath.Join(dir, name+ext)); err != nil {
		t.Fatal(err)
	}
	if err := readAll(s, name, info); want != nil && !errors.Is(err, want) {
		t.Errorf("%s %s: %v, want %v", how, ext, err, want)
	}
}

// readAll reads a chunk as the tool does.
func readAll(s *spool.Spool, name string, info spool.Info) error {
	f, err := s.Open(name)
	if err != nil {
		return err
	}
	if err := f.Verify(info.Bytes, info.CRC32C); err != nil {
		return err
	}
	records, err := f.Records()
	if err != nil {
		return err
	}
	for records.Next() {
		continue
	}
	rejections, err := f.Rejections()
	if err != nil {
		return err
	}
	for rejections.Next() {
		continue
	}
	return errors.Join(records.Err(), records.Close(), rejections.Err(), rejections.Close())
}

func flip(path string, at int64) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if at < 0 {
		at += int64(len(content))
	}
	content[at] ^= 0x10
	return os.WriteFile(path, content, 0o600)
}

func cut(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()/2)
}

// FuzzKeys opens chunks whose keys file holds anything.
func FuzzKeys(f *testing.F) {
	s, dir := open(f, 0)
	name := spool.Name(1, "a", 1)
	info := write(f, s, name, "1,Ann\n", "2,Bob\n")
	path := filepath.Join(dir, name+".keys")
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[3:])
	f.Add(append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff}, good[6:]...))
	f.Fuzz(func(t *testing.T, keys []byte) {
		if err := os.WriteFile(path, keys, 0o600); err != nil {
			t.Fatal(err)
		}
		err := readAll(s, name, info)
		if bytes.Equal(keys, good) != (err == nil) {
			t.Errorf("keys %q: %v", keys, err)
		}
	})
}
