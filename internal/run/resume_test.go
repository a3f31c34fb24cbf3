package run_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/spool"
	"bulkhead/internal/state"
)

func TestRunKilledBeforeItsLastWordIsFinishedByAResume(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 50)
	engine := b.engine(t, accounts("insert", ""))
	s, err := engine.Run(t.Context(), run.Options{})
	mustComplete(t, s, err, state.RunSucceeded)
	b.exec(t, `UPDATE etl.runs SET state = 'running', finished_at = NULL`)
	_, err = engine.Run(t.Context(), run.Options{})
	var unfinished *state.UnfinishedError
	if !errors.As(err, &unfinished) {
		t.Fatalf("got %v", err)
	}
	s, err = engine.Resume(t.Context(), s.ID)
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	if n := b.count(t, "FROM Account"); n != 50 {
		t.Errorf("the org has %d", n)
	}
}

func TestOneChunkThatDoesNotAddUpLeavesTheOthersToAResume(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 500)
	// One job's results lag for longer than a run waits, and then the org takes no more jobs. Whichever chunk
	// it is has a record that fails.
	b.exec(t, `UPDATE people SET name = '' WHERE id % 50 = 5`)
	b.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoLagResults, After: 1000, Times: 1})
	refusal := b.fault(t, emulator.Fault{Method: "POST", Path: "/jobs/ingest", Skip: 2, Do: emulator.DoStatus, Status: 400, Code: "INVALIDENTITY", Message: "no"})
	engine := b.engine(t, accounts("insert", "    chunk: { rows: 50, parallel: 1 }\n"))
	s, err := engine.Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) || s.State != state.RunInconsistent || !s.Unfinished {
		t.Fatalf("got %v, %+v", err, s.Run)
	}
	_, err = engine.Run(t.Context(), run.Options{})
	var unfinished *state.UnfinishedError
	if !errors.As(err, &unfinished) {
		t.Fatalf("another run was let in beside unsent chunks: %v", err)
	}
	b.server.RemoveFault(refusal.ID)
	for _, f := range b.server.Faults() {
		b.server.RemoveFault(f.ID)
	}
	if s, err = engine.Resume(t.Context(), s.ID); s == nil || s.Loaded < 440 {
		t.Fatalf("got %+v, %v", s, err)
	}
	if n := b.count(t, "FROM Account"); n != 490 {
		t.Errorf("the org has %d", n)
	}
}

func TestRetryInManyChunksSendsEachRecordOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 300)
	b.exec(t, `UPDATE people SET name = ''`)
	engine := b.engine(t, accounts("insert", "    chunk: { rows: 10, parallel: 2 }\n"))
	s, err := engine.Run(t.Context(), run.Options{})
	mustComplete(t, s, err, state.RunCompletedWithFailures)
	s, err = engine.Retry(t.Context(), run.RetryOptions{})
	b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
	if s.Read != 300 || s.Steps[0].Chunks != 30 || len(b.open(t)) != 300 {
		t.Errorf("run %s in %d chunks, open %d", s.Counts, s.Steps[0].Chunks, len(b.open(t)))
	}
	for _, r := range b.open(t) {
		if r.Attempts != 2 {
			t.Fatalf("row %+v", r)
		}
	}
}

func TestSmallSpoolSlowsALoadAndDoesNotStopIt(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 1000)
	var err error
	if b.config.Spool, err = spool.Open(spool.Config{Dir: b.spoolDir, MaxBytes: 4000}); err != nil {
		t.Fatal(err)
	}
	b.fault(t, emulator.Fault{On: emulator.OnRow, Do: emulator.DoRowError, Every: 25, Times: 40})
	refusal := b.fault(t, emulator.Fault{Method: "POST", Path: "/jobs/ingest", Skip: 5, Do: emulator.DoStatus, Status: 400, Code: "INVALIDENTITY", Message: "no"})
	engine := b.engine(t, accounts("insert", "    chunk: { rows: 40, parallel: 2 }\n"))
	s, err := engine.Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) {
		t.Fatalf("got %+v, %v", s, err)
	}
	// The spool is lost as well, so that workers have files to make while extraction waits for room.
	if err := os.RemoveAll(b.spoolDir); err != nil {
		t.Fatal(err)
	}
	b.server.RemoveFault(refusal.ID)
	s, err = engine.Resume(t.Context(), s.ID)
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	if n := b.count(t, "FROM Account"); n != 1000 {
		t.Errorf("the org has %d", n)
	}
}

func TestRangeThatGrewIsReadWhole(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 300)
	refusal := b.fault(t, emulator.Fault{Method: "POST", Path: "/jobs/ingest", Do: emulator.DoStatus, Status: 400, Code: "INVALIDENTITY", Message: "no"})
	yaml := accounts("insert", "    chunk: { bytes: 2000 }\n")
	s, err := b.engine(t, yaml).Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) {
		t.Fatalf("got %+v, %v", s, err)
	}
	b.server.RemoveFault(refusal.ID)
	if err := os.RemoveAll(b.spoolDir); err != nil {
		t.Fatal(err)
	}
	b.exec(t, `UPDATE people SET name = name || repeat('x', 20)`)
	b.exec(t, `INSERT INTO people SELECT -i, 'New ' || i, 's' FROM generate_series(1, 20) AS i`)
	s, err = b.engine(t, yaml).Resume(t.Context(), s.ID)
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	if n := b.count(t, "FROM Account"); n != 320 || s.Loaded != 320 {
		t.Errorf("the org has %d, run %s", n, s.Counts)
	}
}

// TestRangeThatOutgrewAJobIsSplit loses the spool of chunks whose rows have since become more, and
// larger, than one job takes.
func TestRangeThatOutgrewAJobIsSplit(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 60)
	refusal := b.fault(t, emulator.Fault{Method: "POST", Path: "/jobs/ingest", Do: emulator.DoStatus, Status: 400, Code: "INVALIDENTITY", Message: "no"})
	yaml := accounts("insert", "    chunk: { rows: 20, parallel: 2 }\n")
	s, err := b.engine(t, yaml).Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) {
		t.Fatalf("got %+v, %v", s, err)
	}
	b.server.RemoveFault(refusal.ID)
	if err := os.RemoveAll(b.spoolDir); err != nil {
		t.Fatal(err)
	}
	b.exec(t, `UPDATE people SET name = CASE WHEN id = 30 THEN '#N/A' ELSE name || repeat('x', 100) END`)
	b.exec(t, `INSERT INTO people SELECT -i, 'New ' || i, 's' FROM generate_series(1, 50) AS i`)
	b.config.JobBytes = 1000
	s, err = b.engine(t, yaml).Resume(t.Context(), s.ID)
	b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
	if n := b.count(t, "FROM Account"); n != 109 || s.Loaded != 109 || s.Rejected != 1 || s.Read != 110 {
		t.Errorf("the org has %d, run %s", n, s.Counts)
	}
	chunks, err := b.store.Chunks(t.Context(), s.ID, "")
	if err != nil || len(chunks) < 8 {
		t.Errorf("%d chunks, %v", len(chunks), err)
	}
	for _, c := range chunks {
		if c.Bytes > b.config.JobBytes {
			t.Errorf("chunk %d has %d bytes", c.Seq, c.Bytes)
		}
	}
}

func TestResumeWithoutTheFilesOfRunningJobs(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 100)
	b.exec(t, `UPDATE people SET name = '' WHERE id = 7`)
	p := parse(t, accounts("insert", ""))
	p.Steps[0].JobTimeout = 1
	b.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick, Times: 1})
	s, err := run.New(p, b.config).Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) {
		t.Fatalf("got %+v, %v", s, err)
	}
	b.server.Release()
	if err := os.RemoveAll(b.spoolDir); err != nil {
		t.Fatal(err)
	}
	s, err = b.engine(t, accounts("insert", "")).Resume(t.Context(), s.ID)
	b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
	rows := b.open(t)
	if len(rows) != 1 || rows[0].SourceKey != nil || fmt.Sprint(s.Counts) != "read 100 = loaded 99 + failed 1 + unprocessed 0 + rejected 0 + held 0 + unchanged 0" {
		t.Errorf("run %s, rows %+v", s.Counts, rows)
	}
}
