package extract_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"bulkhead/internal/extract"
	"bulkhead/internal/pgtest"
)

// accounts is a table like those that are loaded: 14 columns, 300 bytes a row,
// some nulls, some text that needs quotes, some that is not ASCII.
const accounts = `
	CREATE TABLE accounts AS
	SELECT i::bigint AS id, gen_random_uuid() AS ref, 'Customer number ' || i AS name,
		CASE WHEN i %% 3 > 0 THEN 'https://www.example.com/customers/' || i END AS website,
		i %% 80 || ' Long Street' || CASE WHEN i %% 80 = 0 THEN E', "The Mill"\nback yard' ELSE '' END AS street,
		CASE WHEN i %% 100 = 0 THEN 'Zürich' ELSE 'Springfield' END AS city,
		CASE WHEN i %% 2 = 0 THEN '+1 555 ' || i END AS phone, (i * 12.34)::numeric(14, 2) AS revenue,
		(i %% 5000)::int AS employees, i %% 7 = 0 AS active, date '2000-01-01' + (i %% 9000)::int AS since,
		timestamptz '2020-01-01 00:00:00+00' + i * interval '1.37 s' AS created_at,
		timestamptz '2024-01-01 00:00:00+00' + i * interval '0.73 s' AS updated_at, repeat('note ', 12) AS description
	FROM generate_series(1, %d) i;
	ALTER TABLE accounts ADD PRIMARY KEY (id)`

func accountsSpec() extract.Spec {
	s := spec("SELECT * FROM accounts ORDER BY id", 13)
	s.Columns = append(s.Columns, extract.Column{Header: "Legacy_Id__c", Index: 0})
	s.MaxRows, s.MaxBytes = 100_000, 90_000_000
	return s
}

// counter is a Writer that only counts.
type counter struct{ rows, bytes int64 }

func (c *counter) Append(_, record []byte) error {
	c.rows++
	c.bytes += int64(len(record))
	return nil
}

func (c *counter) Reject(key, code, message, field string, _ []byte) error {
	return fmt.Errorf("row %s: %s %s: %s", key, code, field, message)
}

// streamAccounts extracts the table once, and throws it away.
func streamAccounts(ctx context.Context, conn *pgx.Conn) (*counter, error) {
	c := &counter{}
	begin := func(context.Context, int) (extract.Writer, error) { return c, nil }
	return c, extractAccounts(ctx, conn, begin, func(context.Context, extract.Chunk) error { return nil })
}

func extractAccounts(ctx context.Context, conn *pgx.Conn, begin extract.BeginFunc, end extract.EndFunc) error {
	tx, err := extract.Begin(ctx, conn)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	q, err := extract.Prepare(ctx, tx, accountsSpec())
	if err != nil {
		return err
	}
	return q.Stream(ctx, begin, end)
}

// prepareAccounts makes the table in a database of its own.
func prepareAccounts(tb testing.TB, rows int) *pgx.Conn {
	tb.Helper()
	dsn := pgtest.Empty(tb)
	pgtest.Exec(tb, dsn, fmt.Sprintf(accounts, rows))
	pgtest.Exec(tb, dsn, "VACUUM (FREEZE, ANALYZE) accounts") // refuses to share a transaction
	conn, err := extract.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// BenchmarkStream extracts a table, and in the same round has Postgres write it
// as CSV into nothing; x_copy is the ratio of the two times.
func BenchmarkStream(b *testing.B) {
	const rows = 500_000
	conn := prepareAccounts(b, rows)
	var extracting, copying time.Duration
	var bytes int64
	for b.Loop() {
		start := time.Now()
		if _, err := conn.PgConn().CopyTo(b.Context(), io.Discard, "COPY (SELECT * FROM accounts ORDER BY id) TO STDOUT (FORMAT csv)"); err != nil {
			b.Fatal(err)
		}
		copied := time.Now()
		c, err := streamAccounts(b.Context(), conn)
		if err != nil {
			b.Fatal(err)
		}
		if c.rows != rows {
			b.Fatalf("%d rows", c.rows)
		}
		bytes = c.bytes
		copying += copied.Sub(start)
		extracting += time.Since(copied)
	}
	b.ReportMetric(float64(b.N)*rows/extracting.Seconds(), "rows/s")
	b.ReportMetric(float64(b.N)*float64(bytes)/extracting.Seconds()/1e6, "MB/s")
	b.ReportMetric(extracting.Seconds()/copying.Seconds(), "x_copy")
}

// TestStreamAllocatesNothingPerRow reads rows by the ten thousand: what is
// allocated does not grow with them.
func TestStreamAllocatesNothingPerRow(t *testing.T) { //nolint:paralleltest // counts the process's allocations
	const rows = 50_000
	conn := prepareAccounts(t, rows)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := streamAccounts(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if allocs := after.Mallocs - before.Mallocs; allocs > rows/5 {
		t.Errorf("%d allocations for %d rows", allocs, rows)
	}
}

// fixedRow is a row of each common type, and their OIDs.
func fixedRow() (row [][]byte, oids []uint32) {
	add := func(oid uint32, raw []byte) {
		row, oids = append(row, raw), append(oids, oid)
	}
	add(pgtype.Int8OID, binary.BigEndian.AppendUint64(nil, 123456789))
	add(pgtype.TextOID, []byte("plain text of some length"))
	add(pgtype.TextOID, []byte("with \"quotes\", commas,\r\nlines and 😀"))
	add(pgtype.TextOID, nil)
	add(pgtype.TextOID, []byte{})
	add(pgtype.BPCharOID, []byte("char    "))
	add(pgtype.BoolOID, []byte{1})
	add(pgtype.Int4OID, []byte{0xff, 0, 0, 1})
	add(pgtype.Float8OID, []byte{0x40, 0x09, 0x21, 0xfb, 0x54, 0x44, 0x2d, 0x18})
	add(pgtype.NumericOID, []byte{0, 2, 0, 1, 0x40, 0, 0, 2, 0, 12, 0x0d, 0x80})
	add(pgtype.DateOID, []byte{0, 0, 0x20, 0})
	add(pgtype.TimestamptzOID, binary.BigEndian.AppendUint64(nil, 700_000_000_123_456))
	add(pgtype.TimeOID, binary.BigEndian.AppendUint64(nil, 3_600_000_001))
	add(pgtype.UUIDOID, make([]byte, 16))
	add(pgtype.ByteaOID, []byte{1, 2, 3, 4})
	return row, oids
}

func TestEncoderAllocatesNothing(t *testing.T) { //nolint:paralleltest // counts the process's allocations
	row, oids := fixedRow()
	s := spec("", len(row)-1)
	// A key of two columns, of which the second is a timestamp.
	s.Key, s.KeyNames = []int{0, 11}, []string{"id", "at"}
	encoder, err := extract.NewRowEncoder(s, oids...)
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(0)
	encode := func() {
		n++
		binary.BigEndian.PutUint64(row[0], n)
		if _, _, code, err := encoder.Encode(row); code != "" || err != nil {
			t.Fatal(code, err)
		}
	}
	encode() // grows the buffers
	if allocs := testing.AllocsPerRun(1000, encode); allocs != 0 {
		t.Errorf("%v allocations per row", allocs)
	}
}

// BenchmarkEncode makes records of one row of each common type.
func BenchmarkEncode(b *testing.B) {
	row, oids := fixedRow()
	encoder, err := extract.NewRowEncoder(spec("", len(row)-1), oids...)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		binary.BigEndian.PutUint64(row[0], n)
		record, _, _, err := encoder.Encode(row)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(record)))
	}
}
