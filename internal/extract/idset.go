package extract

import (
	"bytes"
	"hash/maphash"
)

// idSet holds the external ids of a chunk, each with the key of its row. It keeps
// them in one piece of memory that is used again for the next chunk: a Go map
// would allocate for each row.
type idSet struct {
	seed  maphash.Seed
	slots []int32 // index into entries plus 1; 0 is free
	items []idEntry
	arena []byte // of all ids and keys
	id    []byte // scratch
}

// idEntry tells where in the arena an id and, after it, its row's key are.
type idEntry struct {
	hash           uint64
	start, id, end int
}

func newIDSet() *idSet {
	return &idSet{seed: maphash.MakeSeed(), slots: make([]int32, 1024)}
}

func (s *idSet) reset() {
	clear(s.slots)
	s.items, s.arena = s.items[:0], s.arena[:0]
}

// add adds an id, as Salesforce compares it, with its row's key. If it is there
// already, add returns the key of the row that has it.
func (s *idSet) add(id, key []byte, fold bool) (taken []byte, ok bool) {
	id = bytes.TrimSpace(id)
	if fold {
		s.id = appendFolded(s.id[:0], id)
		id = s.id
	}
	hash := maphash.Bytes(s.seed, id)
	slot := s.find(hash, id)
	if n := s.slots[slot]; n > 0 {
		entry := s.items[n-1]
		return s.arena[entry.id:entry.end], false
	}
	entry := idEntry{hash: hash, start: len(s.arena)}
	s.arena = append(s.arena, id...)
	entry.id = len(s.arena)
	s.arena = append(s.arena, key...)
	entry.end = len(s.arena)
	s.items = append(s.items, entry)
	s.slots[slot] = int32(len(s.items))
	if 2*len(s.items) > len(s.slots) {
		s.grow()
	}
	return nil, true
}

// find returns the slot of an id, or the free one where it belongs.
func (s *idSet) find(hash uint64, id []byte) int {
	mask := len(s.slots) - 1
	for slot := int(hash) & mask; ; slot = (slot + 1) & mask {
		n := s.slots[slot]
		if n == 0 {
			return slot
		}
		if entry := s.items[n-1]; entry.hash == hash && bytes.Equal(s.arena[entry.start:entry.id], id) {
			return slot
		}
	}
}

func (s *idSet) grow() {
	s.slots = make([]int32, 2*len(s.slots))
	mask := len(s.slots) - 1
	for i, entry := range s.items {
		slot := int(entry.hash) & mask
		for s.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		s.slots[slot] = int32(i + 1)
	}
}
