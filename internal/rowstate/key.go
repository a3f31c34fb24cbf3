package rowstate

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// KeyKind is how a column of a key is ordered.
type KeyKind string

// The kinds of key columns. There are only these two because their order is the same in every
// database: that of other types, or of text under another collation than "C", need not be.
const (
	KeyInt  KeyKind = "int"  // by its value, of 64 bits
	KeyText KeyKind = "text" // by its bytes
)

// Keys are the columns of a set's keys.
type Keys []KeyKind

// Append appends the bytes of a key, given as the texts of its columns. The order of the bytes is the
// order of the keys, column by column.
func (k Keys) Append(dst []byte, parts [][]byte) ([]byte, error) {
	if len(parts) != len(k) {
		return nil, fmt.Errorf("a key of %d columns, want %d", len(parts), len(k))
	}
	for i, kind := range k {
		if kind == KeyText {
			// No text of Postgres has a zero in it, so that it ends before every longer one.
			dst = append(append(dst, parts[i]...), 0)
			continue
		}
		n, err := strconv.ParseInt(string(parts[i]), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("key column %d: %w", i+1, err)
		}
		dst = binary.BigEndian.AppendUint64(dst, uint64(n)^1<<63)
	}
	return dst, nil
}

// OfTexts is the key of texts.
func (k Keys) OfTexts(parts []string) ([]byte, error) {
	raw := make([][]byte, len(parts))
	for i, part := range parts {
		raw[i] = []byte(part)
	}
	return k.Append(nil, raw)
}
