package rowstate

import (
	"bytes"
	"context"
	"fmt"
)

// Pages of a Reader: small where most of what is kept is passed over, large where all of it is read.
const (
	leastPage = 500
	mostPage  = 20_000
)

// Reader finds the hashes of keys that come in their order. It reads what is kept in the same order, a
// page at a time: memory holds one page, and no snapshot is held in between.
type Reader struct {
	set  *Set
	db   Querier
	wait func(ctx context.Context, read func(context.Context) error) error

	size   int
	keys   []byte
	ends   []int
	hashes []byte // HashSize of each
	known  []bool // the hash is not null

	next  int // in the page
	found int // of the page
	end   bool
	last  []byte // key that was asked for
}

// NewReader reads a set. wait calls a read until the database answers it.
func (s *Set) NewReader(db Querier, wait func(ctx context.Context, read func(context.Context) error) error) *Reader {
	return &Reader{set: s, db: db, wait: wait, size: leastPage}
}

// Find returns the hash kept of a key, valid until the next call; nil where there is none. Keys must
// come in ascending order.
func (r *Reader) Find(ctx context.Context, key []byte) ([]byte, error) {
	if r.last != nil && bytes.Compare(key, r.last) <= 0 {
		return nil, fmt.Errorf("the source returns key %q after %q: it is not in order", key, r.last)
	}
	r.last = append(r.last[:0], key...)
	for {
		for r.next < len(r.ends) {
			order := bytes.Compare(r.key(r.next), key)
			if order > 0 {
				return nil, nil
			}
			r.next++
			if order < 0 {
				continue
			}
			r.found++
			if i := r.next - 1; r.known[i] {
				return r.hashes[i*HashSize : (i+1)*HashSize], nil
			}
			return nil, nil
		}
		if r.end {
			return nil, nil
		}
		if err := r.page(ctx, key); err != nil {
			return nil, err
		}
	}
}

func (r *Reader) key(i int) []byte {
	start := 0
	if i > 0 {
		start = r.ends[i-1]
	}
	return r.keys[start:r.ends[i]]
}

// page reads the page that begins with key.
func (r *Reader) page(ctx context.Context, key []byte) error {
	if r.found*2 >= len(r.ends) {
		r.size = min(2*r.size, mostPage)
	} else {
		r.size = leastPage
	}
	err := r.wait(ctx, func(ctx context.Context) error { return r.read(ctx, key) })
	if err != nil {
		return fmt.Errorf("read the rows kept of step %q: %w", r.set.Step, err)
	}
	r.end = len(r.ends) < r.size
	return nil
}

func (r *Reader) read(ctx context.Context, key []byte) error {
	r.keys, r.ends, r.hashes, r.known, r.next, r.found = r.keys[:0], r.ends[:0], r.hashes[:0], r.known[:0], 0, 0
	const query = `SELECT key, hash FROM etl.row_state WHERE set_id = $1 AND key >= $2 ORDER BY key LIMIT $3`
	rows, err := r.db.Query(ctx, query, r.set.ID, key, r.size)
	if err != nil {
		return err
	}
	defer rows.Close()
	var none [HashSize]byte
	for rows.Next() {
		raw := rows.RawValues()
		hash := raw[1]
		known := len(hash) == HashSize
		if !known {
			hash = none[:]
		}
		r.keys = append(r.keys, raw[0]...)
		r.ends, r.hashes, r.known = append(r.ends, len(r.keys)), append(r.hashes, hash...), append(r.known, known)
	}
	return rows.Err()
}
