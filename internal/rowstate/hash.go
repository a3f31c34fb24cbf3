package rowstate

import (
	"crypto/sha256"
	"hash"
)

// HashSize is the size of a hash in bytes: 128 bits. Of a million million records, two differ and have
// the same hash with a chance of 1 in 10^14; with 64 bits it would be certain, and such a change would
// never be sent.
const HashSize = 16

// Hasher hashes records under a fingerprint. It is for one goroutine.
type Hasher struct {
	salt []byte
	hash hash.Hash
	sum  [sha256.Size]byte
}

// NewHasher returns a hasher for records under the set's fingerprint.
func (s *Set) NewHasher() *Hasher {
	return &Hasher{salt: append([]byte(s.Fingerprint), 0), hash: sha256.New()}
}

// Sum is the hash of a record, valid until the next.
func (h *Hasher) Sum(record []byte) []byte {
	h.hash.Reset()
	// A hash takes everything.
	_, _ = h.hash.Write(h.salt)
	_, _ = h.hash.Write(record)
	return h.hash.Sum(h.sum[:0])[:HashSize]
}
