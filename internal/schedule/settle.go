package schedule

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"bulkhead/internal/state"
)

// settle writes down what became of an attempt at a fire. What cannot be written down now is kept for
// the next tick.
func (s *Server) settle(ctx context.Context, e ending) {
	if err := s.record(ctx, e); err != nil && !errors.Is(err, state.ErrNotClaimed) {
		s.unrecorded = append(s.unrecorded, e)
		s.note(ctx, err)
		return
	}
	delete(s.running, e.fire.ID)
}

// record finishes the fire, or leaves it open for another attempt.
func (s *Server) record(ctx context.Context, e ending) error {
	log := s.log.With(zap.String("pipeline", e.fire.Pipeline), zap.Time("due", e.fire.At))
	if e.outcome.Run != 0 {
		log = log.With(zap.Int64("run_id", e.outcome.Run))
	}
	var held *state.HeldError
	switch {
	case e.outcome.State == state.RunInterrupted, e.err != nil && e.stopping:
		log.Info("interrupted; the next server goes on with it")
		return nil
	case errors.As(e.err, &held):
		return s.standBack(ctx, e.fire, e.err.Error())
	case errors.Is(e.err, state.ErrNotClaimed), errors.Is(e.err, state.ErrFenced):
		log.Warn("somebody else has taken over", zap.Error(e.err))
		return nil
	case e.err == nil && (e.outcome.State != state.RunFailed || !e.outcome.Unfinished):
		logEnd(log, e.outcome)
		return s.finish(ctx, e.fire, state.FireDone, "")
	}
	return s.recordFailure(ctx, log, e)
}

func (s *Server) finish(ctx context.Context, f state.Fire, to state.FireState, reason string) error {
	err := s.cfg.Store.FinishFire(ctx, f.Claim(), to, reason)
	if err == nil {
		delete(s.pending, f.ID)
	}
	return err
}

// maxTries is how often a fire is tried, and firstWait how long after the first failure; the wait doubles.
const (
	maxTries  = 5
	firstWait = time.Minute
)

// recordFailure is for an attempt after which nothing is loaded, or not all. Time may mend it: the org or
// the network was away.
func (s *Server) recordFailure(ctx context.Context, log *zap.Logger, e ending) error {
	reason := e.outcome.Error
	if e.err != nil {
		reason = e.err.Error()
	}
	p := s.remember(e.fire)
	p.tries++
	if p.tries < maxTries && !errors.Is(e.err, ErrRefused) {
		wait := firstWait << (p.tries - 1)
		p.notBefore = s.cfg.Now().Add(wait)
		log.Warn("could not complete; trying again", zap.Duration("in", wait), zap.String("reason", reason))
		return nil
	}
	if e.err == nil {
		logEnd(log, e.outcome)
		return s.finish(ctx, e.fire, state.FireDone, "")
	}
	log.Error("could not complete", zap.String("reason", reason))
	return s.finish(ctx, e.fire, state.FireFailed, reason)
}

// logEnd says how a run ended, as loud as it matters.
func logEnd(log *zap.Logger, o Outcome) {
	log = log.With(zap.String("state", string(o.State)), zap.Int64("rows", o.Read), zap.Int64("not_loaded", o.NotLoaded))
	switch {
	case o.State == state.RunSucceeded:
		log.Info("ended")
	case o.Complete():
		log.Warn("ended; some records did not load")
	default:
		log.Error("ended before it was complete", zap.String("reason", o.Error))
	}
}
