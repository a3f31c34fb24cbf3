//go:build unix

package extract_test

import (
	"context"
	"io"
	"syscall"
	"testing"
	"time"

	"bulkhead/internal/extract"
	"bulkhead/internal/spool"
)

// spooling is a Writer into a chunk's file.
type spooling struct{ *spool.Writer }

func (s spooling) Reject(key, code, message, field string, _ []byte) error {
	return s.Writer.Reject(spool.Rejection{Key: key, Code: code, Message: message, Field: field})
}

// cpu is the time that this process has spent computing: the server is another one.
func cpu(tb testing.TB) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkSpool extracts a table into chunk files, synced as they are in a run, and in the same
// round has Postgres write it as CSV into nothing. x_copy is the ratio of the two times; cpu-s/Mrows
// is what this process computes for a million rows.
func BenchmarkSpool(b *testing.B) {
	const rows = 500_000
	conn := prepareAccounts(b, rows)
	var extracting, copying, computing time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := conn.PgConn().CopyTo(b.Context(), io.Discard, "COPY (SELECT * FROM accounts ORDER BY id) TO STDOUT (FORMAT csv)"); err != nil {
			b.Fatal(err)
		}
		copied, before := time.Now(), cpu(b)
		files, err := spool.Open(spool.Config{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		var w *spool.Writer
		begin := func(ctx context.Context, seq int) (extract.Writer, error) {
			w, err = files.Create(ctx, spool.Name(1, "accounts", seq), []byte("header\n"), nil)
			return spooling{w}, err
		}
		end := func(context.Context, extract.Chunk) error {
			_, err := w.Commit()
			return err
		}
		if err := extractAccounts(b.Context(), conn, begin, end); err != nil {
			b.Fatal(err)
		}
		copying += copied.Sub(start)
		extracting += time.Since(copied)
		computing += cpu(b) - before
	}
	b.ReportMetric(extracting.Seconds()/copying.Seconds(), "x_copy")
	b.ReportMetric(computing.Seconds()/float64(b.N)/rows*1e6, "cpu-s/Mrows")
}
