package run_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// tenChunks loads people in chunks of ten, each one batch.
var tenChunks = accounts("insert", "    chunk: { rows: 10, parallel: 3 }\n")

// watched lets a bundle's runs keep to limits, and returns what they say.
func (b *bundle) watched(limits run.Limits) *observer.ObservedLogs {
	core, logs := observer.New(zapcore.WarnLevel)
	b.config.Log = zap.New(core)
	b.config.Limits = limits
	return logs
}

func (b *bundle) allow(t *testing.T, name string, most, left int64) {
	t.Helper()
	if err := b.server.SetLimit(name, emulator.Limit{Max: most, Remaining: left}); err != nil {
		t.Fatal(err)
	}
}

// used is how much of an allowance is used in the org.
func (b *bundle) used(name string) int64 {
	l := b.server.State().Limits[name]
	return l.Max - l.Remaining
}

func TestLimitPassedAtTheStart(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 100)
	for name, limits := range map[string]run.Limits{
		run.LimitCalls:   {Calls: 0.8, At: run.AtLimitStop},
		run.LimitBatches: {Batches: 0.8, At: run.AtLimitPause, Wait: time.Minute},
	} {
		b.allow(t, name, 1000, 200)
		b.watched(limits)
		var refused *run.LimitsError
		if _, err := b.engine(t, tenChunks).Run(t.Context(), run.Options{}); !errors.As(err, &refused) || refused.Passed[0].Share != 0.8 {
			t.Errorf("%s: got %v", name, err)
		}
		logs := b.watched(run.Limits{Calls: limits.Calls, Batches: limits.Batches, At: run.AtLimitWarn})
		want := b.completes()
		s, err := b.engine(t, tenChunks).Run(t.Context(), run.Options{})
		mustComplete(t, s, err, want)
		if logs.FilterMessageSnippet("are used").Len() == 0 {
			t.Errorf("%s: nothing is said: %v", name, logs.All())
		}
	}
	if runs, err := b.store.Runs(t.Context(), state.RunFilter{}); err != nil || len(runs) != 2 {
		t.Errorf("%d runs, %v: those that were refused have left one", len(runs), err)
	}
}

// completes is how the first, and the second, load of the same people will end.
func (b *bundle) completes() state.RunState {
	if b.server.State().Records["Account"] == 0 {
		return state.RunSucceeded
	}
	return state.RunCompletedWithFailures
}

// TestLimitStops stops before the share is crossed, and is resumed when there is room again.
func TestLimitStops(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]run.Limits{
		run.LimitBatches: {Batches: 0.8, At: run.AtLimitStop},
		run.LimitCalls:   {Calls: 0.8, At: run.AtLimitStop},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{})
			b.people(t, 100)
			left := int64(25) // 5 more than the share leaves
			if name == run.LimitCalls {
				left = 80
			}
			b.allow(t, name, 100, left)
			b.watched(limits)
			s, err := b.engine(t, tenChunks).Run(t.Context(), run.Options{})
			if !errors.Is(err, run.ErrIncomplete) || s.State != state.RunStopped || !strings.Contains(s.Error, "--over-limits") {
				t.Fatalf("got %v, %+v", err, s)
			}
			// A job that was made, and not closed yet, waits for the resume too.
			if loaded := b.count(t, "FROM Account"); loaded == 100 || loaded != s.Loaded {
				t.Errorf("%d loaded, the run says %d", loaded, s.Loaded)
			}
			if used := b.used(name); used > 80 {
				t.Errorf("%d used, with a share of 80", used)
			}
			b.allow(t, name, 100, 20)
			again, err := b.engine(t, tenChunks).Resume(t.Context(), s.ID)
			if !errors.Is(err, run.ErrIncomplete) || again.State != state.RunStopped || again.Loaded == 100 {
				t.Fatalf("resumed with no room: %v, %+v", err, again)
			}
			b.allow(t, name, 10_000, 10_000)
			done, err := b.engine(t, tenChunks).Resume(t.Context(), s.ID)
			b.mustBalance(t, mustComplete(t, done, err, state.RunSucceeded))
			if n := b.count(t, "FROM Account"); n != 100 {
				t.Errorf("%d accounts", n)
			}
		})
	}
}

// TestLimitLifted goes on where somebody says so.
func TestLimitLifted(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 100)
	b.allow(t, run.LimitBatches, 100, 15)
	b.watched(run.Limits{Batches: 0.8, At: run.AtLimitStop})
	engine := b.engine(t, tenChunks)
	engine.LiftLimits()
	s, err := engine.Run(t.Context(), run.Options{})
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
}

// TestLimitPauses waits until the org has room, for as long as it may.
func TestLimitPauses(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 100)
	b.allow(t, run.LimitBatches, 100, 25)
	logs := b.watched(run.Limits{Batches: 0.8, At: run.AtLimitPause, Wait: time.Hour, Look: time.Millisecond})
	paused := func() bool { return logs.FilterMessageSnippet("the run pauses").Len() > 0 }
	roomy := make(chan struct{})
	go func() {
		defer close(roomy)
		until(t, paused)
		b.allow(t, run.LimitBatches, 100, 100)
	}()
	s, err := b.engine(t, tenChunks).Run(t.Context(), run.Options{})
	<-roomy
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	if logs.FilterMessageSnippet("the run pauses").Len() != 1 || logs.FilterMessageSnippet("is likely to need").Len() != 1 {
		t.Errorf("said: %v", logs.All())
	}
	chunks, err := b.store.Chunks(t.Context(), s.ID, "")
	waited := func(turn state.Turn) bool { return turn.Stage == state.StageLimit }
	if err != nil || !slices.ContainsFunc(chunks, func(c *state.Chunk) bool { return slices.ContainsFunc(c.Trail, waited) }) {
		t.Errorf("no chunk's trail shows the pause; %v", err)
	}

	b.allow(t, run.LimitBatches, 100, 25)
	b.watched(run.Limits{Batches: 0.8, At: run.AtLimitPause, Wait: time.Millisecond, Look: time.Millisecond})
	s, err = b.engine(t, tenChunks).Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) || s.State != state.RunStopped {
		t.Errorf("after the longest pause: %v, %+v", err, s)
	}
}

// TestLimitUsedByOthers has somebody else use the batches up during the run.
func TestLimitUsedByOthers(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 100)
	b.watched(run.Limits{Batches: 0.8, At: run.AtLimitStop, Look: time.Nanosecond})
	hold := b.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick, Skip: 2, Times: 1})
	go func() {
		until(t, func() bool { return b.struck(hold.ID) > 0 })
		b.allow(t, run.LimitBatches, 15_000, 3_000)
		b.server.Release()
	}()
	s, err := b.engine(t, accounts("insert", "    chunk: { rows: 10, parallel: 1 }\n")).Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) || s.State != state.RunStopped || s.Loaded == 0 || s.Loaded == 100 {
		t.Errorf("got %v, %+v", err, s)
	}
}

// TestLimitsHidden has an integration user who may not see the limits: the calls are known all the same.
func TestLimitsHidden(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 100)
	b.fault(t, emulator.Fault{Do: emulator.DoStatus, Status: 403, Path: "/limits", Code: "INSUFFICIENT_ACCESS"})
	logs := b.watched(run.Limits{Calls: 0.8, Batches: 0.8, At: run.AtLimitStop})
	b.allow(t, run.LimitBatches, 100, 0)
	plan, err := b.engine(t, tenChunks).Plan(t.Context(), run.PlanOptions{})
	if err != nil || len(plan.Limits) != 0 || len(plan.Allowances) != 0 {
		t.Errorf("plan %+v, %v", plan, err)
	}
	b.allow(t, run.LimitCalls, 100, 20)
	var refused *run.LimitsError
	if _, err := b.engine(t, tenChunks).Run(t.Context(), run.Options{}); !errors.As(err, &refused) || len(refused.Passed) != 1 || refused.Passed[0].Name != "api_calls" {
		t.Errorf("got %v", err)
	}
	if logs.FilterMessageSnippet("View Setup and Configuration").Len() != 1 {
		t.Errorf("said: %v", logs.All())
	}
}
