package state_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"bulkhead/internal/pgtest"
	"bulkhead/internal/state"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bundle is a store on a fresh database with one run of one step begun.
type bundle struct {
	dsn   string
	store *state.Store
	lease *state.Lease
	step  state.Step
}

func newRun(abandon bool) state.NewRun {
	return state.NewRun{
		Pipeline: "crm", File: "pipelines/crm.yaml", Definition: []byte("name: crm"), Trigger: state.TriggerManual, Abandon: abandon,
		Steps: []state.NewStep{{Name: "accounts", Object: "Account", Operation: "upsert"}},
	}
}

func openStore(t *testing.T, dsn string) *state.Store {
	t.Helper()
	store, err := state.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func setup(t *testing.T) bundle {
	t.Helper()
	dsn := pgtest.New(t)
	b := bundle{dsn: dsn, store: openStore(t, dsn)}
	var err error
	if b.lease, err = b.store.Start(t.Context(), newRun(false)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.lease.Release(context.Background()) })
	steps, err := b.store.Steps(t.Context(), b.lease.RunID())
	if err != nil || len(steps) != 1 {
		t.Fatalf("steps %v, %v", steps, err)
	}
	b.step = steps[0]
	return b
}

func noRows(pgx.Tx, int64) error { return nil }

func (b bundle) addRange(t *testing.T, seq int, sent, rejected int64) *state.Chunk {
	t.Helper()
	c, err := b.lease.AddRange(t.Context(), b.step.ID, seq, state.Spooled{
		File: "f", Low: nil, High: []string{"10", "a"}, RowsSent: sent, Rejected: rejected, Bytes: 99, CRC32C: 0xFFFFFFFF,
	}, noRows)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// finish drives a chunk to the state in which it is settled.
func (b bundle) finish(t *testing.T, c *state.Chunk, processed, failed int64) {
	t.Helper()
	ctx := t.Context()
	for _, err := range []error{
		b.lease.Created(ctx, c, "750A"), b.lease.Uploaded(ctx, c), b.lease.Closing(ctx, c), b.lease.Submitted(ctx, c),
		b.lease.Finished(ctx, c, state.JobEnd{State: "JobComplete", Processed: processed, Failed: failed}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestMigrateTwiceAndStatus(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Empty(t)
	before, err := state.Migrations(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := state.Migrate(t.Context(), dsn); err != nil {
			t.Fatal(err)
		}
	}
	after, err := state.Migrations(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if len(before) == 0 || before[0].Applied || !after[len(after)-1].Applied {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestSchemaNewerThanTheBinaryIsRefused(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	pgtest.Exec(t, dsn, `INSERT INTO etl.schema_version (version_id, is_applied) VALUES (99999, true)`)
	_, err := state.Open(t.Context(), dsn)
	var newer *state.NewerSchemaError
	if !errors.As(err, &newer) || newer.Database != 99999 {
		t.Fatalf("got %v", err)
	}
}

func TestSecondRunIsRefusedAndToldWhichRunHoldsThePipeline(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := openStore(t, b.dsn).Start(t.Context(), newRun(false))
	var held *state.HeldError
	if !errors.As(err, &held) || held.RunID != b.lease.RunID() {
		t.Fatalf("got %v", err)
	}
	if _, err := b.store.Take(t.Context(), b.lease.RunID()); !errors.As(err, &held) {
		t.Fatalf("take over from a living process: %v", err)
	}
}

func TestUnfinishedRunKeepsAnotherFromStarting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.addRange(t, 1, 10, 0)
	b.lease.Release(t.Context())

	_, err := b.store.Start(t.Context(), newRun(false))
	var unfinished *state.UnfinishedError
	if !errors.As(err, &unfinished) || unfinished.Run.ID != b.lease.RunID() {
		t.Fatalf("got %v", err)
	}
	next, err := b.store.Start(t.Context(), newRun(true))
	if err != nil {
		t.Fatal(err)
	}
	defer next.Release(t.Context())
	given, err := b.store.Run(t.Context(), b.lease.RunID())
	if err != nil || given.State != state.RunInconsistent || given.Unfinished {
		t.Errorf("the run given up is %+v, %v", given, err)
	}
}

func TestRunThatDiedBeforeItSentAnythingIsClosed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.lease.Release(t.Context())
	next, err := b.store.Start(t.Context(), newRun(false))
	if err != nil {
		t.Fatal(err)
	}
	defer next.Release(t.Context())
	if dead, err := b.store.Run(t.Context(), b.lease.RunID()); err != nil || dead.State != state.RunFailed {
		t.Errorf("the dead run is %+v, %v", dead, err)
	}
}

func TestProcessThatLostItsRunCanWriteNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.addRange(t, 1, 10, 0)
	b.lease.Release(t.Context()) // the process is thought dead, but it is not
	taken, err := b.store.Take(t.Context(), b.lease.RunID())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Release(t.Context())

	ctx := t.Context()
	zombie := *c
	for name, err := range map[string]error{
		"created":  b.lease.Created(ctx, &zombie, "750Z"),
		"step":     b.lease.SetStep(ctx, b.step.ID, state.StepDone, ""),
		"finished": b.lease.FinishRun(ctx, state.RunSucceeded, "", 0),
		"settled": b.lease.Settle(ctx, &zombie, func(pgx.Tx) (state.Counts, int64, error) {
			return state.Counts{Loaded: 10}, 0, nil
		}),
	} {
		if !errors.Is(err, state.ErrFenced) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := taken.Created(ctx, c, "750A"); err != nil {
		t.Errorf("the new owner cannot write: %v", err)
	}
	if zombie.State != state.ChunkSpooled {
		t.Errorf("a refused move changed the chunk in memory to %s", zombie.State)
	}
}

func TestChunkGoesThroughItsStatesAndTheCountsAddUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	c := b.addRange(t, 1, 10, 2)
	b.finish(t, c, 10, 3)
	err := b.lease.Settle(ctx, c, func(pgx.Tx) (state.Counts, int64, error) {
		return state.Counts{Loaded: 7, Failed: 3}, 0, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := state.Counts{Read: 12, Loaded: 7, Failed: 3, Rejected: 2}
	run, err := b.store.Run(ctx, b.lease.RunID())
	if err != nil {
		t.Fatal(err)
	}
	steps, err := b.store.Steps(ctx, b.lease.RunID())
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := b.store.Chunks(ctx, b.lease.RunID(), "accounts")
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]state.Counts{"run": run.Counts, "step": steps[0].Counts, "chunk": chunks[0].Counts} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := chunks[0]; got.CRC32C != 0xFFFFFFFF || got.JobID != "750A" || *got.Processed != 10 || !got.Balanced() || got.KeyLow != nil {
		t.Errorf("chunk %+v", got)
	}
	if rest, err := b.store.Unfinished(ctx, b.step.ID); err != nil || len(rest) != 0 {
		t.Errorf("unfinished %v, %v", rest, err)
	}
}

func TestSettlingThatDoesNotBalanceIsRolledBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.addRange(t, 1, 10, 0)
	b.finish(t, c, 10, 0)
	err := b.lease.Settle(t.Context(), c, func(tx pgx.Tx) (state.Counts, int64, error) {
		_, err := tx.Exec(t.Context(), `UPDATE etl.runs SET file = 'changed'`)
		return state.Counts{Loaded: 9}, 0, err
	})
	if err == nil || !strings.Contains(err.Error(), "the sums differ") {
		t.Fatalf("got %v", err)
	}
	if run, err := b.store.Run(t.Context(), b.lease.RunID()); err != nil || run.File == "changed" || c.State != state.ChunkFinished {
		t.Errorf("run %+v, chunk %s, %v", run, c.State, err)
	}
}

func TestStateCannotBeSkippedOrGoneBackTo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	c := b.addRange(t, 1, 10, 0)
	if err := b.lease.Uploaded(ctx, c); err == nil {
		t.Error("a spooled chunk was uploaded")
	}
	b.finish(t, c, 10, 0)
	if err := b.lease.Replace(ctx, c); err == nil {
		t.Error("the job of a finished chunk was replaced")
	}
	if err := b.lease.Created(ctx, c, "750B"); err == nil {
		t.Error("a finished chunk got another job")
	}
}

func TestReplacedJobsAreRemembered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	c := b.addRange(t, 1, 10, 0)
	for _, err := range []error{b.lease.Created(ctx, c, "750A"), b.lease.Replace(ctx, c), b.lease.Created(ctx, c, "750B")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	known, err := b.store.KnownJobs(ctx, []string{"750A", "750B", "750C"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{"750A": true, "750B": true}, known); diff != "" {
		t.Error(diff)
	}
	if owner, err := b.store.ChunkOfJob(ctx, "750A"); err != nil || owner.ID != c.ID {
		t.Errorf("got %+v, %v", owner, err)
	}
}

func TestRecordsHandedToALaterChunkAreReadOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	c := b.addRange(t, 1, 10, 0)
	b.finish(t, c, 10, 4)
	var child *state.Chunk
	err := b.lease.Settle(ctx, c, func(tx pgx.Tx) (state.Counts, int64, error) {
		var err error
		child, err = b.lease.PlanRetry(ctx, tx, c, c.UpdatedAt)
		return state.Counts{Loaded: 6}, 4, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if child.Seq != 2 || child.Attempt != 2 {
		t.Errorf("child %+v", child)
	}
	if rest, err := b.lease.Respool(ctx, child, state.Spooled{File: "g", RowsSent: 4}, noRows); err != nil || rest != nil {
		t.Fatalf("got %+v, %v", rest, err)
	}
	b.finish(t, child, 4, 1)
	err = b.lease.Settle(ctx, child, func(pgx.Tx) (state.Counts, int64, error) {
		return state.Counts{Loaded: 3, Failed: 1}, 0, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	run, err := b.store.Run(ctx, b.lease.RunID())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(state.Counts{Read: 10, Loaded: 9, Failed: 1}, run.Counts); diff != "" {
		t.Error(diff)
	}
}

func TestDiscardForgetsOnlyWhatWasNeverSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	b.addRange(t, 1, 10, 1)
	if err := b.lease.Discard(ctx, b.step.ID, func(pgx.Tx, []int64) error { return nil }); err != nil {
		t.Fatal(err)
	}
	run, err := b.store.Run(ctx, b.lease.RunID())
	if err != nil || run.Read != 0 || run.Rejected != 0 || run.Unfinished {
		t.Errorf("run %+v, %v", run, err)
	}
	c := b.addRange(t, 1, 10, 0)
	if err := b.lease.Created(ctx, c, "750A"); err != nil {
		t.Fatal(err)
	}
	if err := b.lease.Discard(ctx, b.step.ID, func(pgx.Tx, []int64) error { return nil }); err == nil {
		t.Error("a chunk with a job was discarded")
	}
}

func TestExtractionGoesOnAfterTheLastRange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	if seq, high, err := b.store.LastRange(ctx, b.step.ID); seq != 0 || high != nil || err != nil {
		t.Fatalf("got %d, %v, %v", seq, high, err)
	}
	b.addRange(t, 1, 10, 0)
	if _, err := b.lease.Plan(ctx, b.step.ID, state.ChunkKeys, func(pgx.Tx, int64) (int64, error) { return 1, nil }); err != nil {
		t.Fatal(err)
	}
	seq, high, err := b.store.LastRange(ctx, b.step.ID)
	if diff := cmp.Diff([]string{"10", "a"}, high); seq != 2 || err != nil || diff != "" {
		t.Errorf("got %d, %v, %v", seq, err, diff)
	}
}

// TestRangeThatIsSplitStaysOneRange splits the first of two ranges: nothing between its ends is left out,
// the counts are those of what was read, and the extraction goes on where it would have.
func TestRangeThatIsSplitStaysOneRange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	first := b.addRange(t, 1, 10, 0)
	last, err := b.lease.AddRange(ctx, b.step.ID, 2, state.Spooled{File: "2", Low: first.KeyHigh, High: []string{"20", "b"}, RowsSent: 5}, noRows)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.lease.Unspool(ctx, first); err != nil {
		t.Fatal(err)
	}
	middle := []string{"4", "a"}
	rest, err := b.lease.Respool(ctx, first, state.Spooled{File: "1", Low: first.KeyLow, High: middle, RowsSent: 4}, noRows)
	if err != nil || rest == nil {
		t.Fatalf("got %+v, %v", rest, err)
	}
	chunks, err := b.store.Chunks(ctx, b.lease.RunID(), "")
	if err != nil || len(chunks) != 3 {
		t.Fatalf("got %+v, %v", chunks, err)
	}
	got := chunks[2]
	if diff := cmp.Diff([][]string{middle, {"10", "a"}}, [][]string{got.KeyLow, got.KeyHigh}); diff != "" || got.State != state.ChunkPlanned || got.Kind != state.ChunkRange || got.Seq != 3 {
		t.Errorf("the rest is %+v: %s", got, diff)
	}
	if run, err := b.store.Run(ctx, b.lease.RunID()); err != nil || run.Read != 9 {
		t.Errorf("read %d, %v; want 4 and 5", run.Read, err)
	}
	if _, high, err := b.store.LastRange(ctx, b.step.ID); err != nil || !cmp.Equal(last.KeyHigh, high) {
		t.Errorf("the last range ends at %v, %v; want %v", high, err, last.KeyHigh)
	}
	if again, err := b.lease.Respool(ctx, rest, state.Spooled{File: "3", Low: middle, High: rest.KeyHigh, RowsSent: 6}, noRows); err != nil || again != nil {
		t.Errorf("got %+v, %v", again, err)
	}
}

func TestPlanOfNothingLeavesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, err := b.lease.Plan(t.Context(), b.step.ID, state.ChunkKeys, func(pgx.Tx, int64) (int64, error) { return 0, nil })
	if c != nil || err != nil {
		t.Fatalf("got %v, %v", c, err)
	}
	if chunks, err := b.store.Chunks(t.Context(), b.lease.RunID(), ""); err != nil || len(chunks) != 0 {
		t.Errorf("chunks %v, %v", chunks, err)
	}
}

func TestUnknownRun(t *testing.T) {
	t.Parallel()
	if _, err := setup(t).store.Run(t.Context(), 4711); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestEachStateDatabaseIsItself(t *testing.T) {
	t.Parallel()
	a, b := openStore(t, pgtest.Empty(t)), openStore(t, pgtest.Empty(t))
	first, err := a.Installation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.Installation(t.Context())
	if err != nil || again != first {
		t.Errorf("got %q, then %q, %v", first, again, err)
	}
	if other, err := b.Installation(t.Context()); err != nil || other == first || other == "" {
		t.Errorf("two databases are %q and %q, %v", first, other, err)
	}
}

func TestMissingRightForTemporaryTablesIsSaidBeforehand(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	pgtest.Exec(t, dsn, `DO $$ BEGIN
		EXECUTE format('REVOKE TEMP ON DATABASE %I FROM PUBLIC', current_database());
		CREATE ROLE etl_no_temp LOGIN;
		GRANT USAGE ON SCHEMA etl TO etl_no_temp;
		GRANT SELECT ON ALL TABLES IN SCHEMA etl TO etl_no_temp;
	END $$`)
	_, err := state.Open(t.Context(), strings.Replace(dsn, "postgres://postgres@", "postgres://etl_no_temp@", 1))
	pgtest.Exec(t, dsn, `DROP OWNED BY etl_no_temp; DROP ROLE etl_no_temp`)
	if err == nil || !strings.Contains(err.Error(), "GRANT TEMPORARY ON DATABASE") {
		t.Errorf("got %v", err)
	}
}
