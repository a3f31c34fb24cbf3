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

// matcher finds the record that a result row is about: by the external id where it tells the records
// apart, else by the whole content, equal rows being interchangeable. It looks for the very bytes
// first, and then for what Salesforce might have made of them.
//
// Its memory is about 30 bytes and one key per record of the chunk.
type matcher struct {
	sent Sent
	id   []int // the external id's column; none where the job has none
	all  []int // the columns that come back
	at   []int // where these stand in the results that are being read; -1: nowhere
	seed maphash.Seed

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

// form is how a value is written before it is hashed.
type form = func(dst, v []byte) []byte

// newMatcher indexes the chunk's file. externalID is the header of the external id, or empty; header is
// that of the results, whose columns may be fewer and in another order.
func newMatcher(sent Sent, externalID string, header []string) (*matcher, error) {
	m := &matcher{sent: sent, seed: maphash.MakeSeed()}
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
	err := m.each(func(records Records) {
		m.keys = append(m.keys, records.Key()...)
		m.keyEnd = append(m.keyEnd, uint32(len(m.keys)))
		m.offsets = append(m.offsets, records.Offset())
		end = records.Offset() + int64(len(records.Record()))
	})
	if err != nil {
		return nil, err
	}
	m.offsets = append(m.offsets, end)
	m.taken = make([]bool, len(m.keyEnd))
	m.exact, err = m.index(appendExact)
	return m, err
}

// use takes the header of the results that are read next.
func (m *matcher) use(header []string) {
	m.at = m.at[:0]
	for _, column := range m.all {
		m.at = append(m.at, place(header, m.sent.Header[column]))
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
// it with another.
func (m *matcher) index(f form) ([]slot, error) {
	slots := make([]slot, 0, m.len())
	byContent := make([]bool, m.len())
	again := false
	err := m.each(func(records Records) {
		i := len(slots)
		hash, ok := m.hash(m.split.split(records.Record()), m.id, f)
		byContent[i] = !ok
		again = again || !ok
		slots = append(slots, slot{hash, int32(i)})
	})
	if err != nil {
		return nil, err
	}
	sortSlots(slots)
	for i := 1; i < len(slots); i++ {
		if slots[i].hash == slots[i-1].hash {
			byContent[slots[i].record], byContent[slots[i-1].record], again = true, true, true
		}
	}
	if !again {
		return slots, nil
	}
	contents := make([]uint64, m.len())
	i := 0
	err = m.each(func(records Records) {
		if byContent[i] {
			contents[i], _ = m.hash(m.split.split(records.Record()), m.all, f)
		}
		i++
	})
	if err != nil {
		return nil, err
	}
	for i := range slots {
		if byContent[slots[i].record] {
			slots[i].hash = contents[slots[i].record]
		}
	}
	sortSlots(slots)
	return slots, nil
}

// match returns the record that the result row is about and takes it, so that no other row gets it.
func (m *matcher) match(row []string) (record int, ok bool, err error) {
	fields := m.result(row)
	if i, found := m.find(m.exact, fields, appendExact, false); found {
		return i, true, nil
	}
	if m.loose == nil {
		if m.loose, err = m.index(appendCanonical); err != nil {
			return 0, false, err
		}
	}
	i, found := m.find(m.loose, fields, appendCanonical, true)
	return i, found, nil
}

// result is a row of the results with its values where the records sent have them.
func (m *matcher) result(row []string) [][]byte {
	fields := make([][]byte, len(m.sent.Header))
	for i, column := range m.all {
		if at := m.at[i]; at >= 0 && at < len(row) {
			fields[column] = []byte(row[at])
		}
	}
	return fields
}

func (m *matcher) find(slots []slot, fields [][]byte, f form, unambiguous bool) (int, bool) {
	for _, columns := range [][]int{m.id, m.all} {
		hash, ok := m.hash(fields, columns, f)
		if !ok || unambiguous && !m.unambiguous(slots, hash) {
			continue
		}
		for _, s := range equal(slots, hash) {
			if !m.taken[s.record] {
				m.taken[s.record] = true
				return int(s.record), true
			}
		}
	}
	return 0, false
}

// unambiguous reports whether the free records of one canonical form are all the same to the byte.
// 007 and 7 look alike to a number field and are two records to a text field: nothing decides.
func (m *matcher) unambiguous(slots []slot, hash uint64) bool {
	var first []byte
	for _, s := range equal(slots, hash) {
		if m.taken[s.record] {
			continue
		}
		raw, err := m.raw(int(s.record))
		if err != nil || first != nil && !bytes.Equal(raw, first) {
			return false
		}
		first = raw
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

func (m *matcher) raw(record int) ([]byte, error) {
	return m.sent.RecordAt(m.offsets[record], int(m.offsets[record+1]-m.offsets[record]))
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
