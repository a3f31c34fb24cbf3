package state_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"bulkhead/internal/state"
)

// stages are the stages of a trail, in order.
func stages(t state.Trail) (names []state.Stage) {
	for _, turn := range t {
		names = append(names, turn.Stage)
	}
	return names
}

func (b bundle) stored(t *testing.T) *state.Chunk {
	t.Helper()
	chunks, err := b.store.Chunks(t.Context(), b.lease.RunID(), "")
	if err != nil || len(chunks) != 1 {
		t.Fatalf("chunks %v, %v", chunks, err)
	}
	return chunks[0]
}

func TestTrailIsKeptWithEachMove(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	began := b.lease.Now()
	c, err := b.lease.AddRange(ctx, b.step.ID, 1, state.Spooled{
		File: "f", High: []string{"9"}, RowsSent: 3, Trail: state.Trail{{Stage: state.StageRead, At: began}},
	}, noRows)
	if err != nil {
		t.Fatal(err)
	}
	c.Trail.Turn(c.NextStage(), b.lease.Now()) // a worker takes it
	for _, err := range []error{
		b.lease.Created(ctx, c, "750A"), b.lease.Replace(ctx, c), b.lease.Created(ctx, c, "750B"), b.lease.Uploaded(ctx, c),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []state.Stage{
		state.StageRead, state.StageState, state.StageQueue, state.StageCreate, state.StageState, state.StageUpload,
		state.StageState, state.StageCreate, state.StageState, state.StageUpload, state.StageState, state.StageTurn,
	}
	stored := b.stored(t).Trail
	if diff := cmp.Diff(want, stages(stored)); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	for i, turn := range stored[1:] {
		if turn.At.Before(stored[i].At) {
			t.Errorf("turn %d (%s) is at %s, before the one before it", i+1, turn.Stage, turn.At)
		}
	}
	// The time of a write is known once it is done: the database hears of it with the next.
	if last := len(stored) - 1; !stored[last].At.Equal(stored[last-1].At) || !c.Trail[last].At.After(c.Trail[last-1].At) {
		t.Errorf("stored %v, known %v", stored[last-1:], c.Trail[last-1:])
	}
	if err := b.lease.Closing(ctx, c); err != nil {
		t.Fatal(err)
	}
	if err := b.lease.Submitted(ctx, c); err != nil {
		t.Fatal(err)
	}
	if err := b.lease.Halt(ctx, c, "out of luck"); err != nil {
		t.Fatal(err)
	}
	want = append(want, state.StageState, state.StageClose, state.StageState, state.StageProcess, state.StageState, state.StageHalted)
	if diff := cmp.Diff(want, stages(b.stored(t).Trail)); diff != "" {
		t.Errorf("stages of the halted chunk (-want +got):\n%s", diff)
	}
}

func TestRefusedMoveLeavesTheTrail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.addRange(t, 1, 3, 0)
	before := stages(c.Trail)
	if err := b.lease.Uploaded(t.Context(), c); err == nil {
		t.Fatal("an upload without a job was recorded")
	}
	if diff := cmp.Diff(before, stages(c.Trail)); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
}

func TestChunkThatRestsSaysUntilWhen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	parent := b.addRange(t, 1, 3, 0)
	b.finish(t, parent, 3, 1)
	var child *state.Chunk
	err := b.lease.Settle(t.Context(), parent, func(tx pgx.Tx) (_ state.Counts, _ int64, err error) {
		child, err = b.lease.PlanRetry(t.Context(), tx, parent, time.Now().Add(time.Hour))
		return state.Counts{Loaded: 2}, 1, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]state.Stage{state.StageRest, state.StageQueue}, stages(child.Trail)); diff != "" {
		t.Fatalf("stages (-want +got):\n%s", diff)
	}
	if rest := child.Trail[1].At.Sub(child.Trail[0].At); rest < 59*time.Minute || rest > time.Hour {
		t.Errorf("it rests for %s", rest)
	}
	if last := parent.Trail[len(parent.Trail)-1]; last.Stage != state.StageDone {
		t.Errorf("the settled chunk ends with %s", last.Stage)
	}
}

func TestPausesAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.addRange(t, 1, 3, 0)
	ctx := t.Context()
	// Once it ends by itself, once its process is killed.
	if err := b.lease.FinishRun(ctx, state.RunInterrupted, "by hand", 0); err != nil {
		t.Fatal(err)
	}
	lease := b.lease
	for range 2 {
		lease.Release(ctx)
		var err error
		if lease, err = b.store.Take(ctx, b.lease.RunID()); err != nil {
			t.Fatal(err)
		}
	}
	defer lease.Release(context.WithoutCancel(ctx))
	run, err := b.store.Run(ctx, b.lease.RunID())
	if err != nil || len(run.Pauses) != 2 {
		t.Fatalf("pauses %v, %v", run.Pauses, err)
	}
	for i, p := range run.Pauses {
		if p.To.Before(p.From) || p.From.Before(run.StartedAt) {
			t.Errorf("pause %d is from %s to %s", i+1, p.From, p.To)
		}
	}
}

func TestPulseTellsADrivenRunFromADeadOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	if _, driven, err := b.store.Pulse(ctx, "crm"); err != nil || !driven {
		t.Errorf("driven %v, %v", driven, err)
	}
	if _, driven, err := b.store.Pulse(ctx, "another"); err != nil || driven {
		t.Errorf("another pipeline: driven %v, %v", driven, err)
	}
	b.lease.Release(ctx)
	if _, driven, err := b.store.Pulse(ctx, "crm"); err != nil || driven {
		t.Errorf("released: driven %v, %v", driven, err)
	}
}

func TestTrailIsBounded(t *testing.T) {
	t.Parallel()
	var trail state.Trail
	at := time.Now()
	for i := range 1000 {
		stage := state.StageQueue
		if i%2 == 1 {
			stage = state.StageHalted
		}
		at = at.Add(time.Second)
		trail.Turn(stage, at)
		trail.Turn(stage, at) // goes on
	}
	if len(trail) == 0 || len(trail) > 200 || !trail[len(trail)-1].At.Equal(at) {
		t.Errorf("%d turns, the last %v", len(trail), trail[len(trail)-1])
	}
}
