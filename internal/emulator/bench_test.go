package emulator_test

import (
	"fmt"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
)

// BenchmarkUpsert reports records per second through the whole of a job: PUT,
// processing on one worker, and the download of both results.
func BenchmarkUpsert(b *testing.B) {
	const rows = 100_000
	var content strings.Builder
	content.WriteString("Legacy_Id__c,Name,Website,AnnualRevenue,NumberOfEmployees,Industry,Description\n")
	for i := range rows {
		fmt.Fprintf(&content, "A-%d,Customer %d,https://c%d.example.com,%d.25,%d,Technology,\"Said \"\"hello\"\" and left\"\n", i, i, i, i, i%9000)
	}
	o := start(b, emulator.Config{BatchParallel: 1})
	b.SetBytes(int64(content.Len()))
	for b.Loop() {
		info := o.run(upsertAccounts, content.String())
		if info["numberRecordsProcessed"] != float64(rows) || info["numberRecordsFailed"] != 0.0 {
			b.Fatalf("job: %v", info)
		}
		for _, kind := range []string{"successfulResults", "failedResults"} {
			if a := o.get("jobs/ingest/" + info["id"].(string) + "/" + kind); a.err != nil {
				b.Fatal(a.err)
			}
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
