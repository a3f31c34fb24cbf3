package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/emulator"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// failed is a bench with a run behind it that left two records: 4 refused by the
// org, 7 rejected before it was sent.
func failed(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, emulator.Config{})
	b.customers(10)
	b.sql(`UPDATE customers SET name = NULL WHERE id = 4; UPDATE customers SET name = repeat('x', 300) WHERE id = 7`)
	b.etl("run", "customers").exits(t, exitLeftovers)
	return b
}

type recordList struct {
	Total   int64
	Records []reconcile.Row
}

func (b *bench) records(args ...string) recordList {
	b.t.Helper()
	return decode[recordList](b.t, b.etl(append([]string{"failed", "list", "--json"}, args...)...).exits(b.t, exitDone))
}

func TestFailedList(t *testing.T) {
	t.Parallel()
	b := failed(t)
	b.etl("failed", "list").exits(t, exitDone).says(t, "REQUIRED_FIELD_MISSING", "STRING_TOO_LONG", "rejected", "failed", "accounts")
	b.etl("failed", "list", "--limit", "1").exits(t, exitDone).says(t, "1 more; --limit 0 lists all")
	b.etl("failed", "list", "--group").exits(t, exitDone).says(t, "REQUIRED_FIELD_MISSING", "2 records in all.")
	for _, test := range []struct {
		args string
		want int64
	}{
		{"", 2},
		{"--code STRING_TOO_LONG", 1},
		{"--field Name", 2},
		{"--key 4", 1},
		{"--run 1", 2},
		{"--run 9", 0},
		{"--pipeline customers --step accounts", 2},
		{"--pipeline other", 0},
		{"--status ignored,resolved", 0},
		{"--status all", 2},
	} {
		if got := b.records(strings.Fields(test.args)...); got.Total != test.want || int64(len(got.Records)) != test.want || got.Records == nil {
			t.Errorf("failed list %s: %d records, want %d", test.args, got.Total, test.want)
		}
	}
	groups := decode[struct {
		Total  int64
		Groups []reconcile.Group
	}](t, b.etl("failed", "list", "--group", "--json").exits(t, exitDone))
	if groups.Total != 2 || len(groups.Groups) != 2 {
		t.Errorf("failed list --group --json says %+v", groups)
	}
	id := itoa(int(b.records("--key", "4").Records[0].ID))
	b.etl("failed", "show", id).exits(t, exitDone).says(t, "source key     4", "REQUIRED_FIELD_MISSING", "Legacy_Id__c  4", "tried 1 time")
	row := decode[reconcile.Row](t, b.etl("failed", "show", id, "--json").exits(t, exitDone))
	var payload map[string]*string
	if err := json.Unmarshal(row.Payload, &payload); err != nil || payload["Legacy_Id__c"] == nil {
		t.Errorf("failed show --json says %s, %v", row.Payload, err)
	}
	b.etl("failed", "show", "999").exits(t, exitUsage).says(t, "reconciliation row 999: not found")
}

func TestRetryFromTheMendedSource(t *testing.T) {
	t.Parallel()
	b := failed(t)
	b.sql(`UPDATE customers SET name = 'Mended' WHERE id IN (4, 7)`)
	b.etl("failed", "retry", "--code", "REQUIRED_FIELD_MISSING").exits(t, exitDone).says(t, "Run 2 of customers: all loaded", "1 of 1 row loaded",
		"etl failed list --pipeline customers", "1 open record of other runs")
	if got := b.records(); got.Total != 1 || *got.Records[0].SourceKey != "7" {
		t.Errorf("after the retry of 4 there are %+v", got)
	}
	summary := decode[run.Summary](t, b.etl("failed", "retry", "--json").exits(t, exitDone))
	if summary.ID != 3 || summary.Loaded != 1 || summary.Trigger != state.TriggerRetry || summary.Open != 0 {
		t.Errorf("the retry says %+v", summary)
	}
	if n := b.count("SELECT count() FROM Account WHERE Name = 'Mended'"); n != 2 {
		t.Errorf("the org has %d mended accounts", n)
	}
	b.etl("failed", "retry").exits(t, exitUsage).says(t, "no open record fits the filter")
	b.etl("failed", "list", "--status", "resolved").exits(t, exitDone).says(t, "resolved")
}

func TestRetryThatFailsAgain(t *testing.T) {
	t.Parallel()
	b := failed(t)
	b.etl("failed", "retry").exits(t, exitLeftovers).says(t, "Run 2 of customers: completed, some records did not load", "0 of 2 rows loaded")
	for _, r := range b.records().Records {
		if r.Attempts != 2 || r.Status != reconcile.StatusOpen {
			t.Errorf("record %d: %d attempts, %s", r.ID, r.Attempts, r.Status)
		}
	}
	b.etl("run", "customers").exits(t, exitLeftovers)
	if got := b.records(); got.Total != 2 || got.Records[0].Attempts != 3 {
		t.Errorf("after the next run there are %+v", got)
	}
}

func TestExportMendImportRetry(t *testing.T) {
	t.Parallel()
	b := failed(t)
	file := filepath.Join(b.dir, "failed.csv")
	b.etl("failed", "export", "--output", file).exits(t, exitDone).says(t, "2 records in")
	b.etl("failed", "export", "--output", file).exits(t, exitUsage).says(t, "exists already")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.etl("failed", "export").exits(t, exitDone).stdout; got != string(text) {
		t.Errorf("the export to stdout differs: %s", cmp.Diff(string(text), got))
	}
	mended := strings.ReplaceAll(string(text), strings.Repeat("x", 300), "Short")
	b.start(t.Context(), "etl_id,Name\n1,2,3\n", "failed", "import", "-")().exits(t, exitUsage).says(t, "import -: nothing was taken", "wrong number of fields")
	b.start(t.Context(), "etl_id,Name\n999,x\n", "failed", "import", "-")().exits(t, exitUsage).
		says(t, "nothing was taken", "line 2: there is no reconciliation row 999")
	imported := decode[reconcile.Imported](t, b.start(t.Context(), mended, "failed", "import", "-", "--json")().exits(t, exitDone))
	if imported.Rows != 2 || imported.Changed != 1 {
		t.Errorf("the import says %+v", imported)
	}
	b.etl("failed", "retry", "--from", "payload", "--key", "7").exits(t, exitDone).says(t, "Run 2 of customers: all loaded")
	if n := b.count("SELECT count() FROM Account WHERE Name = 'Short'"); n != 1 {
		t.Errorf("the org has %d accounts of the import", n)
	}
	report := decode[map[string]any](t, b.etl("failed", "export", "--output", file, "--force", "--json").exits(t, exitDone))
	if report["records"] != 1.0 || report["file"] != file {
		t.Errorf("failed export --json says %v", report)
	}
}

func TestIgnoreAndReopen(t *testing.T) {
	t.Parallel()
	b := failed(t)
	id := itoa(int(b.records("--key", "4").Records[0].ID))
	b.etl("failed", "ignore", id).exits(t, exitDone).says(t, "1 record ignored.")
	b.etl("failed", "ignore", id).exits(t, exitUsage).says(t, "record "+id+": there is no such record that is open")
	b.etl("failed", "reopen", "999").exits(t, exitUsage).says(t, "record 999: there is no such record that is ignored")
	if got := b.records(); got.Total != 1 {
		t.Errorf("%d records are open", got.Total)
	}
	b.etl("failed", "ignore", "--all").exits(t, exitDone).says(t, "1 record ignored.")
	b.etl("failed", "retry").exits(t, exitUsage)
	b.etl("failed", "list").exits(t, exitDone).says(t, "No such records.")
	if n := decode[map[string]int](t, b.etl("failed", "reopen", "--pipeline", "customers", "--json").exits(t, exitDone)); n["records"] != 2 {
		t.Errorf("failed reopen --json says %v", n)
	}
}

func TestRetryNeedsOnePipeline(t *testing.T) {
	t.Parallel()
	b := failed(t)
	b.write("pipelines/copy.yaml", strings.Replace(customersYAML, "name: customers", "name: copy", 1))
	b.etl("run", "copy").exits(t, exitLeftovers)
	b.etl("failed", "retry").exits(t, exitUsage).says(t, "records of 2 pipelines fit", "--pipeline copy, or --pipeline customers")
	b.etl("failed", "retry", "--pipeline", "copy").exits(t, exitLeftovers).says(t, "of copy:")
	b.etl("failed", "retry", "--pipeline", "copy", "--step", "acounts").exits(t, exitUsage)
	if err := os.Remove(filepath.Join(b.dir, "pipelines/copy.yaml")); err != nil {
		t.Fatal(err)
	}
	b.etl("failed", "retry", "--pipeline", "copy").exits(t, exitUsage).says(t, `pipeline "copy": not found`)
}

// TestRetryInterrupted has a retry that is stopped while its job is processed:
// its records are neither lost nor open, and the resume settles them.
func TestRetryInterrupted(t *testing.T) {
	t.Parallel()
	b := failed(t)
	b.sql(`UPDATE customers SET name = 'Mended' WHERE id IN (4, 7)`)
	b.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick})
	ctx, cancel := context.WithCancel(t.Context())
	retry, submitted := b.until(ctx, `"to": "submitted"`, "", "failed", "retry", "--log-level", "debug")
	<-submitted
	cancel()
	retry().exits(t, exitInterrupted)
	if got := b.records("--status", "retrying"); got.Total != 2 {
		t.Errorf("%d records are being retried", got.Total)
	}
	b.org.RemoveFault("")
	b.org.Release()
	b.etl("resume").exits(t, exitDone).says(t, "Run 2 of customers: all loaded")
	if got := b.records("--status", "open,retrying"); got.Total != 0 {
		t.Errorf("after the resume there are %+v", got)
	}
}
