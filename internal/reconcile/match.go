package reconcile

import (
	"bytes"
	"fmt"
	"hash/maphash"
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
	Header   []string
	Open     func() (Records, error)
	RecordAt func(offset int64, n int) ([]byte, error)
}

// matcher finds the record that a result row is about. By the external id where the job has one,
// else by the whole content, equal rows being interchangeable. It looks for the very bytes first, and
// then for what Salesforce might have made of them.
//
// Its memory is about 30 bytes and one key per record of the chunk.
type matcher struct {
	sent    Sent
	columns []int // of the chunk's header: those that are compared
	results []int // the same columns in the results' header
	seed    maphash.Seed

	keys    []byte
	keyEnd  []uint32
	offsets []int64 // len = records + 1
	exact   []slot  // sorted by hash, then record
	loose   []slot  // the same over canonical values; built when first needed
	taken   []bool

	split   splitter
	scratch []byte
}

type slot struct {
	hash   uint64
	record int32
}

// newMatcher reads the chunk's file once. externalID is the header of the external id, or empty.
func newMatcher(sent Sent, externalID string) (*matcher, error) {
	m := &matcher{sent: sent, seed: maphash.MakeSeed()}
	for i, name := range sent.Header {
		if externalID == "" || strings.EqualFold(name, externalID) {
			m.columns = append(m.columns, i)
		}
	}
	if len(m.columns) == 0 {
		return nil, fmt.Errorf("the chunk has no column %q", externalID)
	}
	var end int64
	err := m.each(func(records Records) {
		key, record := records.Key(), records.Record()
		m.keys = append(m.keys, key...)
		m.keyEnd = append(m.keyEnd, uint32(len(m.keys)))
		m.offsets = append(m.offsets, records.Offset())
		end = records.Offset() + int64(len(record))
		m.exact = append(m.exact, slot{m.hashSent(record, appendExact), int32(len(m.keyEnd) - 1)})
	})
	if err != nil {
		return nil, err
	}
	m.offsets = append(m.offsets, end)
	m.taken = make([]bool, len(m.keyEnd))
	sortSlots(m.exact)
	return m, nil
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

// use tells the matcher which header the results have; the columns they lack are not compared.
func (m *matcher) use(header []string) error {
	columns, results := m.columns[:0:0], m.results[:0]
	for _, column := range m.columns {
		i := slices.IndexFunc(header, func(name string) bool { return strings.EqualFold(name, m.sent.Header[column]) })
		if i >= 0 {
			columns, results = append(columns, column), append(results, i)
		}
	}
	if len(columns) == 0 {
		return fmt.Errorf("the results have none of the columns that were sent: %s", strings.Join(header, ", "))
	}
	m.results = results
	if len(columns) == len(m.columns) {
		return nil
	}
	m.columns, m.loose = columns, nil
	return m.rebuild(&m.exact, appendExact)
}

func (m *matcher) rebuild(slots *[]slot, form func(dst, v []byte) []byte) error {
	*slots = (*slots)[:0]
	err := m.each(func(records Records) {
		*slots = append(*slots, slot{m.hashSent(records.Record(), form), int32(len(*slots))})
	})
	sortSlots(*slots)
	return err
}

// match returns the record that the result row is about and takes it, so that no other row gets it.
func (m *matcher) match(row []string) (record int, ok bool, err error) {
	if i, found := m.take(m.exact, m.hashResult(row, appendExact)); found {
		return i, true, nil
	}
	if m.loose == nil {
		if err := m.rebuild(&m.loose, appendCanonical); err != nil {
			return 0, false, err
		}
	}
	hash := m.hashResult(row, appendCanonical)
	if !m.unambiguous(hash) {
		return 0, false, nil
	}
	i, found := m.take(m.loose, hash)
	return i, found, nil
}

func (m *matcher) take(slots []slot, hash uint64) (int, bool) {
	for _, s := range equal(slots, hash) {
		if !m.taken[s.record] {
			m.taken[s.record] = true
			return int(s.record), true
		}
	}
	return 0, false
}

// unambiguous reports whether the free records of one canonical form are all the same to the byte.
// 007 and 7 look alike to a number field and are two records to a text field: nothing decides.
func (m *matcher) unambiguous(hash uint64) bool {
	var seen bool
	var first uint64
	for _, s := range equal(m.loose, hash) {
		if m.taken[s.record] {
			continue
		}
		h, err := m.exactHash(int(s.record))
		if err != nil || seen && h != first {
			return false
		}
		seen, first = true, h
	}
	return seen
}

func (m *matcher) exactHash(record int) (uint64, error) {
	raw, err := m.raw(record)
	if err != nil {
		return 0, err
	}
	return m.hashSent(raw, appendExact), nil
}

func (m *matcher) len() int { return len(m.keyEnd) }

func (m *matcher) key(record int) []byte {
	start := uint32(0)
	if record > 0 {
		start = m.keyEnd[record-1]
	}
	return m.keys[start:m.keyEnd[record]]
}

func (m *matcher) raw(record int) ([]byte, error) {
	return m.sent.RecordAt(m.offsets[record], int(m.offsets[record+1]-m.offsets[record]))
}

func (m *matcher) hashSent(record []byte, form func(dst, v []byte) []byte) uint64 {
	fields := m.split.split(record)
	m.scratch = m.scratch[:0]
	for _, column := range m.columns {
		if column < len(fields) {
			m.scratch = form(m.scratch, fields[column])
		}
		m.scratch = append(m.scratch, 0)
	}
	return maphash.Bytes(m.seed, m.scratch)
}

func (m *matcher) hashResult(row []string, form func(dst, v []byte) []byte) uint64 {
	m.scratch = m.scratch[:0]
	for _, column := range m.results {
		if column < len(row) {
			m.scratch = form(m.scratch, []byte(row[column]))
		}
		m.scratch = append(m.scratch, 0)
	}
	return maphash.Bytes(m.seed, m.scratch)
}

// appendExact appends v as it was sent. Line breaks are LF in what we send, and a reader of the
// results may see them as CRLF.
func appendExact(dst, v []byte) []byte {
	if bytes.IndexByte(v, '\r') < 0 {
		return append(dst, v...)
	}
	return append(dst, bytes.ReplaceAll(v, []byte("\r\n"), []byte("\n"))...)
}

func sortSlots(slots []slot) {
	slices.SortFunc(slots, func(a, b slot) int {
		switch {
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return int(a.record) - int(b.record)
	})
}

// equal returns the slots of one hash.
func equal(slots []slot, hash uint64) []slot {
	from, _ := slices.BinarySearchFunc(slots, hash, func(s slot, h uint64) int {
		if s.hash < h {
			return -1
		}
		if s.hash > h {
			return 1
		}
		return 0
	})
	to := from
	for to < len(slots) && slots[to].hash == hash {
		to++
	}
	return slots[from:to]
}
