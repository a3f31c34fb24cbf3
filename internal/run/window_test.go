package run_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/emulator"
	"bulkhead/internal/preflight"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// changing is the pipeline of accounts whose query has a column that says what changed.
func changing(changes string) string {
	yaml := strings.Replace(accounts("upsert", "    chunk: { rows: 10, parallel: 2 }\n"), "SELECT id, name, site FROM people", "SELECT id, name, site, updated_at, version FROM people", 1)
	return strings.Replace(yaml, "    key: id\n", "    key: id\n    changes: "+changes+"\n", 1)
}

// changingPeople fills the table people with n rows that know when they changed.
func (b *bundle) changingPeople(t *testing.T, n int) {
	t.Helper()
	b.people(t, n)
	b.exec(t, `CREATE SEQUENCE versions;
		ALTER TABLE people ADD updated_at timestamptz DEFAULT now(), ADD version bigint DEFAULT nextval('versions'), ADD day date DEFAULT current_date - 3;
		CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := now(); NEW.version := nextval('versions'); RETURN NEW; END $$;
		CREATE TRIGGER stamp BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION stamp()`)
}

// night runs the pipeline once.
func (b *bundle) night(t *testing.T, yaml string, options run.Options) *run.Summary {
	t.Helper()
	s, err := b.engine(t, yaml).Run(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	b.mustBalance(t, s)
	return s
}

func (b *bundle) mark(t *testing.T) string {
	t.Helper()
	marks, err := b.store.Watermarks(t.Context(), "people")
	if err != nil || len(marks) != 1 {
		t.Fatalf("watermarks %v, %v", marks, err)
	}
	return marks[0].Value
}

func TestOnlyWhatChangedIsRead(t *testing.T) {
	t.Parallel()
	for _, changes := range []string{"{ by: updated_at }", "{ by: version }"} {
		t.Run(changes, func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{})
			b.changingPeople(t, 30)
			if s := b.night(t, changing(changes), run.Options{}); s.Loaded != 30 {
				t.Errorf("the first night: %s", s.Counts)
			}
			if s := b.night(t, changing(changes), run.Options{}); s.Read != 0 {
				t.Errorf("a quiet night: %s", s.Counts)
			}
			b.exec(t, `UPDATE people SET name = 'New ' || id WHERE id IN (3, 17); DELETE FROM people WHERE id = 30`)
			if s := b.night(t, changing(changes), run.Options{}); s.Loaded != 2 {
				t.Errorf("two changed: %s", s.Counts)
			}
			if n := b.count(t, "FROM Account WHERE Name LIKE 'New %'"); n != 2 {
				t.Errorf("the org has %d of them", n)
			}
			before := b.mark(t)
			if s := b.night(t, changing(changes), run.Options{Limit: 1, Full: true}); s.Loaded != 1 || b.mark(t) != before {
				t.Errorf("a run with a limit: %s, mark %s, before %s", s.Counts, b.mark(t), before)
			}
			if s := b.night(t, changing(changes), run.Options{Full: true}); s.Loaded != 29 {
				t.Errorf("with --full: %s", s.Counts)
			}
		})
	}
}

// TestALateCommitIsNotLost commits a change after a run that began after the change did.
func TestALateCommitIsNotLost(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.changingPeople(t, 20)
	b.night(t, changing("{ by: updated_at }"), run.Options{})
	conn, err := pgx.Connect(t.Context(), b.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `UPDATE people SET name = 'Late' WHERE id = 5`); err != nil {
		t.Fatal(err)
	}
	b.exec(t, `UPDATE people SET name = 'Early' WHERE id = 6`)
	b.night(t, changing("{ by: updated_at }"), run.Options{})
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.night(t, changing("{ by: updated_at }"), run.Options{})
	if n := b.count(t, "FROM Account WHERE Name IN ('Late', 'Early')"); n != 2 {
		t.Errorf("the org has %d of 2 changes", n)
	}
}

func TestSinceBeginsWhereAsked(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.changingPeople(t, 20)
	s := b.night(t, changing("{ by: version }"), run.Options{Since: "15"})
	if s.Loaded != 6 || b.mark(t) != "21" {
		t.Errorf("got %s, mark %s", s.Counts, b.mark(t))
	}
	b.exec(t, `UPDATE people SET name = name`)
	// It leaves out 21 to 39, which the next run must read.
	if s = b.night(t, changing("{ by: version }"), run.Options{Since: "40"}); s.Loaded != 1 || b.mark(t) != "21" {
		t.Errorf("got %s, mark %s", s.Counts, b.mark(t))
	}
	if s = b.night(t, changing("{ by: version, overlap: 5 }"), run.Options{}); s.Loaded != 20 || b.mark(t) != "41" {
		t.Errorf("got %s, mark %s", s.Counts, b.mark(t))
	}
	if s = b.night(t, changing("{ by: version, overlap: 5 }"), run.Options{}); s.Loaded != 5 {
		t.Errorf("with an overlap: %s", s.Counts)
	}
	if _, err := b.engine(t, changing("{ by: version }")).Run(t.Context(), run.Options{Since: "yesterday"}); err == nil || !strings.Contains(err.Error(), `"yesterday" is no bigint`) {
		t.Errorf("got %v", err)
	}
}

func TestResumeReadsWhatItsRunWasToRead(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.changingPeople(t, 40)
	b.fault(t, emulator.Fault{Method: "POST", Path: "/jobs/ingest", Do: emulator.DoStatus, Status: 400, Code: "INVALIDENTITY", Message: "no", Skip: 1, Times: 1})
	s, err := b.engine(t, changing("{ by: version }")).Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) || !s.Unfinished {
		t.Fatalf("got %v", err)
	}
	if marks, err := b.store.Watermarks(t.Context(), ""); err != nil || len(marks) != 0 {
		t.Errorf("the watermark moved before its time: %v, %v", marks, err)
	}
	b.exec(t, `INSERT INTO people (id, name) VALUES (100, 'Later')`)
	if err := b.spool.RemoveRun(s.ID); err != nil {
		t.Fatal(err)
	}
	s, err = b.engine(t, changing("{ by: version }")).Resume(t.Context(), s.ID)
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	if s.Loaded != 40 || b.mark(t) != "41" {
		t.Errorf("got %s, mark %s", s.Counts, b.mark(t))
	}
	if s = b.night(t, changing("{ by: version }"), run.Options{}); s.Loaded != 1 {
		t.Errorf("the night after: %s", s.Counts)
	}
}

func TestWatermarksThatCannotBeTrustedSendNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, before, changes, sql, want string
	}{
		{
			name: "nulls", changes: "{ by: updated_at }", sql: `UPDATE people SET version = 1; ALTER TABLE people DISABLE TRIGGER ALL; UPDATE people SET updated_at = NULL WHERE id = 2`,
			want: "there are rows whose updated_at is NULL or infinity, and they would never be sent",
		},
		{
			name: "times that never come", changes: "{ by: updated_at }", sql: `INSERT INTO people (id, name, updated_at) VALUES (6, 'Never', 'infinity')`,
			want: "there are rows whose updated_at is NULL or infinity, and they would never be sent",
		},
		{name: "no order", changes: "{ by: name }", want: `column "name" has type text, whose order does not say what changed later`},
		{name: "overlap of a time", changes: "{ by: version, overlap: 10m }", want: "is a whole number, so an overlap of 10m0s means nothing"},
		{name: "overlap of a number", changes: "{ by: updated_at, overlap: 10 }", want: "an overlap of 10 has no unit"},
		{
			name: "clock went back", before: "{ by: updated_at }", changes: "{ by: updated_at }", sql: `UPDATE etl.watermarks SET value = '2999-01-01 00:00:00+00'`,
			want: "its clock went back, it is another server, or the watermark was set ahead",
		},
		{name: "another column", before: "{ by: version }", changes: "{ by: updated_at }", want: `the watermark is one of the bigint column "version", and the step goes by the timestamptz column "updated_at" now`},
		{name: "another org", before: "{ by: version }", changes: "{ by: version }", sql: `UPDATE etl.watermarks SET org_id = '00D000000000001'`, want: "the watermark says what org 00D000000000001 has"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{})
			b.changingPeople(t, 5)
			if tt.before != "" {
				b.night(t, changing(tt.before), run.Options{})
			}
			if tt.sql != "" {
				b.exec(t, tt.sql)
			}
			had := b.count(t, "FROM Account")
			_, err := b.engine(t, changing(tt.changes)).Run(t.Context(), run.Options{})
			var refused *preflight.Error
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "test.yaml:9:14: ") {
				t.Errorf("got %v", err)
			}
			if n := b.count(t, "FROM Account"); n != had {
				t.Errorf("the org has %d, had %d", n, had)
			}
		})
	}
}

// TestANumberThatIsNotCommittedYetIsWaitedFor has a transaction that drew a lesser number than one that
// is committed: with its row, or ahead of it, when the transaction has no id yet.
func TestANumberThatIsNotCommittedYetIsWaitedFor(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, draw, write string }{
		{"with its row", `INSERT INTO people (id, name) VALUES (6, 'Slow')`, `SELECT`},
		{"ahead of its row", `SELECT nextval('versions')`, `INSERT INTO people (id, name, version) VALUES (6, 'Slow', currval('versions'))`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{})
			b.changingPeople(t, 5)
			tx := b.underWay(t, tt.draw)
			b.exec(t, `INSERT INTO people (id, name) VALUES (7, 'Fast')`)
			done := make(chan error, 1)
			go func() {
				_, err := b.engine(t, changing("{ by: version }")).Run(t.Context(), run.Options{})
				done <- err
			}()
			until(t, func() bool {
				select {
				case err := <-done:
					t.Fatalf("the run did not wait: %v", err)
				default:
				}
				var n int
				err := b.store.Pool().QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT DISTINCT l.virtualtransaction%'`).Scan(&n)
				return err == nil && n > 0
			})
			if _, err := tx.Exec(t.Context(), tt.write); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if n := b.count(t, "FROM Account"); n != 7 {
				t.Errorf("the org has %d of 7", n)
			}
		})
	}
}

// underWay begins a transaction on a connection of its own, after some settings of its session.
func (b *bundle) underWay(t *testing.T, sql string, settings ...string) pgx.Tx {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	for _, setting := range settings {
		if _, err := conn.Exec(t.Context(), setting); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := conn.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), sql)
	}
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// TestATransactionThatHidesItsTimeIsNotPassedOver has one in a session that does not say since when.
func TestATransactionThatHidesItsTimeIsNotPassedOver(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.changingPeople(t, 5)
	tx := b.underWay(t, `INSERT INTO people (id, name) VALUES (6, 'Slow')`, `SET track_activities = off`)
	_, err := b.engine(t, changing("{ by: updated_at }")).Run(t.Context(), run.Options{})
	var refused *preflight.Error
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "track_activities = off") || b.count(t, "FROM Account") != 0 {
		t.Errorf("got %v, and the org has %d", err, b.count(t, "FROM Account"))
	}
	b.night(t, changing("{ by: updated_at, overlap: 1h }"), run.Options{})
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.night(t, changing("{ by: updated_at, overlap: 1h }"), run.Options{})
	if n := b.count(t, "FROM Account"); n != 6 {
		t.Errorf("the org has %d of 6", n)
	}
	b.night(t, changing("{ by: updated_at }"), run.Options{}) // the session is open, and in no transaction
}

// TestNumbersThatBeganAnewAreSaid cannot be told from newest rows that were removed, so it is no error.
func TestNumbersThatBeganAnewAreSaid(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.changingPeople(t, 20)
	b.night(t, changing("{ by: version }"), run.Options{})
	logs := b.watched(run.Limits{})
	b.night(t, changing("{ by: version }"), run.Options{})
	if n := logs.FilterMessageSnippet("began anew").Len(); n != 0 {
		t.Errorf("warned of a quiet night %d times", n)
	}
	b.exec(t, `DELETE FROM people; INSERT INTO people (id, name, version) VALUES (1, 'Anew', 1)`)
	if s := b.night(t, changing("{ by: version }"), run.Options{}); s.Read != 0 || b.mark(t) != "21" {
		t.Errorf("got %s, mark %s", s.Counts, b.mark(t))
	}
	if n := logs.FilterMessageSnippet("the watermark is at 21, and every version in the source is less than 2").Len(); n != 1 {
		t.Errorf("warned %d times", n)
	}
}
