package reconcile

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
)

// Records streams the records of a chunk as they were sent, each with its source key. Slices are
// valid until Next.
type Records interface {
	Next() bool
	Key() []byte
	Record() []byte
	Offset() int64
	Err() error
	Close() error
}

// Sent is a chunk's file: the records as they were sent.
type Sent struct {
	Header []string
	Open   func() (Records, error)
	// Raw opens what holds the records at their offsets.
	Raw func() (Raw, error)
}

// Raw reads records by their place.
type Raw interface {
	io.ReaderAt
	io.Closer
}

// matcher finds the record that a result row is about: by the external id where it tells the records
// apart, else by the whole content, equal rows being interchangeable. It looks for the very bytes
// first, and then for what Salesforce might have made of them.
//
// Its memory is about 40 bytes and one key per record of the chunk. It is to be closed.
type matcher struct {
	sent Sent
	id   []int // the external id's column; none where the job has none
	all  []int // the columns that come back
	at   []int // by column, where it stands in the results that are being read; -1: nowhere
	seed maphash.Seed

	keys    []byte
	keyEnd  []uint32
	offsets []int64 // len = records + 1
	exact   *table
	loose   *table          // the same over canonical values; built when first needed
	same    map[uint64]bool // hashes of loose whose records are all the same to the byte
	looks   map[uint64]bool // the hashes of loose; made when first needed
	taken   []bool

	records Raw // opened when first needed
	record  []byte
	fields  [][]byte // of a result
	split   splitter
	scratch []byte
}

// form is how a value is written before it is hashed.
type form = func(dst, v []byte) []byte

// newMatcher indexes the chunk's file. externalID is the header of the external id, or empty; header is
// that of the results, whose columns may be fewer and in another order. rows is how many records to
// expect.
func newMatcher(sent Sent, rows int64, externalID string, header []string) (*matcher, error) {
	m := &matcher{
		sent: sent, seed: maphash.MakeSeed(), same: map[uint64]bool{}, keyEnd: make([]uint32, 0, rows), offsets: make([]int64, 0, rows+1),
	}
	for i, name := range sent.Header {
		if place(header, name) < 0 {
			continue
		}
		m.all = append(m.all, i)
		if strings.EqualFold(name, externalID) {
			m.id = []int{i}
		}
	}
	if len(m.all) == 0 {
		return nil, fmt.Errorf("the results have none of the columns that were sent: %s", strings.Join(header, ", "))
	}
	var end int64
	var err error
	m.exact, err = m.index(appendExact, func(records Records) {
		m.keys = append(m.keys, records.Key()...)
		m.keyEnd = append(m.keyEnd, uint32(len(m.keys)))
		m.offsets = append(m.offsets, records.Offset())
		end = records.Offset() + int64(len(records.Record()))
	})
	m.offsets = append(m.offsets, end)
	m.taken = make([]bool, len(m.keyEnd))
	return m, err
}

func (m *matcher) close() error {
	if m.records == nil {
		return nil
	}
	return m.records.Close()
}

// use takes the header of the results that are read next.
func (m *matcher) use(header []string) {
	m.at = m.at[:0]
	for _, name := range m.sent.Header {
		m.at = append(m.at, place(header, name))
	}
}

func place(header []string, name string) int {
	return slices.IndexFunc(header, func(h string) bool { return strings.EqualFold(h, name) })
}

func (m *matcher) each(fn func(Records)) error {
	records, err := m.sent.Open()
	if err != nil {
		return err
	}
	defer records.Close()
	for records.Next() {
		fn(records)
	}
	return records.Err()
}

// index hashes every record by its external id, and by its whole content those that have none or share
// it with another. seen is shown each record, once and in order.
func (m *matcher) index(f form, seen func(Records)) (*table, error) {
	hashes := make([]uint64, 0, cap(m.keyEnd))
	var byContent []int
	last := slices.Max(append(m.id, 0))
	err := m.each(func(records Records) {
		seen(records)
		hash, ok := uint64(0), false
		if len(m.id) > 0 {
			hash, ok = m.hash(m.split.first(records.Record(), last+1), m.id, f)
		}
		if !ok {
			byContent = append(byContent, len(hashes))
		}
		hashes = append(hashes, hash)
	})
	if err != nil {
		return nil, err
	}
	index, shared := newTable(hashes)
	if byContent = append(byContent, shared...); len(byContent) == 0 {
		return index, nil
	}
	if hashes, err = m.contents(hashes, byContent, f); err != nil {
		return nil, err
	}
	index, _ = newTable(hashes)
	return index, nil
}

// contents replaces the hashes of some records by those of their whole content.
func (m *matcher) contents(hashes []uint64, of []int, f form) ([]uint64, error) {
	slices.Sort(of)
	i := 0
	return hashes, m.each(func(records Records) {
		if _, ok := slices.BinarySearch(of, i); ok {
			hashes[i], _ = m.hash(m.split.split(records.Record()), m.all, f)
		}
		i++
	})
}

// match returns the record that the result row is about and takes it, so that no other row gets it.
func (m *matcher) match(row []string) (record int, ok bool, err error) {
	if i, found := m.find(m.exact, row, appendExact, false); found {
		return i, true, nil
	}
	if m.loose == nil {
		if m.loose, err = m.index(appendCanonical, func(Records) {}); err != nil {
			return 0, false, err
		}
	}
	i, found := m.find(m.loose, row, appendCanonical, true)
	return i, found, nil
}

// repeated reports whether a row for which match has found no record looks like records that were sent
// and that are all taken: it is one row too many, and another record is likely to have none.
func (m *matcher) repeated(row []string) bool {
	if m.looks == nil {
		m.looks = make(map[uint64]bool, m.len())
		for _, hash := range m.loose.hashes {
			m.looks[hash] = true
		}
	}
	known := false
	for _, columns := range [][]int{m.id, m.all} {
		hash, ok := m.hash(m.result(row, columns), columns, appendCanonical)
		if !ok || !m.looks[hash] {
			continue
		}
		for range m.loose.free(hash, m.taken) {
			return false
		}
		known = true
	}
	return known
}

// result is a row of the results with the values of some columns where the records sent have them. It is
// valid until the next call.
func (m *matcher) result(row []string, columns []int) [][]byte {
	if m.fields == nil {
		m.fields = make([][]byte, len(m.sent.Header))
	}
	for _, column := range columns {
		m.fields[column] = append(m.fields[column][:0], at(row, m.at[column])...)
	}
	return m.fields
}

func (m *matcher) find(index *table, row []string, f form, unambiguous bool) (int, bool) {
	for _, columns := range [][]int{m.id, m.all} {
		hash, ok := m.hash(m.result(row, columns), columns, f)
		if !ok || unambiguous && !m.unambiguous(index, hash) {
			continue
		}
		for record := range index.free(hash, m.taken) {
			m.taken[record] = true
			return record, true
		}
	}
	return 0, false
}

// unambiguous reports whether the free records of one canonical form are all the same to the byte.
// 007 and 7 look alike to a number field and are two records to a text field: nothing decides.
func (m *matcher) unambiguous(index *table, hash uint64) bool {
	if m.same[hash] {
		return true // records only leave, so that it stays so
	}
	var first []byte
	for record := range index.free(hash, m.taken) {
		raw, err := m.raw(record)
		if err != nil || first != nil && !bytes.Equal(raw, first) {
			return false
		}
		if first == nil {
			first = bytes.Clone(raw)
		}
	}
	if first != nil {
		m.same[hash] = true
	}
	return first != nil
}

// hash hashes the values of some columns; it is false where they are none, or all blank.
func (m *matcher) hash(fields [][]byte, columns []int, f form) (uint64, bool) {
	m.scratch = m.scratch[:0]
	blank := true
	for _, column := range columns {
		if column < len(fields) {
			blank = blank && (len(fields[column]) == 0 || string(fields[column]) == nullMarker)
			m.scratch = f(m.scratch, fields[column])
		}
		m.scratch = append(m.scratch, 0)
	}
	// The number of columns keeps an external id from looking like a content of one column.
	m.scratch = append(m.scratch, byte(len(columns)))
	return maphash.Bytes(m.seed, m.scratch), len(columns) > 0 && (!blank || len(columns) == len(m.all))
}

func (m *matcher) len() int { return len(m.keyEnd) }

func (m *matcher) key(record int) []byte {
	start := uint32(0)
	if record > 0 {
		start = m.keyEnd[record-1]
	}
	return m.keys[start:m.keyEnd[record]]
}

// raw reads a record as it was sent; it is valid until the next call.
func (m *matcher) raw(record int) ([]byte, error) {
	if m.records == nil {
		var err error
		if m.records, err = m.sent.Raw(); err != nil {
			return nil, err
		}
	}
	from, to := m.offsets[record], m.offsets[record+1]
	m.record = slices.Grow(m.record[:0], int(to-from))[:to-from]
	if _, err := m.records.ReadAt(m.record, from); err != nil {
		return nil, fmt.Errorf("read record %d of the chunk: %w", record+1, err)
	}
	return m.record, nil
}

// appendExact appends v as it was sent. Line breaks are LF in what we send, and a reader of the
// results may see them as CRLF.
func appendExact(dst, v []byte) []byte {
	if bytes.IndexByte(v, '\r') < 0 {
		return append(dst, v...)
	}
	return append(dst, bytes.ReplaceAll(v, []byte("\r\n"), []byte("\n"))...)
}
