package emulator_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/internal/emulator"
)

// TestBooksBalance loads random rows, good and bad, through random batches and
// random ends of the job: every row is in exactly one result, and the counters
// say the same as the results.
func TestBooksBalance(t *testing.T) {
	t.Parallel()
	servers := map[int]*org{}
	for _, size := range []int{1, 3, 500} {
		servers[size] = start(t, emulator.Config{BatchSize: size, BatchParallel: 3, Limits: emulator.Limits{DailyAPIRequests: 1 << 40, DailyBatches: 1 << 40}})
	}
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.SampledFrom([]int{1, 3, 500}).Draw(r, "batch")
		o := servers[size]
		o.server.RemoveFault("")
		end := rapid.SampledFrom([]emulator.FaultDo{"", emulator.DoJobFail, emulator.DoJobAbort}).Draw(r, "end")
		if end != "" {
			o.fault(emulator.Fault{On: emulator.OnJob, Do: end, Batches: rapid.IntRange(0, 4).Draw(r, "after")})
		}
		good := rapid.SliceOfN(rapid.Bool(), 0, 12).Draw(r, "good")
		var content strings.Builder
		content.WriteString("Description,Name\n")
		for i, ok := range good {
			name := "\"n\n\"\"\""
			if !ok {
				name = ""
			}
			fmt.Fprintf(&content, "%d,%s\n", i, name)
		}
		info := o.run(insertAccounts, content.String())
		seen := map[string]string{}
		counts := map[string]float64{}
		for _, kind := range []string{"successfulResults", "failedResults", "unprocessedRecords"} {
			header, rows := o.results(info["id"].(string), kind)
			for _, row := range rows {
				key := row[len(header)-2]
				if before, twice := seen[key]; twice {
					r.Fatalf("row %s is in %s and in %s", key, before, kind)
				}
				seen[key] = kind
				counts[kind]++
			}
		}
		for i, ok := range good {
			kind := seen[fmt.Sprint(i)]
			if kind == "" || ok && kind == "failedResults" || !ok && kind == "successfulResults" {
				r.Fatalf("row %d (good: %v) is in %q", i, ok, kind)
			}
		}
		if info["numberRecordsProcessed"] != counts["successfulResults"]+counts["failedResults"] || info["numberRecordsFailed"] != counts["failedResults"] {
			r.Fatalf("counters %v, results %v", info, counts)
		}
	})
}

func TestResetDropsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	o.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick})
	id := o.create(insertAccounts)
	o.put(id, "Name\nAcme\n")
	o.patch(id, "UploadComplete")
	o.until(id, "InProgress")
	if err := o.server.Reset(); err != nil {
		t.Fatal(err)
	}
	if a := o.get("limits"); a.status != 401 {
		t.Errorf("the old session: %d", a.status)
	}
	o.login()
	if a := o.get("jobs/ingest/" + id); a.status != 404 {
		t.Errorf("the old job: %d", a.status)
	}
	if info := o.run(insertAccounts, "Name\nAcme\n"); info["numberRecordsProcessed"] != 1.0 {
		t.Errorf("a new job: %v", info)
	}
}
