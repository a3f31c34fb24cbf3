package crashtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"bulkhead/internal/emulator"
	"bulkhead/internal/pgtest"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// stage is a place with its org and a pipeline to run there.
type stage struct {
	place
	server *emulator.Server
	jobs   string // the emulator's folder of jobs
	text   string // of the pipeline
	begin  deed   // what is done first
	before int64  // the newest run before that
	kit    *kit
}

// lot keeps stages for use again: a database is slow to make and quick to empty.
type lot struct {
	tb   testing.TB // whose end takes the stages down
	mu   sync.Mutex
	free []*stage
}

// lotJobBytes is more than any chunk of the scenarios has at first.
const lotJobBytes = 8_000

func newLot(tb testing.TB) *lot { return &lot{tb: tb} }

// take returns an empty stage. One that a failed test used is not given to another, so that its database
// can be looked at.
func (l *lot) take(tb testing.TB) *stage {
	tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var st *stage
	if n := len(l.free); n > 0 {
		st, l.free = l.free[n-1], l.free[:n-1]
	} else {
		st = build(l.tb, emulator.Config{BatchSize: 5})
		st.JobBytes = lotJobBytes
	}
	tb.Cleanup(func() {
		st.kit.store.Close()
		if tb.Failed() {
			tb.Logf("psql '%s'", st.DSN)
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.free = append(l.free, st)
	})
	return st
}

// build makes a stage whose org is as cfg says.
func build(tb testing.TB, cfg emulator.Config) *stage {
	tb.Helper()
	dir := tb.TempDir()
	st := &stage{place: place{DSN: pgtest.New(tb), Spool: filepath.Join(dir, "spool")}, jobs: filepath.Join(dir, "jobs")}
	cfg.DataDir = st.jobs
	var err error
	if st.server, err = emulator.Start(context.Background(), cfg); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = st.server.Close() })
	st.URL = st.server.URL()
	return st
}

// empty is what a database is emptied with.
const empty = `TRUNCATE etl.runs, etl.steps, etl.chunks, etl.reconciliation, etl.run_describes, etl.describes, etl.watermarks, etl.row_sets, etl.row_state, etl.fires, etl.schedules RESTART IDENTITY; DROP SCHEMA public CASCADE; CREATE SCHEMA public;`

// setUp makes a stage of a scenario, ready for its deed.
func (sc scenario) setUp(tb testing.TB, l *lot) *stage {
	tb.Helper()
	st := l.take(tb)
	sc.put(tb, st)
	return st
}

// put makes a stage, whatever was played on it before, one of the scenario.
func (sc scenario) put(tb testing.TB, st *stage) {
	tb.Helper()
	st.text, st.begin, st.before, st.kit = sc.pipeline, sc.begin, 0, nil
	if err := errors.Join(st.server.Reset(), os.RemoveAll(st.Spool)); err != nil {
		tb.Fatal(err)
	}
	pgtest.Exec(tb, st.DSN, empty+sc.source)
	st.faults(tb, sc.faults)
	st.reopen(tb)
	if sc.prepare != nil {
		sc.prepare(tb, st)
	}
}

func (st *stage) faults(tb testing.TB, faults []emulator.Fault) {
	tb.Helper()
	for _, f := range faults {
		if _, err := st.server.AddFault(f); err != nil {
			tb.Fatal(err)
		}
	}
}

// reopen opens the place as a new process would; what the last one had is closed.
func (st *stage) reopen(tb testing.TB) {
	tb.Helper()
	if st.kit != nil {
		st.kit.store.Close()
	}
	var err error
	if st.kit, err = st.open(tb.Context(), nil); err != nil {
		tb.Fatal(err)
	}
}

func (st *stage) runs(tb testing.TB) []state.Run {
	tb.Helper()
	runs, err := st.kit.store.Runs(tb.Context(), state.RunFilter{})
	if err != nil {
		tb.Fatal(err)
	}
	return runs
}

// next is what a user would do now: resume what is unfinished, begin again where nothing was
// recorded, or nothing when it is done.
func (st *stage) next(tb testing.TB) (deed, bool) {
	tb.Helper()
	runs := st.runs(tb)
	for _, r := range runs {
		if r.Unfinished {
			return deedResume, true
		}
	}
	if len(runs) == 0 || runs[0].ID <= st.before {
		return st.begin, true
	}
	switch runs[0].State {
	case state.RunRunning, state.RunFailed, state.RunStopped, state.RunInterrupted:
		return st.begin, true
	case state.RunSucceeded, state.RunCompletedWithFailures, state.RunInconsistent:
	}
	return "", false
}

// kill does what is next in a process that is killed; false when it came to its end alive, or when
// there was nothing to do.
func (st *stage) kill(tb testing.TB, k kill) (bool, report) {
	tb.Helper()
	todo, ok := st.next(tb)
	if !ok {
		return false, report{}
	}
	return spawn(tb, task{Place: st.place, Pipeline: st.text, Do: todo, Kill: k}, nil)
}

// finish does what is next, in this process, until nothing is. mend, which may be nil, is called when
// a run could not complete.
func (st *stage) finish(tb testing.TB, mend func(error)) {
	tb.Helper()
	st.reopen(tb)
	var errs []error
	for range 30 {
		todo, ok := st.next(tb)
		if !ok {
			return
		}
		_, err := patiently(tb.Context(), func() (*run.Summary, error) { return st.kit.do(tb.Context(), st.text, todo) })
		if errors.Is(err, run.ErrNothingToRetry) {
			return
		}
		if err == nil {
			continue
		}
		errs = append(errs, err)
		if mend == nil {
			tb.Fatalf("%s: %v", todo, err)
		}
		mend(err)
	}
	tb.Fatalf("the run cannot be brought to an end: %v", errors.Join(errs...))
}

// awaitSilence waits until the server has noticed the end of a killed process: its last commit may
// still be on its way.
func (st *stage) awaitSilence(tb testing.TB) {
	tb.Helper()
	st.kit.store.Close()
	conn := pgtest.Conn(tb, st.DSN)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for others := 1; others > 0; {
		const query = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`
		if err := conn.QueryRow(tb.Context(), query).Scan(&others); err != nil {
			tb.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-tb.Context().Done():
			tb.Fatal(context.Cause(tb.Context()))
		}
	}
	if err := conn.Close(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	st.kit = nil
	st.reopen(tb)
}

// removeFiles deletes the files of all chunks in a state, as a lost machine would.
func (st *stage) removeFiles(tb testing.TB, chunks []*state.Chunk) {
	tb.Helper()
	for _, c := range chunks {
		if err := os.Remove(filepath.Join(st.Spool, filepath.FromSlash(c.File)+".csv")); err != nil {
			tb.Fatal(err)
		}
	}
}
