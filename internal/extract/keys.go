package extract

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// keyReader reads the keys of rows as they pass and checks that each is one. Its
// buffers are used again for each row.
type keyReader struct {
	columns []keyColumn
	names   []string

	text   []byte // of the current row, in the form of EncodeKey
	equals []byte // the current row's, as compared
	before []byte // the row's before, as compared
	rows   int64
	last   [][]byte // the columns of the current key, as text
	prior  [][]byte // those of the row before
}

func newKeyReader(q *Query) *keyReader {
	return &keyReader{columns: q.keys, names: q.spec.KeyNames, last: make([][]byte, len(q.keys)), prior: make([][]byte, len(q.keys))}
}

// read takes the key of a row. It is an error when the key has a NULL in it or is
// that of the row before, which in a sequence that is ordered by the key finds
// every duplicate.
func (k *keyReader) read(row [][]byte) error {
	k.before, k.equals = k.equals, k.before[:0]
	for i := range k.columns {
		c := &k.columns[i]
		raw := row[c.index]
		if raw == nil {
			return fmt.Errorf("key %s has a NULL in it; a key must tell every row apart", k.describe(row))
		}
		// The length keeps ("a", "bc") from ("ab", "c").
		start := len(k.equals)
		k.equals = c.equals(k.equals, raw)
		k.equals = binary.AppendUvarint(k.equals, uint64(len(k.equals)-start))
	}
	if k.rows > 0 && bytes.Equal(k.equals, k.before) {
		return fmt.Errorf("key %s is not unique: the query returns more than one row with it; a key must tell every row apart", k.describe(row))
	}
	if err := k.setText(row); err != nil {
		return err
	}
	k.rows++
	return nil
}

// setText makes the key's text and keeps its parts.
func (k *keyReader) setText(row [][]byte) error {
	k.last, k.prior = k.prior, k.last
	for i := range k.columns {
		k.last[i], _ = k.columns[i].key(k.last[i][:0], row[k.columns[i].index])
		if !utf8.Valid(k.last[i]) {
			return fmt.Errorf("key %s is not valid UTF-8, so it cannot be recorded", k.describe(row))
		}
	}
	if len(k.last) == 1 {
		k.text = append(k.text[:0], k.last[0]...)
		return nil
	}
	k.text = append(k.text[:0], '[')
	for i, part := range k.last {
		if i > 0 {
			k.text = append(k.text, ',')
		}
		k.text = appendJSONString(k.text, part)
	}
	k.text = append(k.text, ']')
	return nil
}

// texts copies the columns of a key.
func texts(key [][]byte) []string {
	parts := make([]string, len(key))
	for i, part := range key {
		parts[i] = string(part)
	}
	return parts
}

// where says how far the reading came.
func (k *keyReader) where() string {
	if k.rows == 0 {
		return "first rows"
	}
	if len(k.names) == 1 {
		return fmt.Sprintf("rows after %s %s", k.names[0], k.last[0])
	}
	return fmt.Sprintf("rows after %s", pairs(k.names, texts(k.last)))
}

// describe prints the key of a row that may not be one.
func (k *keyReader) describe(row [][]byte) string {
	values := make([]string, len(k.columns))
	for i, c := range k.columns {
		values[i] = "NULL"
		if raw := row[c.index]; raw != nil {
			text, _ := c.key(nil, raw)
			values[i] = strings.ToValidUTF8(string(text), "\uFFFD")
		}
	}
	return pairs(k.names, values)
}

// pairs prints (names) = (values).
func pairs(names, values []string) string {
	return "(" + strings.Join(names, ", ") + ") = (" + strings.Join(values, ", ") + ")"
}
