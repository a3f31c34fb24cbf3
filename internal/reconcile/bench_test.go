package reconcile_test

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"

	"bulkhead/internal/pgtest"
	"bulkhead/internal/reconcile"
)

// BenchmarkSettle settles a chunk of which every record failed, in a transaction
// that is rolled back.
func BenchmarkSettle(b *testing.B) {
	const rows = 20_000
	pool := pgtest.Pool(b, pgtest.New(b))
	sent, table := manyFailures(rows)
	chunk := chunkOf(1, rows, "Legacy_Id__c", reconcile.Job{Processed: rows, Failed: rows}, sent)
	b.ReportAllocs()
	for b.Loop() {
		tx, err := pool.Begin(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		out, err := reconcile.Settle(b.Context(), tx, chunk, job{failed: table}.downloads(), reconcile.Options{Parse: parse})
		if err != nil || out.Failed != rows {
			b.Fatal(out, err)
		}
		if err := tx.Rollback(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// manyFailures are records, and what a job says of them, in another order.
func manyFailures(rows int) (*reconcile.Sent, [][]string) {
	var data bytes.Buffer
	r := records{at: -1}
	data.WriteString("Legacy_Id__c,LastName,AnnualRevenue\n")
	table := failed()
	for i := range rows {
		r.keys = append(r.keys, strconv.Itoa(i))
		r.offsets = append(r.offsets, data.Len())
		fmt.Fprintf(&data, "K-%d,Lastname %d,%d\n", i, i, 912_000_000+i)
		n := rows - 1 - i
		table = append(table, []string{
			"", "FIELD_CUSTOM_VALIDATION_EXCEPTION:closed:LastName --",
			fmt.Sprintf("K-%d", n), fmt.Sprintf("Lastname %d", n), strconv.FormatFloat(float64(912_000_000+n), 'E', -1, 64),
		})
	}
	r.offsets = append(r.offsets, data.Len())
	r.data = data.Bytes()
	return &reconcile.Sent{
		Header: header,
		Open:   func() (reconcile.Records, error) { again := r; return &again, nil },
		Raw:    func() (reconcile.Raw, error) { return raw{bytes.NewReader(r.data)}, nil },
	}, table
}
