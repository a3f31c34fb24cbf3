package reconcile_test

import (
	"context"
	"io"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/reconcile"
)

// manyFailed is a job all of whose records failed: the records as they were sent and their results are
// made while they are read, and none is kept.
type manyFailed struct {
	rows, at int
	look     func() // called now and then
	line     []byte
}

// The records are of one length: eight digits and a text.
const (
	failedText   = 300
	failedLength = 8 + 1 + failedText + 1
)

func (m *manyFailed) Next() bool {
	if m.at++; m.at%20_000 == 0 {
		m.look()
	}
	return m.at <= m.rows
}

func (m *manyFailed) Key() []byte    { return m.Record()[:8] }
func (m *manyFailed) Offset() int64  { return int64(m.at-1) * failedLength }
func (m *manyFailed) Record() []byte { return m.make(m.at) }
func (m *manyFailed) Err() error     { return nil }
func (m *manyFailed) Close() error   { return nil }

func (m *manyFailed) make(n int) []byte {
	m.line = append(m.line[:0], eightDigits(n)...)
	m.line = append(m.line, ',')
	m.line = append(m.line, failedName...)
	m.line = append(m.line, '\n')
	return m.line
}

// ReadAt makes the record at an offset.
func (m *manyFailed) ReadAt(p []byte, offset int64) (int, error) {
	if len(p) != failedLength {
		return 0, io.ErrUnexpectedEOF
	}
	return copy(p, m.make(int(offset/failedLength)+1)), nil
}

var failedName = strings.Repeat("x", failedText)

func eightDigits(n int) string { return strconv.Itoa(100_000_000 + n)[1:] }

// failedResults are its results, from the last to the first.
type failedResults struct{ *manyFailed }

func (failedResults) Header() []string {
	return []string{"sf__Id", "sf__Error", "Legacy_Id__c", "Name"}
}

func (r failedResults) Record() []string {
	return []string{"", "X:no:Name --", eightDigits(r.rows - r.at + 1), failedName}
}

// TestMoreFailuresThanMemoryHolds settles a job of which every record failed and whose failures are many
// times larger than the memory that settling may take.
func TestMoreFailuresThanMemoryHolds(t *testing.T) { //nolint:paralleltest // measures the process's heap
	const rows, bound = 200_000, 40 << 20
	b := setup(t)
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	measure := func() uint64 { metrics.Read(sample); return sample[0].Value.Uint64() }
	var peak uint64
	fresh := func() *manyFailed {
		return &manyFailed{rows: rows, look: func() { runtime.GC(); peak = max(peak, measure()) }}
	}
	chunk := chunkOf(1, rows, "Legacy_Id__c", reconcile.Job{Processed: rows, Failed: rows}, &reconcile.Sent{
		Header: []string{"Legacy_Id__c", "Name"},
		Open:   func() (reconcile.Records, error) { return fresh(), nil },
		Raw:    func() (reconcile.Raw, error) { return fresh(), nil },
	})
	downloads := job{}.downloads()
	downloads.Failed = func(context.Context) (reconcile.Results, error) { return failedResults{fresh()}, nil }
	var out reconcile.Outcome
	err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) (err error) {
		out, err = reconcile.Settle(t.Context(), tx, chunk, downloads, reconcile.Options{Parse: parse})
		return err
	})
	if err != nil || out.Failed != rows || out.Unmatched != 0 {
		t.Fatalf("got %+v, %v", out, err)
	}
	t.Logf("%d failures of %d MB: at most %d MB of heap", rows, rows*failedText>>20, peak>>20)
	if peak == 0 || peak > bound {
		t.Errorf("settling took %d MB of heap, want at most %d", peak>>20, bound>>20)
	}
}
