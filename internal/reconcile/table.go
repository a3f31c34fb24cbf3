package reconcile

import "iter"

// table finds the records of a chunk by a hash: buckets of records in ascending order. It holds
// hashes, and who looks for a record by one accepts that two may share it.
type table struct {
	hashes []uint64 // by record
	first  []int32  // by bucket, the first record; none: -1
	next   []int32  // by record, the next one of its bucket; none: -1
}

// newTable indexes the records by their hashes, which it keeps. shared are the records whose hash is
// that of another one, in no order and some of them more than once.
func newTable(hashes []uint64) (t *table, shared []int) {
	buckets := 1
	for buckets < len(hashes) {
		buckets *= 2
	}
	t = &table{hashes: hashes, first: make([]int32, buckets), next: make([]int32, len(hashes))}
	for i := range t.first {
		t.first[i] = -1
	}
	for record := len(hashes) - 1; record >= 0; record-- {
		bucket := t.bucket(hashes[record])
		for other := *bucket; other >= 0; other = t.next[other] {
			if hashes[other] == hashes[record] {
				shared = append(shared, record, int(other))
				break // the others of this hash are known already
			}
		}
		t.next[record], *bucket = *bucket, int32(record)
	}
	return t, shared
}

func (t *table) bucket(hash uint64) *int32 { return &t.first[hash&uint64(len(t.first)-1)] }

// free yields the records of a hash that are not taken, and drops the taken ones that it passes, so
// that many equal records are not passed again for each.
func (t *table) free(hash uint64, taken []bool) iter.Seq[int] {
	return func(yield func(int) bool) {
		for at := t.bucket(hash); *at >= 0; {
			record := *at
			if taken[record] {
				*at = t.next[record]
				continue
			}
			if t.hashes[record] == hash && !yield(int(record)) {
				return
			}
			at = &t.next[record]
		}
	}
}
