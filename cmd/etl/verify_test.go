package main

import (
	"strings"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// unaccountable is a load of 20 customers whose job is aborted half way and whose results are gone: 5
// records are in the org and nobody's account says so.
func unaccountable(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, emulator.Config{BatchSize: 5})
	b.customers(20)
	b.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobAbort, Batches: 1, Times: 1})
	b.fault(emulator.Fault{Method: "GET", Path: "failedResults", Do: emulator.DoStatus, Status: 404, Code: "NOT_FOUND", Message: "gone", Times: 1})
	b.etl("run", "customers").exits(t, exitIncomplete).says(t, "inconsistent", "up to (20)", "etl verify 1")
	if n := b.count("SELECT COUNT() FROM Account"); n != 5 {
		t.Fatalf("the org has %d", n)
	}
	return b
}

func TestVerifyChangesNothingUntilItIsTold(t *testing.T) {
	t.Parallel()
	b := unaccountable(t)
	b.etl("verify", "1").exits(t, exitDone).says(t, "start to 20", "5 present, 15 missing", "accounts, chunk 1: key 6, external id 6",
		`Nothing was changed. "etl verify 1 --requeue" closes the books`)
	b.etl("show", "1").exits(t, exitDone).says(t, "inconsistent")
	if records := b.records(); len(records.Records) != 0 {
		t.Errorf("records are set aside: %+v", records)
	}

	b.etl("verify", "1", "--requeue").exits(t, exitDone).says(t, "5 present, 15 missing", `sent again by "etl failed retry --run 1"`)
	b.etl("show", "1").exits(t, exitDone).says(t, "5 of 20 rows loaded")
	if records := b.records(); len(records.Records) != 15 || records.Records[0].Kind != "unprocessed" {
		t.Errorf("got %+v", records)
	}
	b.etl("verify", "1").exits(t, exitDone).says(t, "Every chunk of run 1 that was sent is accounted for.")
	b.etl("verify", "1", "--requeue").exits(t, exitUsage).says(t, "nothing of it is left")
	b.etl("failed", "retry", "--run", "1").exits(t, exitDone)
	if n := b.count("SELECT COUNT() FROM Account"); n != 20 {
		t.Errorf("the org has %d", n)
	}
}

func TestVerifyAsJSON(t *testing.T) {
	t.Parallel()
	b := unaccountable(t)
	type view struct {
		run.Verification
		Examples []missingRecord `json:"missing_records"`
	}
	v := decode[view](t, b.etl("verify", "1", "--json").exits(t, exitDone))
	if len(v.Chunks) != 1 || v.Chunks[0].Seq != 1 || v.Present != 5 || v.Missing != 15 || len(v.Examples) != 15 || v.Run != nil {
		t.Errorf("got %+v", v)
	}
	if first := (missingRecord{"accounts", 1, "6", "6"}); v.Examples[0] != first {
		t.Errorf("the first that is missing is %+v, want %+v", v.Examples[0], first)
	}
	v = decode[view](t, b.etl("verify", "1", "--requeue", "--json").exits(t, exitDone))
	if v.Run == nil || v.Run.State != state.RunCompletedWithFailures || v.Run.Loaded != 5 || v.Run.Unprocessed != 15 {
		t.Errorf("got %+v, run %+v", v, v.Run)
	}
	v = decode[view](t, b.etl("verify", "1", "--json").exits(t, exitDone))
	if len(v.Chunks) != 0 || v.Examples == nil {
		t.Errorf("got %+v", v)
	}
}

func TestVerifyOfInsertsAndOfNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(5)
	b.write("pipelines/customers.yaml", strings.NewReplacer("upsert", "insert", "    external_id: Legacy_Id__c\n", "").Replace(customersYAML))
	b.fault(emulator.Fault{Method: "GET", Path: "/jobs/ingest/", Do: emulator.DoStatus, Status: 404, Code: "NOT_FOUND", Message: "gone"})
	b.etl("run", "customers").exits(t, exitIncomplete)
	b.etl("verify", "1").exits(t, exitDone).says(t, "cannot be verified", "insert", "0 present, 0 missing")
	b.etl("verify", "1", "--requeue").exits(t, exitDone).says(t, "Run 1 is inconsistent")
	b.etl("verify", "9").exits(t, exitUsage).says(t, "run 9: not found", `See "etl runs".`)
	b.etl("verify", "one").exits(t, exitUsage).says(t, `run "one": want a number`)
	b.etl("verify").exits(t, exitUsage)
}

// TestAHaltedChunkIsSaidOnce: the reason stands in the summary; the log of a terminal only says that
// there is one.
func TestAHaltedChunkIsSaidOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(20)
	b.write("pipelines/customers.yaml", customersYAML+"    chunk: { rows: 10, parallel: 1 }\n")
	b.fault(emulator.Fault{Method: "GET", Path: "/jobs/ingest/", Do: emulator.DoStatus, Status: 404, Code: "NOT_FOUND", Message: "gone"})
	const reason = "records with keys up to (10) cannot be accounted for"
	r := b.etl("run", "customers").exits(t, exitIncomplete).says(t, `etl: accounts: chunk 1 cannot go on; "etl show 1" says why`, "etl: run 1 could not complete\n")
	if n := strings.Count(r.stdout+r.stderr, reason); n != 1 || strings.Contains(r.stderr, "WARN") {
		t.Errorf("the reason is said %d times\nstdout:\n%s\nstderr:\n%s", n, r.stdout, r.stderr)
	}
	r = b.etl("run", "customers", "--abandon", "--json", "--log-format", "json").exits(t, exitIncomplete).says(t, `"msg":"chunk halted"`)
	if !strings.Contains(r.stderr, reason) || !strings.Contains(r.stderr, "could not complete: step") {
		t.Errorf("stderr:\n%s", r.stderr)
	}
}
