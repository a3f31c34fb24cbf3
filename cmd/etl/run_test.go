package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

func TestRunLoadsEverything(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(25)
	r := b.etl("run", "customers").exits(t, exitDone)
	r.says(t, "Run 1 of customers: all loaded", "25 of 25 rows loaded", "accounts  Account  done")
	if !strings.Contains(r.stderr, "etl: accounts: 25 of 25") {
		t.Errorf("stderr shows no progress: %s", r.stderr)
	}
	if strings.Contains(r.stdout, "Next") {
		t.Errorf("a run that loaded all asks for more:\n%s", r.stdout)
	}
	if n := b.count("SELECT count() FROM Account"); n != 25 {
		t.Errorf("the org has %d accounts", n)
	}
	summary := decode[run.Summary](t, b.etl("run", "customers", "--limit", "7", "--json", "--full").exits(t, exitDone))
	if summary.Loaded != 7 || summary.State != state.RunSucceeded || len(summary.Steps) != 1 {
		t.Errorf("the limited run says %+v", summary)
	}
}

func TestRunOfAFileAndOfOneStep(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(3)
	path := b.write("elsewhere/mine.yaml", strings.Replace(customersYAML, "name: customers", "name: mine", 1))
	b.etl("run", path, "--step", "accounts").exits(t, exitDone).says(t, "Run 1 of mine: all loaded")
}

func TestExampleProjectRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.etl("init", b.dir).exits(t, exitDone)
	b.etl("plan", "example").exits(t, exitDone)
	b.etl("run", "example").exits(t, exitDone)
	if n := b.count("SELECT count() FROM Contact WHERE Account.Name = 'Acme'"); n != 2 {
		t.Errorf("Acme has %d contacts", n)
	}
	b.etl("doctor").exits(t, exitDone).says(t, "All is well.")
}

func TestRunLeavesFailedRecords(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(10)
	b.sql(`UPDATE customers SET name = repeat('x', 300) WHERE id = 4; UPDATE customers SET name = NULL WHERE id = 7`)
	b.etl("run", "customers").exits(t, exitLeftovers).says(t,
		"Run 1 of customers: completed, some records did not load", "8 of 10 rows loaded",
		"STRING_TOO_LONG", "REQUIRED_FIELD_MISSING", "Name", "key 4: ",
		"etl failed list --run 1", "etl failed retry --run 1")
	b.etl("runs").exits(t, exitDone).says(t, "completed_with_failures")
	b.etl("show", "1").exits(t, exitDone).says(t, "Chunks", "start to 10", "JobComplete", "REQUIRED_FIELD_MISSING")
	view := decode[struct {
		run.Summary
		Chunks []state.Chunk `json:"chunks"`
	}](t, b.etl("show", "1", "--json").exits(t, exitDone))
	if view.Failed != 1 || view.Rejected != 1 || view.Open != 2 || len(view.Chunks) != 1 || view.Chunks[0].Seq != 1 {
		t.Errorf("show --json says %+v", view)
	}
	b.etl("show", "99").exits(t, exitUsage).says(t, "run 99: not found")
}

func TestPlanSendsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(25_000)
	b.etl("plan", "customers").exits(t, exitDone).says(t, "accounts: upsert Account", "25,000 rows", "1 chunk, 3 batches",
		"Legacy_Id__c", "integer", `FROM customers`, "Cost", "15,000")
	view := decode[struct {
		Ready    bool                 `json:"ready"`
		Batches  int64                `json:"bulk_batches"`
		APICalls int64                `json:"api_calls"`
		Findings []any                `json:"findings"`
		Steps    []run.PlanStep       `json:"steps"`
		Limits   map[string]limitView `json:"limits"`
	}](t, b.etl("plan", "customers", "--json").exits(t, exitDone))
	if !view.Ready || view.Batches != 3 || view.APICalls == 0 || view.Findings == nil || view.Limits[run.LimitBatches].Max != 15_000 || view.Steps[0].Rows != 25_000 {
		t.Errorf("plan --json says %+v", view)
	}
	if jobs := decode[struct{ Total int }](t, b.etl("jobs", "list", "--json").exits(t, exitDone)); jobs.Total != 0 {
		t.Errorf("the plan made %d jobs", jobs.Total)
	}
}

// TestRefusedBeforeSending has what preflight finds: exit 4, the place in the
// file, and no run.
func TestRefusedBeforeSending(t *testing.T) {
	t.Parallel()
	replace := func(from, to string) string { return strings.Replace(customersYAML, from, to, 1) }
	for _, test := range []struct {
		name, yaml string
		want       []string
	}{
		{"query that does not parse", replace("SELECT id, name, website FROM customers", "SELECT id, name, FROM customers"), []string{"customers.yaml:7:", "syntax error"}},
		{"table that does not exist", replace("FROM customers", "FROM custmers"), []string{"customers.yaml:7:", `relation "custmers" does not exist`}},
		{"missing column", replace("Website: website", "Website: websit"), []string{"customers.yaml:12:", "websit", `did you mean "website"?`}},
		{"missing key", replace("key: id", "key: idd"), []string{"customers.yaml:8:", "idd", `"id"`}},
		{"duplicate column", replace("SELECT id, name", "SELECT id, id, name"), []string{"customers.yaml:8:", `2 columns named "id"`}},
		{"unknown object", replace("object: Account", "object: Acount"), []string{"customers.yaml:4:", "Acount", `did you mean Account?`}},
		{"unknown field", replace("Website: website", "Webseit: website"), []string{"customers.yaml:12:", "Webseit", `did you mean Website?`}},
		{"external id that is none", strings.NewReplacer("external_id: Legacy_Id__c", "external_id: Site", "Legacy_Id__c: id", "Site: id").Replace(customersYAML), []string{"customers.yaml:6:", "Site"}},
		{"expression that does not work", replace("Website: website", "Website: { sql: \"lower(id)\" }"), []string{"customers.yaml:12:", "lower(integer)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, emulator.Config{})
			b.customers(3)
			b.write("pipelines/customers.yaml", test.yaml)
			b.etl("plan", "customers").exits(t, exitRefused).says(t, append(test.want, "Findings")...)
			b.etl("run", "customers").exits(t, exitRefused).says(t, append(test.want, "nothing was sent")...)
			if runs := decode[struct{ Runs []state.Run }](t, b.etl("runs", "--json").exits(t, exitDone)); len(runs.Runs) != 0 {
				t.Errorf("a refused run was recorded: %+v", runs.Runs)
			}
		})
	}
}

// TestBadKeys has keys that are found out only when the rows are read.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, query string
		want        []string
	}{
		{"null", "SELECT NULLIF(id, 2) AS id, name, website FROM customers", []string{"has a NULL in it"}},
		{"duplicate", "SELECT id / 2 AS id, name, website FROM customers", []string{"not unique"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, emulator.Config{})
			b.customers(9)
			b.write("pipelines/customers.yaml", strings.Replace(customersYAML, "SELECT id, name, website FROM customers", test.query, 1))
			b.etl("run", "customers").exits(t, exitIncomplete).says(t, append(test.want, "nothing", `start it again with "etl run customers"`)...)
			if n := b.count("SELECT count() FROM Account"); n != 0 {
				t.Errorf("%d accounts were sent", n)
			}
			b.write("pipelines/customers.yaml", customersYAML)
			b.etl("resume").exits(t, exitDone).says(t, "No run is unfinished.")
			b.etl("run", "customers").exits(t, exitDone)
		})
	}
}

func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(5)
	b.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick, Times: 1})
	first, submitted := b.until(t.Context(), `"to": "submitted"`, "", "run", "customers", "--log-level", "debug")
	<-submitted
	b.etl("run", "customers").exits(t, exitRefused).says(t, `pipeline "customers" is being run already: run 1`)
	b.etl("resume").exits(t, exitRefused).says(t, "run 1")
	b.etl("runs", "--state", "running").exits(t, exitDone).says(t, "customers")
	b.org.RemoveFault("")
	b.org.Release()
	first().exits(t, exitDone)
}

func TestInterruptedAndResumed(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(20)
	b.write("pipelines/customers.yaml", customersYAML+"    chunk: {rows: 5, parallel: 2}\n")
	b.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick})
	ctx, cancel := context.WithCancelCause(t.Context())
	first, submitted := b.until(ctx, `"to": "submitted"`, "", "run", "customers", "--log-level", "debug")
	<-submitted
	cancel(errors.New("stopped by the test"))
	first().exits(t, exitInterrupted).says(t, "stopped by the test: stopping cleanly", "Run 1 of customers: interrupted",
		`etl resume 1`, "finishes it")

	b.etl("run", "customers").exits(t, exitRefused).says(t, "run 1 of pipeline", `"etl resume 1"`)
	b.etl("runs", "--unfinished").exits(t, exitDone).says(t, "interrupted", "unfinished")
	b.etl("jobs", "list", "--state", "InProgress").exits(t, exitDone).says(t, "Account")
	b.org.RemoveFault("")
	b.org.Release()
	// Later edits of the file do not touch the run.
	b.write("pipelines/customers.yaml", "broken: [")
	b.etl("resume").exits(t, exitDone).says(t, "Run 1 of customers: all loaded", "20 of 20 rows loaded")
	if n := b.count("SELECT count() FROM Account"); n != 20 {
		t.Errorf("the org has %d accounts", n)
	}
	b.etl("resume").exits(t, exitDone).says(t, "No run is unfinished.")
	if r := b.etl("resume", "--json").exits(t, exitDone); r.stdout != "null\n" {
		t.Errorf("resume --json of nothing says %q", r.stdout)
	}
	b.etl("resume", "1").exits(t, exitUsage).says(t, "run 1 of pipeline \"customers\" is succeeded: there is nothing to resume")
	b.etl("resume", "7").exits(t, exitUsage).says(t, "run 7: not found")
}

func TestAbandon(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(5)
	b.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick, Times: 1})
	ctx, cancel := context.WithCancel(t.Context())
	first, submitted := b.until(ctx, `"to": "submitted"`, "", "run", "customers", "--log-level", "debug")
	<-submitted
	cancel()
	first().exits(t, exitInterrupted)
	b.etl("run", "customers", "--abandon").exits(t, exitDone).says(t, "Run 2 of customers: all loaded")
	b.etl("show", "1").exits(t, exitDone).says(t, "inconsistent", "given up")
}

func TestStoppedByALimit(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(5)
	id := b.fault(emulator.Fault{Do: emulator.DoStatus, Status: 403, Code: "LIMIT_EXCEEDED", Method: "POST", Path: "/jobs/ingest"})
	b.etl("run", "customers").exits(t, exitIncomplete).says(t, "Run 1 of customers: stopped before its end", "LIMIT_EXCEEDED", `go on with "etl resume 1"`,
		"etl run customers --abandon", "begins anew, if the pipeline file was wrong")
	b.org.RemoveFault(id)
	b.etl("resume").exits(t, exitDone).says(t, "5 of 5 rows loaded")
}

// TestResumeOfSeveral: which one is meant has to be said.
func TestResumeOfSeveral(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(5)
	b.write("pipelines/others.yaml", strings.Replace(customersYAML, "name: customers", "name: others", 1))
	id := b.fault(emulator.Fault{Do: emulator.DoStatus, Status: 403, Code: "LIMIT_EXCEEDED", Method: "POST", Path: "/jobs/ingest"})
	b.etl("run", "customers").exits(t, exitIncomplete)
	b.etl("run", "others").exits(t, exitIncomplete)
	b.org.RemoveFault(id)
	b.etl("resume").exits(t, exitUsage).says(t, "2 runs are unfinished", "etl resume 1", "etl resume 2")
}

// TestStoppedWithRecordsLeft: what a stopped run left cannot be retried before
// it is finished, and the summary says so.
func TestStoppedWithRecordsLeft(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(20)
	file := b.write("elsewhere/load.yaml", customersYAML+"    chunk: {rows: 5, parallel: 1}\n    stop_when: {failed: 50%, after: 1}\n")
	b.fault(emulator.Fault{On: emulator.OnRow, Do: emulator.DoRowError, Code: "NO", Message: "no"})
	b.etl("run", file).exits(t, exitIncomplete).says(t, "stopped before its end", "load.yaml --abandon",
		"etl failed list --run 1", "etl failed retry --run 1", "sends them again, once the run is finished")
}

// TestInconsistentSaysWhatHelps: a resume alone does not, where a job is gone.
func TestInconsistentSaysWhatHelps(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(5)
	b.fault(emulator.Fault{Method: "GET", Path: "/jobs/ingest/", Do: emulator.DoStatus, Status: 404, Code: "NOT_FOUND", Message: "gone"})
	b.etl("run", "customers").exits(t, exitIncomplete).says(t, "the books do not balance", "etl verify 1 ", "etl run customers --abandon",
		`go on with "etl resume 1", or look its records up with "etl verify 1"`)
}

// TestWarningsHaveTheirPlace: as compilers write them, not as entries of a log.
func TestWarningsHaveTheirPlace(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(3)
	b.write("pipelines/customers.yaml", customersYAML+"      NumberOfEmployees: {value: many}\n    chunk: {rows: 15000}\n")
	r := b.etl("run", "customers", "--limit", "1").says(t,
		"customers.yaml:14:19: warning: steps[0].chunk.rows: ", "customers.yaml:13:34: warning: step \"accounts\", field NumberOfEmployees: ")
	if strings.Contains(r.stderr, "WARN") || strings.Contains(r.stderr, "preflight") {
		t.Errorf("a warning looks like a log:\n%s", r.stderr)
	}
	b.etl("run", "customers", "--limit", "1", "--log-format", "json").says(t, `"level":"warn"`, `"msg":"preflight: `)
	b.etl("validate").exits(t, exitDone).says(t, ":14:19: warning: steps[0].chunk.rows: ")
	if r := b.etl("plan", "customers", "--log-level", "error"); strings.Contains(r.stderr, "chunk.rows") {
		t.Errorf("--log-level error lets a warning through:\n%s", r.stderr)
	}
}

func TestProgressAsJSON(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(5)
	r := b.etl("run", "customers", "--log-format", "json", "--json").exits(t, exitDone)
	for line := range strings.Lines(r.stderr) {
		if !strings.HasPrefix(line, "{") {
			t.Errorf("a line of the log is no JSON: %s", line)
		}
	}
	r.says(t, `"msg":"progress"`, `"rows_processed":5`)
}
