package run_test

import (
	"errors"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// TestSourceGoesAwayInTheMiddle ends the extraction at row 150 of 200: the two chunks that are cut are
// loaded, and the resume reads on after their last key.
func TestSourceGoesAwayInTheMiddle(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]string{
		"server ends the session": `PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1);`,
		"query cancelled":         `RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = 'query_canceled';`,
		"recovery conflict":       `RAISE EXCEPTION 'canceling statement due to conflict with recovery' USING ERRCODE = 'serialization_failure';`,
		"full disk":               `RAISE EXCEPTION 'could not write to file: No space left on device' USING ERRCODE = 'disk_full';`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{})
			b.people(t, 200)
			b.exec(t, `CREATE TABLE trouble (at int); INSERT INTO trouble VALUES (150)`)
			b.exec(t, `CREATE FUNCTION meet(id int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN
				IF EXISTS (SELECT FROM trouble WHERE at = id) THEN `+trouble+` END IF; RETURN ''; END $$`)
			yaml := strings.Replace(accounts("insert", "    chunk: { rows: 50, parallel: 8 }\n"), "Name: name", `Name: { sql: "name || meet(id)" }`, 1)
			s, err := b.engine(t, yaml).Run(t.Context(), run.Options{})
			if !errors.Is(err, run.ErrIncomplete) || s.State != state.RunFailed || !s.Unfinished || !strings.Contains(s.Error, "etl resume") {
				t.Fatalf("got %v, %+v", err, s)
			}
			if n := b.count(t, "FROM Account"); n != 100 || s.Loaded != 100 {
				t.Fatalf("the org has %d, the run says %s", n, s.Counts)
			}
			b.exec(t, `DELETE FROM trouble`)
			s, err = b.engine(t, yaml).Resume(t.Context(), s.ID)
			b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
			b.mustHave(t, s)
			if s.Loaded != 200 || s.Steps[0].Chunks != 4 {
				t.Errorf("the run says %s in %d chunks", s.Counts, s.Steps[0].Chunks)
			}
		})
	}
}

// TestStatementTimeoutOfTheSource is the real thing: the server cancels a query that takes too long.
func TestStatementTimeoutOfTheSource(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 200)
	b.exec(t, `CREATE TABLE slow (at int); INSERT INTO slow VALUES (150)`)
	b.exec(t, `CREATE FUNCTION meet(id int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN
		IF EXISTS (SELECT FROM slow WHERE at = id) THEN PERFORM pg_sleep(60); END IF; RETURN ''; END $$`)
	b.config.Source = b.dsn + "&options=-c%20statement_timeout%3D1500"
	yaml := strings.Replace(accounts("insert", "    chunk: { rows: 50, parallel: 8 }\n"), "Name: name", `Name: { sql: "name || meet(id)" }`, 1)
	s, err := b.engine(t, yaml).Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) || s == nil || !strings.Contains(s.Error, "statement timeout") || !s.Unfinished {
		t.Fatalf("got %v, %+v", err, s)
	}
	b.exec(t, `DELETE FROM slow`)
	s, err = b.engine(t, yaml).Resume(t.Context(), s.ID)
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	b.mustHave(t, s)
}

// TestSecondResumeIsRefusedWhileTheFirstLives holds a job, and tries to take its run over.
func TestSecondResumeIsRefusedWhileTheFirstLives(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 10)
	stuck := b.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick, Times: 1})
	yaml := accounts("insert", "")
	done := make(chan struct{})
	go func() {
		defer close(done)
		until(t, func() bool { return b.struck(stuck.ID) > 0 })
		runs, err := b.store.Runs(t.Context(), state.RunFilter{})
		if err != nil || len(runs) != 1 {
			t.Errorf("got %+v, %v", runs, err)
		} else {
			_, err = b.engine(t, yaml).Resume(t.Context(), runs[0].ID)
			var held *state.HeldError
			if !errors.As(err, &held) || held.RunID != runs[0].ID {
				t.Errorf("got %v", err)
			}
		}
		b.server.Release()
	}()
	s, err := b.engine(t, yaml).Run(t.Context(), run.Options{})
	<-done
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	b.mustHave(t, s)
}
