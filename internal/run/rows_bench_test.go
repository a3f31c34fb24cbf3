package run_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/emulator"
	"bulkhead/internal/extract"
	"bulkhead/internal/pgtest"
	"bulkhead/internal/rowstate"
	"bulkhead/internal/run"
)

// BenchmarkNightByHash compares a night of which 1 % changed with reading the source once and what is
// kept once. ETL_BENCH_ROWS is how many rows there are.
func BenchmarkNightByHash(b *testing.B) {
	rows, err := strconv.Atoi(os.Getenv("ETL_BENCH_ROWS"))
	if err != nil {
		rows = 200_000
	}
	t := setup(b, emulator.Config{})
	pgtest.Exec(b, t.dsn, `CREATE TABLE people (id int PRIMARY KEY, name text, site text)`)
	pgtest.Exec(b, t.dsn, fmt.Sprintf(`INSERT INTO people SELECT i, 'Person ' || i, 'https://example.com/' || repeat('x', 60) || i FROM generate_series(1, %d) AS i`, rows))
	pgtest.Exec(b, t.dsn, `VACUUM ANALYZE people`)
	yaml := strings.Replace(changing(byHash), ", updated_at, version", "", 1)
	yaml = strings.Replace(yaml, "chunk: { rows: 10, parallel: 2 }", "chunk: { rows: 100000 }", 1)
	if _, err := t.engine(b, yaml).Run(b.Context(), run.Options{Limit: 1}); err != nil {
		b.Fatal(err)
	}
	t.seed(b, rows)
	for b.Loop() {
		pgtest.Exec(b, t.dsn, `UPDATE people SET name = name || '!' WHERE id % 100 = 7`)
		source, kept := t.readSource(b), t.readKept(b)
		peak := watchMemory()
		start := time.Now()
		if _, err := t.engine(b, yaml).Plan(b.Context(), run.PlanOptions{}); err != nil {
			b.Fatal(err)
		}
		compared := time.Since(start)
		start = time.Now()
		s, err := t.engine(b, yaml).Run(b.Context(), run.Options{})
		if err != nil || s.Loaded != int64(rows/100) {
			b.Fatalf("got %v, %+v", err, s)
		}
		b.ReportMetric(source.Seconds(), "source-s")
		b.ReportMetric(kept.Seconds(), "kept-s")
		b.ReportMetric(compared.Seconds(), "compared-s")
		b.ReportMetric(time.Since(start).Seconds(), "night-s")
		b.ReportMetric(float64(peak())/(1<<20), "peak-heap-MB")
	}
}

// seed keeps hashes as a first load of all rows would have.
func (b *bundle) seed(tb testing.TB, rows int) {
	tb.Helper()
	ctx := tb.Context()
	set, err := rowstate.Find(ctx, b.store.Pool(), "people", "accounts")
	if err != nil {
		tb.Fatal(err)
	}
	hasher, i := set.NewHasher(), 0
	for i < rows {
		end := min(i+100_000, rows)
		err := pgx.BeginFunc(ctx, b.store.Pool(), func(tx pgx.Tx) error {
			return set.Write(ctx, tx, func() (*rowstate.Row, error) {
				if i == end {
					return nil, nil
				}
				i++
				key, err := set.Keys.OfTexts([]string{strconv.Itoa(i)})
				return &rowstate.Row{Key: key, Accepted: true, Hash: hasher.Sum(fmt.Appendf(nil, "%d,Person %d,https://example.com/%s%d\n", i, i, strings.Repeat("x", 60), i))}, err
			})
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	pgtest.Exec(tb, b.dsn, `VACUUM ANALYZE etl.row_state`)
}

// nowhere takes chunks and keeps nothing.
type nowhere struct{}

func (nowhere) Append(_, _ []byte) error                            { return nil }
func (nowhere) Reject(string, string, string, string, []byte) error { return nil }
func (nowhere) begin(context.Context, int) (extract.Writer, error)  { return nowhere{}, nil }
func (nowhere) end(context.Context, extract.Chunk) error            { return nil }

func (b *bundle) readSource(tb testing.TB) time.Duration {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), b.dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(tb.Context())
	tx, err := extract.Begin(tb.Context(), conn)
	if err != nil {
		tb.Fatal(err)
	}
	start := time.Now()
	query, err := extract.Prepare(tb.Context(), tx, extract.Spec{
		Step: "s", SQL: `SELECT id, name, site FROM people ORDER BY id`, Key: []int{0}, KeyNames: []string{"id"}, ExternalID: -1,
		Columns: []extract.Column{{Header: "A", Index: 0}, {Header: "B", Index: 1}, {Header: "C", Index: 2}}, MaxRows: 100_000, MaxBytes: 90_000_000,
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := query.Stream(tb.Context(), nowhere{}.begin, nowhere{}.end); err != nil {
		tb.Fatal(err)
	}
	return time.Since(start)
}

func (b *bundle) readKept(tb testing.TB) time.Duration {
	tb.Helper()
	start := time.Now()
	rows, err := b.store.Pool().Query(tb.Context(), `SELECT key, hash FROM etl.row_state ORDER BY set_id, key`)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		_ = rows.RawValues()
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return time.Since(start)
}

// watchMemory returns a function that ends the watch and returns the largest heap that was seen, in bytes.
func watchMemory() func() uint64 {
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		most := uint64(0)
		for {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			most = max(most, stats.HeapAlloc)
			select {
			case <-tick.C:
			case <-stop:
				peak <- most
				return
			}
		}
	}()
	return func() uint64 {
		close(stop)
		return <-peak
	}
}
