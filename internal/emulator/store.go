package emulator

import (
	"encoding/binary"
	"strings"
	"sync"
)

// store holds the records of the org. One lock covers them all, because saving
// a record looks at its parents in other tables. It is held for a chunk of
// records or a page of a query, never across a request's body or an answer.
type store struct {
	mu      sync.RWMutex
	tables  map[string]*table // by folded object name
	users   []string          // ids, by the number rows refer to them with
	records int64             // live ones, over all tables
}

// table is the records of an object. A record's id tells its place in rows, so
// that ids cost nothing to keep.
type table struct {
	object   *object
	rows     []row
	live     int64
	recycled int64
	passed   int64 // records that were not kept
	indexes  []index
}

// row is a record: its values packed into one string, see pack.
type row struct {
	values              string
	created, modified   int64 // milliseconds since 1970
	createdBy, changeBy int32 // numbers of users
	state               rowState
}

type rowState uint8

const (
	rowLive rowState = iota
	rowRecycled
	rowGone // hard deleted: the id stays taken
)

func newStore(schema map[string]*object) *store {
	s := &store{tables: make(map[string]*table, len(schema))}
	for name, o := range schema {
		s.tables[name] = newTable(o)
	}
	return s
}

func newTable(o *object) *table {
	t := &table{object: o, indexes: make([]index, len(o.indexed))}
	for i, f := range o.indexed {
		t.indexes[i] = index{foldCase: f.kind != kindReference && !f.CaseSensitive, first: map[string]int32{}}
	}
	return t
}

func (s *store) table(object string) (*table, bool) {
	t, ok := s.tables[fold(object)]
	return t, ok
}

// id is the 18 character id of the n-th row.
func (t *table) id(n int32) string { return makeID(t.object.KeyPrefix, int64(n)+1) }

// next is the number of the next record, from 1.
func (t *table) next() int64 { return int64(len(t.rows)) + t.passed + 1 }

// pass takes the place of a record that is not kept.
func (t *table) pass() int32 {
	n := int32(t.next() - 1)
	t.passed++
	return n
}

// find returns the row of an id in its canonical form.
func (t *table) find(id string) (int32, bool) {
	if !strings.HasPrefix(id, t.object.KeyPrefix) {
		return 0, false
	}
	seq, ok := idSequence(id)
	if !ok || seq < 1 || seq > int64(len(t.rows)) {
		return 0, false
	}
	return int32(seq - 1), true
}

// insert adds a record and returns its place.
func (t *table) insert(r row) int32 {
	n := int32(len(t.rows))
	t.rows = append(t.rows, r)
	t.live++
	t.reindex(n, "", r.values)
	return n
}

// replace gives a record new values.
func (t *table) replace(n int32, values string, at int64, user int32) {
	r := &t.rows[n]
	t.reindex(n, r.values, values)
	r.values, r.modified, r.changeBy = values, at, user
}

// remove moves a record to the recycle bin, or away for good.
func (t *table) remove(n int32, state rowState, at int64, user int32) {
	r := &t.rows[n]
	switch r.state {
	case rowLive:
		t.live--
		t.reindex(n, r.values, "")
	case rowRecycled:
		t.recycled--
	}
	if state == rowRecycled {
		t.recycled++
	}
	r.state, r.modified, r.changeBy = state, at, user
	if state == rowGone {
		r.values = ""
	}
}

// reindex moves a record in every index whose value has changed.
func (t *table) reindex(n int32, before, after string) {
	for slot, f := range t.object.indexed {
		old, had := unpack(before, f.position)
		value, has := unpack(after, f.position)
		if had == has && old == value {
			continue
		}
		if had {
			t.indexes[slot].remove(old, n)
		}
		if has {
			t.indexes[slot].add(value, n)
		}
	}
}

// value is what a field of a record holds; false is null.
func (s *store) value(t *table, n int32, f *field) (string, bool) {
	r := &t.rows[n]
	switch f.source {
	case sourceID:
		return t.id(n), true
	case sourceDeleted:
		return boolText(r.state != rowLive), true
	case sourceCreatedDate:
		return datetimeText(r.created), true
	case sourceModifiedDate:
		return datetimeText(r.modified), true
	case sourceCreatedBy:
		return s.users[r.createdBy], true
	case sourceModifiedBy:
		return s.users[r.changeBy], true
	case sourceName:
		return t.personName(r)
	case sourceNone:
		return "", false
	}
	v, ok := unpack(r.values, f.position)
	if !ok && f.kind == kindBoolean {
		return "false", true // a checkbox is never null
	}
	return v, ok
}

// personName joins first and last name, as Salesforce does for people.
func (t *table) personName(r *row) (string, bool) {
	var parts []string
	for _, name := range []string{"FirstName", "LastName"} {
		if f, ok := t.object.field(name); ok {
			if v, ok := unpack(r.values, f.position); ok {
				parts = append(parts, v)
			}
		}
	}
	return strings.Join(parts, " "), len(parts) > 0
}

// Values are packed as field position, length, bytes, the two numbers as
// varints, positions ascending; null and false take no room. A record of ten
// short fields is one allocation of some hundred bytes.

func appendValue(dst []byte, position int, value string) []byte {
	dst = binary.AppendUvarint(dst, uint64(position))
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

// nextValue cuts the first value off.
func nextValue(packed string) (position int, value, rest string) {
	p, n := uvarint(packed)
	size, m := uvarint(packed[n:])
	start := n + m
	return int(p), packed[start : start+int(size)], packed[start+int(size):]
}

func unpack(packed string, position int) (string, bool) {
	for packed != "" {
		p, value, rest := nextValue(packed)
		if p == position {
			return value, true
		}
		if p > position {
			break
		}
		packed = rest
	}
	return "", false
}

func uvarint(s string) (uint64, int) {
	var v uint64
	for i := 0; i < len(s); i++ {
		b := s[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return v, i + 1
		}
	}
	return v, len(s)
}

// index finds live records by the value of a field.
type index struct {
	foldCase bool
	first    map[string]int32
	more     map[string][]int32 // further records of values that are not unique
}

func (x *index) key(value string) string {
	if x.foldCase {
		return fold(value)
	}
	return value
}

func (x *index) add(value string, n int32) {
	key := x.key(value)
	if _, taken := x.first[key]; taken {
		if x.more == nil {
			x.more = map[string][]int32{}
		}
		x.more[key] = append(x.more[key], n)
		return
	}
	// The key must not keep the record's packed values alive.
	x.first[strings.Clone(key)] = n
}

func (x *index) remove(value string, n int32) {
	key := x.key(value)
	rest := x.more[key]
	if x.first[key] == n {
		if len(rest) == 0 {
			delete(x.first, key)
			return
		}
		x.first[key], rest = rest[0], rest[1:]
	} else {
		rest = without(rest, n)
	}
	if len(rest) == 0 {
		delete(x.more, key)
		return
	}
	x.more[key] = rest
}

// find returns one record of a value and whether there is one, and if there
// are several, the others.
func (x *index) find(value string) (first int32, ok bool, more []int32) {
	key := x.key(value)
	first, ok = x.first[key]
	if ok && x.more != nil {
		more = x.more[key]
	}
	return first, ok, more
}

func without(list []int32, n int32) []int32 {
	kept := make([]int32, 0, len(list))
	for _, v := range list {
		if v != n {
			kept = append(kept, v)
		}
	}
	return kept
}
