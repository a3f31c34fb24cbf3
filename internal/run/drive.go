package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"bulkhead/internal/state"
)

// shieldTime bounds what is finished after an interruption: the request and the commit that must not
// be torn apart.
const shieldTime = 30 * time.Second

// shield is a context for a deed and its record, which belong together: an interruption waits for
// both, but not longer than shieldTime.
func shield(ctx context.Context) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if pause(inner, shieldTime) == nil {
			cancel(context.Cause(ctx))
		}
	})
	return inner, func() {
		stop()
		cancel(nil)
	}
}

// drive runs the steps that are not done and records how the run ended.
func (e *Engine) drive(ctx context.Context, lease *state.Lease, options Options, plans []*stepPlan) (*Summary, error) {
	log := e.log.With(zap.Int64("run_id", lease.RunID()))
	log.Info("run started", zap.String("org", e.cfg.Org.InstanceURL()))
	callsBefore := e.cfg.Org.Usage().Calls
	runErr := e.driveSteps(ctx, lease, options, plans, log)
	if errors.Is(runErr, state.ErrFenced) {
		return nil, fmt.Errorf("run %d: %w", lease.RunID(), runErr)
	}
	end, cancel := shield(ctx)
	defer cancel()
	final, reason := e.verdict(end, ctx, lease, runErr)
	var removeErr error
	if complete(final) {
		// Its chunks' files are gone already; this is their folder. A run that has ended is never come
		// back to, so it comes first.
		removeErr = e.removeFolder(lease.RunID())
	}
	if err := lease.FinishRun(end, final, reason, e.cfg.Org.Usage().Calls-callsBefore); err != nil {
		return nil, errors.Join(runErr, err)
	}
	log.Info("run ended", zap.String("state", string(final)), zap.String("reason", reason))
	var summary *Summary
	err := e.patiently(end, func(ctx context.Context) (err error) {
		summary, err = Summarize(ctx, e.cfg.Store, e.cfg.Failures, lease.RunID())
		return err
	})
	if err != nil {
		return nil, errors.Join(runErr, err)
	}
	switch {
	case complete(final):
		return summary, removeErr
	case !summary.Unfinished:
		removeErr = e.removeFolder(lease.RunID())
	}
	if final == state.RunInterrupted {
		return summary, errors.Join(context.Cause(ctx), removeErr)
	}
	return summary, errors.Join(fmt.Errorf("%w: %s", ErrIncomplete, reason), removeErr)
}

// complete reports whether a run that ended so has accounted for all it set out to do.
func complete(final state.RunState) bool {
	return final == state.RunSucceeded || final == state.RunCompletedWithFailures
}

// tidy removes the folders of the pipeline's runs that died before they recorded a chunk: nobody comes
// back to those. The pipeline's lock is ours, so none of them is being driven.
func (e *Engine) tidy(ctx context.Context) error {
	ids, err := e.cfg.Spool.Runs()
	if err != nil {
		return err
	}
	for _, id := range ids {
		run, err := e.cfg.Store.Run(ctx, id)
		if err != nil && !errors.Is(err, state.ErrNotFound) {
			return err
		}
		if err != nil || run.Pipeline != e.pipeline.Name || run.Unfinished || run.State == state.RunRunning || run.State == state.RunInconsistent {
			continue
		}
		if err := e.removeFolder(id); err != nil {
			return err
		}
	}
	return nil
}

// removeFolder removes what a run has in the spool.
func (e *Engine) removeFolder(runID int64) error {
	e.cfg.reach(pointRemoveRun)
	if err := e.cfg.Spool.RemoveRun(runID); err != nil {
		return err
	}
	e.cfg.reach(pointRemovedRun)
	return nil
}

func (e *Engine) driveSteps(ctx context.Context, lease *state.Lease, options Options, plans []*stepPlan, log *zap.Logger) error {
	recorded, err := e.cfg.Store.Steps(ctx, lease.RunID())
	if err != nil {
		return err
	}
	byName := make(map[string]state.Step, len(recorded))
	for _, step := range recorded {
		byName[step.Name] = step
	}
	for _, plan := range plans {
		step, ok := byName[plan.Step.Name]
		if !ok || step.State == state.StepDone {
			continue
		}
		s := &stepRun{
			engine: e, cfg: e.cfg, lease: lease, plan: plan, step: step, options: options,
			progress: e.progress.begin(step.Name, step.Object), log: log.With(zap.String("step", step.Name)),
		}
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("step %q: %w", step.Name, err)
		}
	}
	return nil
}

// verdict is the state that the run ends in, and why.
func (e *Engine) verdict(end, ctx context.Context, lease *state.Lease, runErr error) (state.RunState, string) {
	var stop *stopError
	switch {
	case runErr == nil:
		return e.audit(end, lease.RunID())
	case errors.Is(runErr, ErrInconsistent):
		return state.RunInconsistent, runErr.Error()
	case ctx.Err() != nil:
		return state.RunInterrupted, context.Cause(ctx).Error()
	case errors.As(runErr, &stop):
		return state.RunStopped, runErr.Error()
	}
	return state.RunFailed, runErr.Error()
}

// audit adds the books up at every level and says how a run that went through has ended.
func (e *Engine) audit(ctx context.Context, runID int64) (state.RunState, string) {
	run, err := e.cfg.Store.Run(ctx, runID)
	if err != nil {
		return state.RunFailed, err.Error()
	}
	steps, err := e.cfg.Store.Steps(ctx, runID)
	if err != nil {
		return state.RunFailed, err.Error()
	}
	chunks, err := e.cfg.Store.Chunks(ctx, runID, "")
	if err != nil {
		return state.RunFailed, err.Error()
	}
	if err := checkBooks(run, steps, chunks); err != nil {
		return state.RunInconsistent, err.Error()
	}
	if run.NotLoaded() > 0 {
		return state.RunCompletedWithFailures, ""
	}
	return state.RunSucceeded, ""
}

// checkBooks checks the sums of each chunk, of each step against its chunks, and of the run against
// its steps (invariant I1). Records that a chunk handed to a later chunk are read once, with the
// first, and end with the last.
func checkBooks(run state.Run, steps []state.Step, chunks []*state.Chunk) error {
	perStep := map[int64]state.Counts{}
	handed := map[int64]int64{}
	for _, c := range chunks {
		if c.State != state.ChunkReconciled {
			return fmt.Errorf("step %q, chunk %d: it is still %s", c.Step, c.Seq, c.State)
		}
		if !c.Balanced() {
			return fmt.Errorf("step %q, chunk %d: %s, and %d sent again: the sums differ", c.Step, c.Seq, c.Counts, c.Requeued)
		}
		counts := c.Counts
		handed[c.StepID] += c.Requeued
		if c.ParentID != nil {
			handed[c.StepID] -= counts.Read
			counts.Read = 0
		}
		perStep[c.StepID] = perStep[c.StepID].Plus(counts)
	}
	var total state.Counts
	for _, s := range steps {
		if handed[s.ID] != 0 {
			return fmt.Errorf("step %q: %d records were to be sent again and are in no later chunk", s.Name, handed[s.ID])
		}
		if s.Counts != perStep[s.ID] {
			return fmt.Errorf("step %q: the step says %s; its chunks say %s", s.Name, s.Counts, perStep[s.ID])
		}
		if !s.Balanced() {
			return fmt.Errorf("step %q: %s: the sums differ", s.Name, s.Counts)
		}
		total = total.Plus(s.Counts)
	}
	if run.Counts != total || !run.Balanced() {
		return fmt.Errorf("the run says %s; its steps say %s", run.Counts, total)
	}
	return nil
}
