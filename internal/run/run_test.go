package run_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/emulator"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

func TestEveryRowIsLoadedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 2500)
	engine := b.engine(t, accounts("insert", "    chunk: { rows: 100, parallel: 4 }\n"))
	s, err := engine.Run(t.Context(), run.Options{})
	mustComplete(t, s, err, state.RunSucceeded)
	b.mustBalance(t, s)
	if _, err := engine.Resume(t.Context(), s.ID); !errors.Is(err, state.ErrFinished) {
		t.Errorf("a finished run was resumed: %v", err)
	}
	if s.Loaded != 2500 || s.Steps[0].Chunks != 25 || s.Steps[0].Jobs != 25 || s.APICalls == 0 {
		t.Errorf("summary %+v", s)
	}
	if n := b.count(t, "FROM Account"); n != 2500 {
		t.Errorf("the org has %d", n)
	}
	progress := engine.Progress().Steps()[0]
	if progress.Read != 2500 || progress.Uploaded != 2500 || progress.Processed != 2500 || progress.Settled != 25 || !progress.Finished {
		t.Errorf("progress %+v", progress)
	}
}

const crm = `name: crm
steps:
  - name: contacts
    needs: [accounts]
    object: Contact
    operation: upsert
    external_id: Legacy_Id__c
    query: SELECT id, account_id, last_name, email FROM people
    key: [account_id, id]
    fields:
      Legacy_Id__c: id
      Account.Legacy_Id__c: account_id
      LastName: last_name
      Email: email
    chunk: { rows: 3 }
  - name: accounts
    object: account
    operation: upsert
    external_id: legacy_id__C
    query: SELECT id, name FROM customers
    key: id
    fields:
      legacy_ID__c: id
      name: name
      AnnualRevenue: { sql: "id * 100" }
      Industry: { value: Technology }
`

func (b *bundle) crm(t *testing.T) {
	t.Helper()
	b.exec(t, `CREATE TABLE customers (id text PRIMARY KEY, name text)`)
	b.exec(t, `CREATE TABLE people (id int, account_id text, last_name text, email text)`)
	b.exec(t, `INSERT INTO customers VALUES ('1', 'Ångström, "Inc"'), ('2', E'Two\nlines'), ('3', repeat('x', 300))`)
	b.exec(t, `INSERT INTO people VALUES (1, '1', 'A', 'a@example.com'), (1, '2', 'B', 'no email'), (2, '2', '', NULL), (9, '9', 'D', NULL), (7, '2', '#N/A', NULL)`)
}

func TestStepsParentsAndFailures(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.crm(t)
	// Legacy ids of contacts must be unique over the composite key.
	yaml := strings.Replace(crm, "Legacy_Id__c: id\n      Account", `Legacy_Id__c: { sql: "account_id || '-' || id" }`+"\n      Account", 1)
	engine := b.engine(t, strings.Replace(yaml, "id * 100", "id::int * 100", 1))
	s, err := engine.Run(t.Context(), run.Options{})
	mustComplete(t, s, err, state.RunCompletedWithFailures)
	b.mustBalance(t, s)
	if s.Steps[0].Name != "accounts" {
		t.Errorf("steps in order %v", s.Steps)
	}
	got := map[string]string{}
	for _, r := range b.open(t) {
		got[r.Step+" "+*r.SourceKey] = fmt.Sprint(r.Kind, " ", r.ErrorCode)
	}
	want := map[string]string{
		"accounts 3":         "rejected STRING_TOO_LONG",
		`contacts ["2","1"]`: "failed INVALID_EMAIL_ADDRESS",
		`contacts ["2","2"]`: "failed REQUIRED_FIELD_MISSING",
		`contacts ["9","9"]`: "failed INVALID_FIELD",
		`contacts ["2","7"]`: "rejected NULL_MARKER_TEXT",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Ångström, \"Inc\"|100.0|Technology", "Two\nlines|200.0|Technology"}, b.soql(t, "Name, AnnualRevenue, Industry", "FROM Account ORDER BY Legacy_Id__c")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"A|Ångström, \"Inc\""}, b.soql(t, "LastName, Account.Name", "FROM Contact")); diff != "" {
		t.Error(diff)
	}

	// The source is mended; a retry by key sends only what failed, and closes its rows.
	b.exec(t, `UPDATE customers SET name = 'Three' WHERE id = '3'`)
	b.exec(t, `UPDATE people SET email = 'b@example.com', last_name = 'Mended' WHERE account_id = '2'`)
	b.exec(t, `DELETE FROM people WHERE account_id = '9'`)
	s, err = engine.Retry(t.Context(), run.RetryOptions{})
	mustComplete(t, s, err, state.RunSucceeded)
	b.mustBalance(t, s)
	open := b.open(t)
	if len(open) != 1 || *open[0].SourceKey != `["9","9"]` || s.Loaded != 4 || s.Open != 1 {
		t.Errorf("open %+v, summary %+v", open, s.Counts)
	}
	if n := b.count(t, "FROM Contact"); n != 4 {
		t.Errorf("the org has %d contacts", n)
	}
	if _, err := engine.Retry(t.Context(), run.RetryOptions{Filter: reconcile.Filter{Step: "accounts"}}); !errors.Is(err, run.ErrNothingToRetry) {
		t.Errorf("got %v", err)
	}
}

func TestRetryOfEditedPayloads(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.exec(t, `CREATE TABLE people (id int PRIMARY KEY, name text, site text)`)
	b.exec(t, `INSERT INTO people VALUES (1, '', 'x'), (2, '', 'y'), (3, 'ok', 'z')`)
	engine := b.engine(t, accounts("insert", ""))
	s, err := engine.Run(t.Context(), run.Options{})
	mustComplete(t, s, err, state.RunCompletedWithFailures)
	csv := "etl_id,Name,Website,Legacy_Id__c\n"
	for i, r := range b.open(t) {
		csv += fmt.Sprintf("%d,\"Edited, %d\",#N/A,L%d\n", r.ID, i, i)
	}
	if got, err := b.failures.Import(t.Context(), strings.NewReader(csv), false); err != nil || got.Changed != 2 {
		t.Fatal(got, err)
	}
	s, err = engine.Retry(t.Context(), run.RetryOptions{FromPayload: true})
	mustComplete(t, s, err, state.RunSucceeded)
	b.mustBalance(t, s)
	if diff := cmp.Diff([]string{"Edited, 0|<nil>|L0", "Edited, 1|<nil>|L1", "ok|z|3"}, b.soql(t, "Name, Website, Legacy_Id__c", "FROM Account ORDER BY Name")); diff != "" {
		t.Error(diff)
	}
	if len(b.open(t)) != 0 {
		t.Errorf("still open: %+v", b.open(t))
	}
}

func TestKeyThatIsNoKeySendsNothing(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string]string{
		"duplicate": `SELECT least(i, 2999), 'n', 's' FROM generate_series(1, 3000) AS i`,
		"null":      `SELECT nullif(i, 5), 'n', 's' FROM generate_series(1, 3000) AS i`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{})
			b.exec(t, `CREATE TABLE people (id int, name text, site text)`)
			b.exec(t, `INSERT INTO people `+rows)
			engine := b.engine(t, accounts("insert", "    chunk: { rows: 1000 }\n"))
			s, err := engine.Run(t.Context(), run.Options{})
			if !errors.Is(err, run.ErrIncomplete) || !strings.Contains(err.Error(), "id") || !strings.Contains(err.Error(), "nothing of this step was sent") {
				t.Fatalf("got %v", err)
			}
			if s.State != state.RunFailed || s.Unfinished || s.Read != 0 || b.count(t, "FROM Account") != 0 {
				t.Errorf("run %+v, org %d", s.Run, b.count(t, "FROM Account"))
			}
			// Once the key is mended, the pipeline runs without further ado.
			b.exec(t, `DELETE FROM people WHERE id IS NULL OR id = 2999`)
			s, err = engine.Run(t.Context(), run.Options{})
			b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
		})
	}
}

func TestInterruptedRunIsResumedWithoutDoubling(t *testing.T) {
	t.Parallel()
	cases := map[string]emulator.Fault{
		"during an upload":       {Method: "PUT", Path: "/batches", Skip: 3, Times: 1, Do: emulator.DoHang},
		"during a close":         {Method: "PATCH", Skip: 3, Times: 1, Do: emulator.DoHang},
		"while jobs are running": {On: emulator.OnJob, Do: emulator.DoJobStick, Skip: 3, Times: 1},
		"during the results":     {Path: "failedResults", Skip: 2, Times: 1, Do: emulator.DoHang},
	}
	for name, fault := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{})
			b.people(t, 1000)
			b.exec(t, `UPDATE people SET name = '' WHERE id % 100 = 0`)
			fault := b.fault(t, fault)
			yaml := accounts("insert", "    chunk: { rows: 50, parallel: 3 }\n")
			ctx, cancel := context.WithCancelCause(t.Context())
			interrupted := errors.New("interrupted by a test")
			done := make(chan struct{})
			go func() {
				defer close(done)
				until(t, func() bool { return b.struck(fault.ID) > 0 })
				cancel(interrupted)
				b.server.Release()
			}()
			s, err := b.engine(t, yaml).Run(ctx, run.Options{})
			<-done
			if s == nil || s.State != state.RunInterrupted && s.State != state.RunCompletedWithFailures {
				t.Fatalf("got %+v, %v", s, err)
			}
			if s.State == state.RunInterrupted {
				if !errors.Is(err, interrupted) || !s.Unfinished {
					t.Errorf("got %v, run %+v", err, s.Run)
				}
				_, err = b.engine(t, yaml).Run(t.Context(), run.Options{})
				var unfinished *state.UnfinishedError
				if !errors.As(err, &unfinished) {
					t.Errorf("another run was not refused: %v", err)
				}
				s, err = b.engine(t, yaml).Resume(t.Context(), s.ID)
			}
			b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
			if n := b.count(t, "FROM Account"); n != 990 || s.Loaded != 990 || s.Failed != 10 || len(b.open(t)) != 10 {
				t.Errorf("the org has %d, run %s, open %d", n, s.Counts, len(b.open(t)))
			}
		})
	}
}

func (b *bundle) struck(id string) int {
	for _, f := range b.server.Faults() {
		if f.ID == id {
			return f.Struck
		}
	}
	return 0
}

func TestLostAnswersLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	requests := map[string]emulator.Fault{
		"create": {Method: "POST", Path: "/jobs/ingest"}, "upload": {Method: "PUT", Path: "/batches"}, "close": {Method: "PATCH", Path: "/jobs/ingest"},
		"poll": {Method: "GET", Path: "/jobs/ingest/"}, "results": {Path: "failedResults"},
	}
	for name, fault := range requests {
		for _, do := range []emulator.FaultDo{emulator.DoCutBefore, emulator.DoCutAfter, emulator.DoCutBody, emulator.DoTruncate} {
			t.Run(name+" "+string(do), func(t *testing.T) {
				t.Parallel()
				b := setup(t, emulator.Config{})
				b.people(t, 300)
				b.exec(t, `UPDATE people SET name = '' WHERE id % 100 = 0`)
				fault.Do, fault.Skip, fault.Times, fault.After = do, 1, 2, 10
				if _, err := b.server.AddFault(fault); err != nil {
					t.Fatal(err)
				}
				s, err := b.engine(t, accounts("insert", "    chunk: { rows: 50, parallel: 2 }\n")).Run(t.Context(), run.Options{})
				b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
				if n := b.count(t, "FROM Account"); n != 297 || len(b.open(t)) != 3 {
					t.Errorf("the org has %d, open %d", n, len(b.open(t)))
				}
			})
		}
	}
}

func TestJobsThatEndBadly(t *testing.T) {
	t.Parallel()
	t.Run("failed half way", func(t *testing.T) {
		t.Parallel()
		b := setup(t, emulator.Config{BatchSize: 10})
		b.people(t, 100)
		b.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobFail, Batches: 2, Times: 1, Message: "InternalServerError : something broke"})
		s, err := b.engine(t, accounts("insert", "    chunk: { rows: 50, parallel: 1 }\n")).Run(t.Context(), run.Options{})
		b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
		rows := b.open(t)
		if s.Unprocessed != 30 || s.Loaded != 70 || len(rows) != 30 || rows[0].ErrorCode != "InternalServerError" {
			t.Errorf("run %s, row %+v", s.Counts, rows[0])
		}
	})
	t.Run("aborted by an administrator", func(t *testing.T) {
		t.Parallel()
		b := setup(t, emulator.Config{BatchSize: 10})
		b.people(t, 50)
		b.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobAbort, Batches: 1, Times: 1})
		s, err := b.engine(t, accounts("insert", "")).Run(t.Context(), run.Options{})
		b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
		if s.Unprocessed != 40 || s.Loaded != 10 {
			t.Errorf("run %s", s.Counts)
		}
	})
	t.Run("before it processed anything", func(t *testing.T) {
		t.Parallel()
		b := setup(t, emulator.Config{})
		b.people(t, 500)
		b.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobFail, Times: 1, Message: "InvalidBatch : Field name not found : X"})
		engine := b.engine(t, accounts("insert", "    chunk: { rows: 50, parallel: 1 }\n"))
		s, err := engine.Run(t.Context(), run.Options{})
		if !errors.Is(err, run.ErrIncomplete) || s.State != state.RunStopped || !strings.Contains(s.Error, "Field name not found") || b.count(t, "FROM Account") != 0 {
			t.Fatalf("got %v, run %+v, org %d", err, s.Run, b.count(t, "FROM Account"))
		}
		s, err = engine.Resume(t.Context(), s.ID)
		b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
		if s.Unprocessed != 50 || s.Loaded != 450 {
			t.Errorf("run %s", s.Counts)
		}
	})
	t.Run("not within the pipeline's time", func(t *testing.T) {
		t.Parallel()
		b := setup(t, emulator.Config{})
		b.people(t, 10)
		b.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick, Times: 1})
		p := parse(t, accounts("insert", ""))
		p.Steps[0].JobTimeout = 30 * time.Millisecond
		engine := run.New(p, b.config)
		s, err := engine.Run(t.Context(), run.Options{})
		if !errors.Is(err, run.ErrIncomplete) || s.State != state.RunStopped || !s.Unfinished || !strings.Contains(s.Error, "etl resume") {
			t.Fatalf("got %v, run %+v", err, s.Run)
		}
		b.server.Release()
		s, err = b.engine(t, accounts("insert", "")).Resume(t.Context(), s.ID)
		b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
		if n := b.count(t, "FROM Account"); n != 10 {
			t.Errorf("the org has %d", n)
		}
	})
}

func (b *bundle) fault(t *testing.T, f emulator.Fault) emulator.Fault {
	t.Helper()
	added, err := b.server.AddFault(f)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func TestPassingFailuresAreSentAgainByTheRun(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 100)
	b.fault(t, emulator.Fault{On: emulator.OnRow, Do: emulator.DoRowError, Field: "Legacy_Id__c", Keys: []string{"7", "8"}, Times: 3})
	b.fault(t, emulator.Fault{On: emulator.OnRow, Do: emulator.DoRowError, Field: "Legacy_Id__c", Keys: []string{"9"}})
	s, err := b.engine(t, accounts("insert", "")).Run(t.Context(), run.Options{})
	b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
	rows := b.open(t)
	if len(rows) != 1 || *rows[0].SourceKey != "9" || rows[0].Attempts != 4 || rows[0].ErrorCode != "UNABLE_TO_LOCK_ROW" || s.Loaded != 99 {
		t.Errorf("run %s, open %+v", s.Counts, rows)
	}
	if n := b.count(t, "FROM Account"); n != 99 {
		t.Errorf("the org has %d", n)
	}
}

func TestCountersAndResultsThatLag(t *testing.T) {
	t.Parallel()
	for _, do := range []emulator.FaultDo{emulator.DoLagCounters, emulator.DoLagResults} {
		t.Run(string(do), func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{})
			b.people(t, 100)
			b.exec(t, `UPDATE people SET name = '' WHERE id = 50`)
			b.fault(t, emulator.Fault{On: emulator.OnJob, Do: do, After: 2, Times: 1})
			s, err := b.engine(t, accounts("insert", "")).Run(t.Context(), run.Options{})
			b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
			if s.Loaded != 99 || s.Failed != 1 {
				t.Errorf("run %s", s.Counts)
			}
		})
	}
}

func TestLostSpoolIsExtractedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 100)
	// Creating jobs is refused, so everything is spooled and nothing sent.
	refusal := b.fault(t, emulator.Fault{Method: "POST", Path: "/jobs/ingest", Do: emulator.DoStatus, Status: 400, Code: "INVALIDENTITY", Message: "not supported"})
	yaml := accounts("insert", "    chunk: { rows: 30 }\n")
	s, err := b.engine(t, yaml).Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) || s.State != state.RunStopped || !strings.Contains(s.Error, "INVALIDENTITY") {
		t.Fatalf("got %v, %+v", err, s)
	}
	b.server.RemoveFault(refusal.ID)
	if err := os.RemoveAll(b.spoolDir); err != nil {
		t.Fatal(err)
	}
	b.exec(t, `DELETE FROM people WHERE id = 40`)
	s, err = b.engine(t, yaml).Resume(t.Context(), s.ID)
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	if n := b.count(t, "FROM Account"); n != 99 || s.Read != 99 {
		t.Errorf("the org has %d, run %s", n, s.Counts)
	}
}

func TestLimitAndStep(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 100)
	s, err := b.engine(t, accounts("insert", "")).Run(t.Context(), run.Options{Limit: 7, Step: "accounts"})
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	if s.Read != 7 || b.count(t, "FROM Account") != 7 {
		t.Errorf("run %s", s.Counts)
	}
	if _, err := b.engine(t, accounts("insert", "")).Run(t.Context(), run.Options{Step: "nope"}); err == nil {
		t.Error("an unknown step was run")
	}
}

func TestStopWhenTooManyFail(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 1000)
	b.exec(t, `UPDATE people SET name = '' WHERE id % 5 = 0`)
	yaml := accounts("insert", "    chunk: { rows: 50, parallel: 1 }\n    stop_when: { failed: 10%, after: 100 }\n")
	s, err := b.engine(t, yaml).Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) || s.State != state.RunStopped || !strings.Contains(s.Error, "stop_when") || !s.Unfinished {
		t.Fatalf("got %v, %+v", err, s)
	}
	if n := b.count(t, "FROM Account"); n > 200 {
		t.Errorf("it stopped only after %d records", n)
	}
}

func TestAllFiveOperations(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 10)
	s, err := b.engine(t, accounts("insert", "")).Run(t.Context(), run.Options{})
	mustComplete(t, s, err, state.RunSucceeded)
	b.exec(t, `UPDATE people SET name = name || '!' WHERE id <= 3`)
	s, err = b.engine(t, accounts("upsert", "")).Run(t.Context(), run.Options{})
	mustComplete(t, s, err, state.RunSucceeded)
	if n := b.count(t, "FROM Account WHERE Name LIKE '%!'"); n != 3 || b.count(t, "FROM Account") != 10 {
		t.Errorf("%d upserted", n)
	}
	b.exec(t, `CREATE TABLE ids (id text PRIMARY KEY, name text)`)
	for _, line := range b.soql(t, "Id, Name", "FROM Account ORDER BY Name") {
		id, name, _ := strings.Cut(line, "|")
		b.exec(t, fmt.Sprintf(`INSERT INTO ids VALUES ('%s', '%s')`, id, name))
	}
	step := func(operation, query, fields string) *run.Summary {
		t.Helper()
		yaml := "name: " + strings.ToLower(operation) + "s\nsteps:\n  - name: one\n    object: Account\n    operation: " + operation +
			"\n    query: " + query + "\n    key: id\n    fields:\n      Id: id\n" + fields
		s, err := b.engine(t, yaml).Run(t.Context(), run.Options{})
		return mustComplete(t, s, err, state.RunSucceeded)
	}
	step("update", "SELECT id, upper(name) AS name FROM ids", "      Name: name\n")
	step("delete", "SELECT id FROM ids WHERE name LIKE '%!'", "")
	step("hardDelete", "SELECT id FROM ids WHERE name = 'Person 4'", "")
	want := []string{"PERSON 10", "PERSON 5", "PERSON 6", "PERSON 7", "PERSON 8", "PERSON 9"}
	if diff := cmp.Diff(want, b.soql(t, "Name", "FROM Account ORDER BY Name")); diff != "" {
		t.Error(diff)
	}
}

func TestPlanAgreesWithTheRun(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 25_000)
	// Looking at a job a thousand times a second, as the other tests do, is not what a plan counts on.
	b.config.PollMin, b.config.PollMax = time.Second, time.Second
	engine := b.engine(t, accounts("upsert", "    chunk: { rows: 10000 }\n"))
	plan, err := engine.Plan(t.Context(), run.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	step := plan.Steps[0]
	if step.Rows != 25_000 || step.Chunks != 3 || step.Batches != 3 || plan.APICalls == 0 || step.BytesPerRow < 20 || plan.Limits["DailyApiRequests"].Max == 0 {
		t.Errorf("plan %+v", plan)
	}
	if !slices.ContainsFunc(step.Fields, func(f run.PlanField) bool { return f.Target == "Name" && f.SourceType == "text" }) {
		t.Errorf("fields %+v", step.Fields)
	}
	if n := b.count(t, "FROM Account"); n != 0 {
		t.Errorf("planning sent %d records", n)
	}
	s, err := engine.Run(t.Context(), run.Options{})
	mustComplete(t, s, err, state.RunSucceeded)
	if s.Steps[0].Jobs != int(plan.Jobs) || s.Steps[0].Batches != plan.Batches || s.APICalls > plan.APICalls {
		t.Errorf("planned %+v, ran %+v with %d calls", plan, s.Steps[0], s.APICalls)
	}
	// The next plan knows what a job takes.
	plan, err = engine.Plan(t.Context(), run.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if rounded := plan.APICalls - s.APICalls; rounded < 0 || rounded >= plan.Jobs {
		t.Errorf("the run took %d calls for %d jobs, and the plan says %d", s.APICalls, plan.Jobs, plan.APICalls)
	}
}

func TestAbandonedRetryFreesWhatItNeverSent(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 10)
	b.exec(t, `UPDATE people SET name = '' WHERE id = 5`)
	engine := b.engine(t, accounts("insert", ""))
	s, err := engine.Run(t.Context(), run.Options{})
	mustComplete(t, s, err, state.RunCompletedWithFailures)
	refusal := b.fault(t, emulator.Fault{Method: "POST", Path: "/jobs/ingest", Do: emulator.DoStatus, Status: 400, Code: "INVALIDENTITY", Message: "no"})
	if s, err = engine.Retry(t.Context(), run.RetryOptions{}); !errors.Is(err, run.ErrIncomplete) || !s.Unfinished {
		t.Fatalf("got %v, %+v", err, s)
	}
	b.server.RemoveFault(refusal.ID)
	b.exec(t, `UPDATE people SET id = id + 100`)
	s, err = engine.Run(t.Context(), run.Options{Abandon: true})
	mustComplete(t, s, err, state.RunCompletedWithFailures)
	rows := b.open(t)
	if len(rows) != 2 || rows[0].Status != reconcile.StatusOpen || *rows[0].SourceKey != "5" {
		t.Errorf("rows %+v", rows)
	}
}
