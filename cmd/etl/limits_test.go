package main

import (
	"strings"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// allow sets one of the org's allowances.
func (b *bench) allow(name string, most, left int64) {
	b.t.Helper()
	if err := b.org.SetLimit(name, emulator.Limit{Max: most, Remaining: left}); err != nil {
		b.t.Fatal(err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.etl("limits").exits(t, exitDone).says(t, "DailyBulkApiBatches   ░░░░░░░░░░░░░░░░|░░░   0%     0", "15,000")
	b.customers(20)
	b.etl("run", "customers").exits(t, exitDone)
	b.allow(run.LimitBatches, 100, 50)
	b.etl("limits").exits(t, exitDone).says(t, "██████████░░░░░░|░░░  50%", "Own runs: 1 run in the last 24 hours")
	view := decode[struct {
		InstanceURL string               `json:"instance_url"`
		Limits      map[string]limitView `json:"limits"`
		Shares      map[string]float64   `json:"shares"`
		OwnRuns     *state.Use           `json:"own_runs"`
	}](t, b.etl("limits", "--json").exits(t, exitDone))
	if l := view.Limits[run.LimitCalls]; l.Max != 100_000 || l.Used+l.Remaining != l.Max || view.InstanceURL != b.org.URL() {
		t.Errorf("limits --json says %+v", view)
	}
	if view.OwnRuns == nil || view.OwnRuns.Runs != 1 || view.OwnRuns.Batches != 1 || view.OwnRuns.APICalls < 5 || view.Shares["api_calls"] != 0.8 {
		t.Errorf("own runs %+v, shares %v", view.OwnRuns, view.Shares)
	}
	b.sql(`UPDATE etl.runs SET finished_at = now() - interval '25 hours'; UPDATE etl.chunks SET created_at = now() - interval '25 hours'`)
	b.etl("limits").exits(t, exitDone).says(t, "Own runs: 0 runs")
	delete(b.env, "ETL_DATABASE_URL")
	if r := b.etl("limits").exits(t, exitDone); strings.Contains(r.stdout+r.stderr, "Own runs") {
		t.Errorf("without a state database: %s", r.stdout)
	}
}

// TestRunAtLimit is refused, stopped and lifted.
func TestRunAtLimit(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(200)
	b.write("pipelines/customers.yaml", customersYAML+"    chunk: { rows: 10, parallel: 1 }\n")
	b.allow(run.LimitBatches, 100, 15)
	b.etl("plan", "customers").exits(t, exitRefused).says(t, `85 of the org's 100 Bulk API batches of 24 hours are used (85%), and "limits" lets runs use 80%`, "--over-limits")
	b.etl("run", "customers").exits(t, exitRefused).says(t, "nothing was sent: 85 of the org's 100", `raise "limits" in etl.yaml`)
	b.write("etl.yaml", "limits: { bulk_batches: 90% }\n")
	b.etl("plan", "customers").exits(t, exitDone).says(t, "a run will not get through without going beyond")
	b.etl("run", "customers").exits(t, exitIncomplete).says(t, "stopped before its end", `at once with "etl resume 1 --over-limits"`)
	b.allow(run.LimitBatches, 100, 20)
	b.etl("resume", "--over-limits").exits(t, exitDone).says(t, "all loaded")
}
