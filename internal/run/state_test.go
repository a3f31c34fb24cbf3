package run_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"bulkhead/internal/emulator"
	"bulkhead/internal/pgtest"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// stateVia moves the bundle's state to a database reached by another way than its source.
func (b *bundle) stateVia(t *testing.T, dsn string) {
	t.Helper()
	store, err := state.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	b.store, b.failures = store, reconcile.NewStore(store.Pool())
	b.config.Store, b.config.Failures = b.store, b.failures
	b.config.StatePause, b.config.StateWait = time.Millisecond, 10*time.Second
}

// numbered is a run whose ids carry its number, so that many can share an org: two jobs, two rows that
// are refused, one that is sent again.
func numbered(n int) string {
	return fmt.Sprintf(`name: cut-%[1]d
steps:
  - name: accounts
    object: Account
    operation: insert
    query: SELECT id, '%[1]d-' || id AS legacy, CASE WHEN id %% 10 = 7 THEN '' ELSE name END AS name FROM people
    key: id
    fields:
      Legacy_Id__c: legacy
      Name: name
    chunk: { rows: 10, parallel: 2 }
`, n)
}

// TestStateConnectionCutAnywhere cuts a connection to the state database at one message after the other
// of a run, before it arrives and after it was answered, commits included: the run completes by itself.
func TestStateConnectionCutAnywhere(t *testing.T) {
	t.Parallel()
	const stride = 37 // every message is tried by ETL_TEST_EVERY=1
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("answered %v", after), func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{})
			b.people(t, 20)
			w := newWire(t, b.dsn)
			b.stateVia(t, w.dsn())
			total := 1
			for n, at := 0, 0; at < total; n, at = n+1, at+every(stride) {
				b.fault(t, emulator.Fault{On: emulator.OnRow, Do: emulator.DoRowError, Field: "Legacy_Id__c", Keys: []string{fmt.Sprintf("%d-3", n)}, Times: 1})
				w.watch(at, after)
				engine := b.engine(t, numbered(n))
				s, err := engine.Run(t.Context(), run.Options{})
				if err != nil && s == nil && n > 0 {
					// Before the run was recorded nothing is tried again, and nothing was sent.
					if jobs := b.count(t, fmt.Sprintf("FROM Account WHERE Legacy_Id__c LIKE '%d-%%'", n)); jobs != 0 {
						t.Fatalf("message %d: %v, and the org has %d", at, err, jobs)
					}
					s, err = engine.Run(t.Context(), run.Options{Abandon: true})
				}
				total = max(total, w.seen())
				w.watch(0, false)
				if s == nil {
					t.Fatalf("message %d: %v", at, err)
				}
				b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
				if got := b.count(t, fmt.Sprintf("FROM Account WHERE Legacy_Id__c LIKE '%d-%%'", n)); got != 18 || s.Loaded != 18 || s.Failed != 2 {
					t.Fatalf("message %d of %d: the org has %d, the run says %s", at, total, got, s.Counts)
				}
			}
			t.Logf("%d messages", total)
		})
	}
}

// TestStateDatabaseRestarts drops every connection to the state database while jobs are running, and
// lets nobody in for a while.
func TestStateDatabaseRestarts(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 200)
	b.stateVia(t, pgtest.New(t))
	b.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick})
	done := make(chan struct{})
	go func() {
		defer close(done)
		until(t, func() bool { return b.server.State().Jobs["InProgress"] >= 2 })
		// What a restart looks like from outside; the server of all the other tests cannot be restarted.
		name := b.store.Pool().Config().ConnConfig.Database
		b.exec(t, fmt.Sprintf(`ALTER DATABASE %q ALLOW_CONNECTIONS false`, name))
		b.exec(t, fmt.Sprintf(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'`, name))
		b.server.RemoveFault("")
		b.server.Release()
		until(t, func() bool { return b.server.State().Jobs["JobComplete"] >= 2 })
		b.exec(t, fmt.Sprintf(`ALTER DATABASE %q ALLOW_CONNECTIONS true`, name))
	}()
	s, err := b.engine(t, accounts("insert", "    chunk: { rows: 20, parallel: 2 }\n")).Run(t.Context(), run.Options{})
	<-done
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	b.mustHave(t, s)
}

// ownServer starts a Postgres server in a directory of its own under parent (empty: the temporary one)
// and moves the bundle's state to a database there.
func (b *bundle) ownServer(t *testing.T, parent string) *pgtest.Server {
	t.Helper()
	server, err := pgtest.StartIn(t.Context(), parent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	dsn, err := server.CreateDatabase(t.Context(), "state")
	if err != nil {
		t.Fatal(err)
	}
	b.stateVia(t, dsn)
	return server
}

// TestStateServerCrashesAndComesBack ends the server of the state database at once, time and again in the
// middle of a run, and starts it again on the same data a moment later.
func TestStateServerCrashesAndComesBack(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{BatchLatency: 5 * time.Millisecond})
	b.people(t, 600)
	server := b.ownServer(t, "")
	const jobs, crashes = 30, 3
	done := make(chan error, 1)
	go func() {
		for n := range crashes {
			until(t, func() bool { return b.server.State().Jobs["JobComplete"] > n*jobs/(crashes+1) })
			if err := errors.Join(server.Crash(t.Context()), server.Restart(t.Context())); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	s, err := b.engine(t, accounts("insert", "    chunk: { rows: 20, parallel: 2 }\n")).Run(t.Context(), run.Options{})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	b.mustHave(t, s)
}

// TestNothingIsSentWhileTheStateIsReadOnly makes the state database what a standby is until it is
// promoted.
func TestNothingIsSentWhileTheStateIsReadOnly(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 60)
	b.stateVia(t, pgtest.New(t))
	name := b.store.Pool().Config().ConnConfig.Database
	readOnly := func(on string) {
		b.exec(t, fmt.Sprintf(`ALTER DATABASE %q SET default_transaction_read_only = %s`, name, on))
		b.exec(t, fmt.Sprintf(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'`, name))
	}
	yaml := accounts("insert", "    chunk: { rows: 20, parallel: 1 }\n")

	// From the start: the run does not even begin.
	readOnly("on")
	s, err := b.engine(t, yaml).Run(t.Context(), run.Options{})
	if s != nil || err == nil || len(b.server.State().Jobs) != 0 {
		t.Fatalf("got %+v, %v, jobs %v", s, err, b.server.State().Jobs)
	}

	// In the middle: it waits as long as it may, stops, and is resumed.
	readOnly("off")
	b.config.StateWait = 50 * time.Millisecond
	b.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick, Times: 1})
	done := make(chan struct{})
	go func() {
		defer close(done)
		// One job is stuck, and the next one waits with its content.
		until(t, func() bool { jobs := b.server.State().Jobs; return jobs["InProgress"] == 1 && jobs["Open"] == 1 })
		readOnly("on")
		b.server.Release()
	}()
	_, err = b.engine(t, yaml).Run(t.Context(), run.Options{})
	<-done
	jobs := 0
	for _, n := range b.server.State().Jobs {
		jobs += n
	}
	if err == nil || !strings.Contains(err.Error(), "waited") || jobs != 2 || b.server.State().Jobs["Open"] != 1 {
		t.Fatalf("got %v, %d jobs", err, jobs)
	}
	readOnly("off")
	b.stateVia(t, b.store.Pool().Config().ConnString())
	runs, err := b.store.Runs(t.Context(), state.RunFilter{Unfinished: true})
	if err != nil || len(runs) != 1 {
		t.Fatalf("got %+v, %v", runs, err)
	}
	s, err = b.engine(t, yaml).Resume(t.Context(), runs[0].ID)
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	b.mustHave(t, s)
}

// TestStateDiskIsFull lets the state database refuse writes for want of room, for a while.
func TestStateDiskIsFull(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 60)
	b.stateVia(t, pgtest.New(t))
	dsn := b.store.Pool().Config().ConnString()
	pgtest.Exec(t, dsn, `CREATE SEQUENCE tries;
		CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('tries') BETWEEN 5 AND 15 THEN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END IF;
			RETURN NEW; END $$;
		CREATE TRIGGER full_disk BEFORE UPDATE ON etl.chunks FOR EACH ROW EXECUTE FUNCTION full_disk()`)
	s, err := b.engine(t, accounts("insert", "    chunk: { rows: 20, parallel: 2 }\n")).Run(t.Context(), run.Options{})
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	b.mustHave(t, s)
}
