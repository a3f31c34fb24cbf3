package extract_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/extract"
	"bulkhead/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Context() context.Context
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// chunk is a chunk as its writer saw it.
type chunk struct {
	extract.Chunk
	ended    bool
	csv      []byte   // without the header
	keys     []string // of the records
	rejected []rejection
	order    []string // the keys of records and rejected rows, as they came
}

type rejection struct {
	Key, Code, Message, Field string
	Payload                   map[string]*string
}

func (c *chunk) Append(key, record []byte) error {
	c.keys = append(c.keys, string(key))
	c.order = append(c.order, string(key))
	c.csv = append(c.csv, record...)
	return nil
}

func (c *chunk) Reject(key, code, message, field string, payload []byte) error {
	r := rejection{Key: key, Code: code, Message: message, Field: field}
	if err := json.Unmarshal(payload, &r.Payload); err != nil {
		return fmt.Errorf("payload %s: %w", payload, err)
	}
	c.rejected = append(c.rejected, r)
	c.order = append(c.order, key)
	return nil
}

// records are the chunk's cells as a CSV reader sees them.
func (c *chunk) records(t tester) [][]string {
	t.Helper()
	records, err := csv.NewReader(bytes.NewReader(c.csv)).ReadAll()
	if err != nil {
		t.Fatalf("CSV %q: %v", c.csv, err)
	}
	return records
}

// stream runs a spec and returns its chunks, the unfinished one too.
func stream(ctx context.Context, conn *pgx.Conn, spec extract.Spec) ([]*chunk, error) {
	tx, err := extract.Begin(ctx, conn)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	q, err := extract.Prepare(ctx, tx, spec)
	if err != nil {
		return nil, err
	}
	var chunks []*chunk
	begin := func(_ context.Context, seq int) (extract.Writer, error) {
		chunks = append(chunks, &chunk{Chunk: extract.Chunk{Seq: seq}})
		return chunks[len(chunks)-1], nil
	}
	end := func(_ context.Context, done extract.Chunk) error {
		last := chunks[len(chunks)-1]
		last.Chunk, last.ended = done, true
		return nil
	}
	err = q.Stream(ctx, begin, end)
	return chunks, err
}

// spec returns a spec that reads SQL whose first column is the key and whose
// others are fields named F1, F2 and so on.
func spec(sql string, fields int) extract.Spec {
	s := extract.Spec{
		Step: "things", SQL: sql, Key: []int{0}, KeyNames: []string{"id"},
		Null: "#N/A", ExternalID: -1, MaxRows: 1000, MaxBytes: 10_000_000,
	}
	for i := range fields {
		s.Columns = append(s.Columns, extract.Column{Header: fmt.Sprintf("F%d", i+1), Index: i + 1})
	}
	return s
}

// connect returns a connection to a database that the SQL has prepared.
func connect(t testing.TB, sql string) *pgx.Conn {
	t.Helper()
	dsn := pgtest.Empty(t)
	if sql != "" {
		pgtest.Exec(t, dsn, sql)
	}
	return pgtest.Conn(t, dsn)
}
