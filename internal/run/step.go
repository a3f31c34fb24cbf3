package run

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"bulkhead/internal/reconcile"
	"bulkhead/internal/rowstate"
	"bulkhead/internal/state"
)

// stepRun is one step of one run being driven.
type stepRun struct {
	engine   *Engine
	cfg      Config
	lease    *state.Lease
	plan     *stepPlan
	step     state.Step
	options  Options
	progress *StepProgress
	log      *zap.Logger

	rows *rowstate.Set // what is kept of the step's rows; nil: nothing

	queue  *queue
	turns  *turns
	books  chan struct{} // holds one of each chunk that is being settled
	halts  halts
	canary *canary // nil: none, or its outcome was known before

	loaded, notLoaded atomic.Int64 // records that this process has settled, for stop_when
}

// run drives the step to its end: extraction beside the workers, chunks overlapping.
func (s *stepRun) run(ctx context.Context) error {
	if err := s.lease.SetStep(ctx, s.step.ID, state.StepRunning, ""); err != nil {
		return err
	}
	err := s.flow(ctx)
	s.progress.finished.Store(true)
	if errors.Is(err, state.ErrFenced) {
		return err
	}
	end, cancel := shield(ctx)
	defer cancel()
	if err == nil {
		return s.lease.CompleteStep(end, s.step)
	}
	return errors.Join(err, s.lease.SetStep(end, s.step.ID, stepState(ctx, err), err.Error()))
}

// stepState is the state of a step that ended with an error.
func stepState(ctx context.Context, err error) state.StepState {
	var stop *stopError
	switch {
	case errors.Is(err, ErrInconsistent):
		return state.StepInconsistent
	case errors.As(err, &stop), ctx.Err() != nil:
		return state.StepStopped
	}
	return state.StepFailed
}

func (s *stepRun) flow(ctx context.Context) error {
	s.queue, s.turns = newQueue(s.plan.Step.Chunk.Parallel), newTurns(s.plan.Step.Chunk.Parallel)
	s.books = make(chan struct{}, maxSettling)
	if err := s.openRows(ctx); err != nil {
		return err
	}
	if err := s.lease.LoadSeq(ctx, s.step.ID); err != nil {
		return err
	}
	if err := s.watchCanary(ctx); err != nil {
		return err
	}
	if err := s.recover(ctx); err != nil {
		return err
	}
	// An extraction that fails does not end the chunks that it has cut: they are whole. Only losing the
	// run, or the state database, ends everything.
	var extraction error
	group, inner := errgroup.WithContext(ctx)
	feeding, stopFeeding := context.WithCancelCause(inner)
	defer stopFeeding(nil)
	s.halts.onStop = func() { stopFeeding(errHalted) }
	group.Go(func() error {
		extraction = s.feed(feeding)
		return fatal(extraction)
	})
	group.Go(func() error { return s.work(inner) })
	err := group.Wait()
	if err == nil {
		err = extraction
	} else if extraction != nil && !errors.Is(err, extraction) && ctx.Err() == nil {
		err = errors.Join(err, extraction)
	}
	return errors.Join(err, s.halts.err())
}

// fatal returns err when nothing of the step may go on after it.
func fatal(err error) error {
	if errors.Is(err, state.ErrFenced) {
		return err
	}
	return nil
}

// recover queues what an earlier process left unfinished.
func (s *stepRun) recover(ctx context.Context) error {
	chunks, err := s.cfg.Store.Unfinished(ctx, s.step.ID)
	if err != nil {
		return err
	}
	s.progress.read.Store(s.step.Read)
	s.progress.rejected.Store(s.step.Rejected)
	s.progress.processed.Store(s.step.Loaded + s.step.Failed + s.step.Unchanged)
	s.progress.uploaded.Store(s.step.Loaded + s.step.Failed + s.step.Unprocessed + s.step.Unchanged)
	s.progress.jobFailed.Store(s.step.Failed)
	for _, c := range chunks {
		if err := s.cfg.Spool.Adopt(c.File); c.File != "" && err != nil {
			s.log.Debug("chunk file not here", zap.Int("chunk", c.Seq), zap.Error(err))
		}
		if !unsent(c.State) {
			s.progress.uploaded.Add(c.RowsSent)
		}
		if inOrg(c.State) {
			s.turns.take(c)
		}
		s.progress.chunks.Add(1)
		c.Trail.Turn(state.StageQueue, s.lease.Now())
		s.queue.put(c)
	}
	if len(chunks) > 0 {
		s.log.Info("going on with unfinished chunks", zap.Int("chunks", len(chunks)))
		s.queue.release()
	}
	return nil
}

// feed puts the step's chunks into the queue.
func (s *stepRun) feed(ctx context.Context) error {
	var err error
	if s.step.ExtractedAt == nil {
		if s.options.Retry != nil {
			err = s.planRetries(ctx)
		} else {
			err = s.extract(ctx)
		}
	}
	if err == nil {
		s.progress.extracted.Store(true)
		s.queue.fed(false)
		return nil
	}
	if errors.Is(context.Cause(ctx), errHalted) {
		// The reason is with the chunk that had it; a resume reads on after the last key.
		s.queue.fed(false)
		return fatal(err)
	}
	if sourceWentAway(err) {
		s.queue.fed(false)
		if s.progress.chunks.Load() == 0 {
			return err
		}
		return fmt.Errorf("%w; what was read until then is whole and is loaded, go on with \"etl resume %d\"", err, s.lease.RunID())
	}
	// Nothing has been sent yet and the source's rows cannot be trusted: the chunks go, so that a run
	// after the mend extracts them afresh.
	if ctx.Err() == nil && s.queue.fed(s.options.Retry == nil && s.step.Read == 0) {
		if discardErr := s.discard(ctx); discardErr != nil {
			return errors.Join(err, discardErr)
		}
		return fmt.Errorf("%w; nothing of this step was sent", err)
	}
	return err
}

// discard forgets the chunks of a step of which nothing was sent.
func (s *stepRun) discard(ctx context.Context) error {
	chunks, err := s.cfg.Store.Unfinished(ctx, s.step.ID)
	if err != nil {
		return err
	}
	forget := func(tx pgx.Tx, chunkIDs []int64) error { return reconcile.ForgetRejected(ctx, tx, chunkIDs) }
	if err := s.lease.Discard(ctx, s.step.ID, forget); err != nil {
		return err
	}
	for _, c := range chunks {
		if err := s.removeFile(c.File); err != nil {
			return err
		}
	}
	return nil
}

// work hands the chunks to workers: one for each job that the org processes, and some that get the next
// ones ready and settle the last.
func (s *stepRun) work(ctx context.Context) error {
	workers, inner := errgroup.WithContext(ctx)
	parallel := s.plan.Step.Chunk.Parallel
	workers.SetLimit(parallel + min(parallel, maxAhead))
	var err error
	for {
		var c *state.Chunk
		if c, err = s.queue.get(inner); c == nil {
			break
		}
		workers.Go(func() error {
			defer s.queue.done()
			return s.deal(inner, c)
		})
	}
	return errors.Join(workers.Wait(), err)
}

// deal drives one chunk as far as it goes. What keeps it from going on is recorded and does not end
// the others.
func (s *stepRun) deal(ctx context.Context, c *state.Chunk) error {
	defer s.turns.leave(c)
	c.Trail.Turn(c.NextStage(), s.lease.Now())
	err := s.chunk(ctx, c)
	s.engine.meter.settled(c)
	s.judgeCanary(ctx, c, err)
	if err == nil {
		return nil
	}
	if errors.Is(err, state.ErrFenced) || ctx.Err() != nil {
		return err
	}
	s.halts.add(c, err)
	var stop *stopError
	if errors.As(err, &stop) && c.State == state.ChunkReconciled {
		return nil
	}
	s.log.Warn(ChunkHalted, zap.Int("chunk", c.Seq), zap.String("state", string(c.State)), zap.String("job_id", c.JobID), zap.Error(err))
	record, cancel := shield(ctx)
	defer cancel()
	return s.lease.Halt(record, c, err.Error())
}
