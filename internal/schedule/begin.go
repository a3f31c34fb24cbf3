package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"bulkhead/internal/state"
)

// begin starts what is claimed: first what was interrupted, then what came due, one run of a pipeline
// at a time.
func (s *Server) begin(ctx context.Context, open []state.Fire) error {
	busy := map[string]bool{}
	for _, f := range s.running {
		busy[f.Pipeline] = true
	}
	for _, interrupted := range []bool{true, false} {
		for _, f := range open {
			if busy[f.Pipeline] || (f.RunID != 0) != interrupted || len(s.running) >= s.cfg.Parallel {
				continue
			}
			// What is earlier goes first, even where it has to wait.
			busy[f.Pipeline] = true
			if p, ok := s.pending[f.ID]; ok && p.notBefore.After(s.cfg.Now()) {
				continue
			}
			if err := s.beginOne(ctx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// beginOne starts the run of a fire, unless another process runs the pipeline now.
func (s *Server) beginOne(ctx context.Context, f state.Fire) error {
	locked, err := s.cfg.Store.Locked(ctx, f.Pipeline)
	if err != nil {
		return err
	}
	if locked {
		return s.standBack(ctx, f, "somebody else was running the pipeline, and overlap is skip")
	}
	s.running[f.ID] = f
	go func() {
		outcome, err := s.attempt(ctx, f)
		s.ended <- ending{f, outcome, err, ctx.Err() != nil}
	}()
	return nil
}

// standBack leaves a fire out, or lets it wait for whoever runs the pipeline.
func (s *Server) standBack(ctx context.Context, f state.Fire, reason string) error {
	log := s.log.With(zap.String("pipeline", f.Pipeline), zap.Time("due", f.At))
	if f.Waits || f.RunID != 0 {
		if p := s.remember(f); !p.waits {
			p.waits = true
			log.Info("a run waits for the one that is going")
		}
		return nil
	}
	log.Warn("a run is left out", zap.String("reason", reason))
	return s.finish(ctx, f, state.FireSkipped, reason)
}

// remember is what is remembered of an open fire.
func (s *Server) remember(f state.Fire) *pending {
	p, ok := s.pending[f.ID]
	if !ok {
		p = &pending{}
		s.pending[f.ID] = p
	}
	return p
}

// attempt does what is left to do for a fire.
func (s *Server) attempt(ctx context.Context, f state.Fire) (Outcome, error) {
	log := s.log.With(zap.String("pipeline", f.Pipeline), zap.Time("due", f.At))
	if f.RunID != 0 {
		run, err := s.cfg.Store.Run(ctx, f.RunID)
		if err != nil {
			return Outcome{}, err
		}
		switch {
		case run.Unfinished:
			log.Info("resuming the run that was interrupted", zap.Int64("run_id", run.ID))
			return s.cfg.Runner.Resume(ctx, run.ID)
		case run.State != state.RunRunning && run.State != state.RunInterrupted:
			return outcomeOf(run), nil // whoever drove it has finished it
		}
		log.Info("starting again: the run was interrupted before anything was sent", zap.Int64("run_id", run.ID))
	}
	log.Info("starting", zap.String("why", string(f.Origin)))
	outcome, err := s.cfg.Runner.Start(ctx, f.Pipeline, f.Claim())
	var unfinished *state.UnfinishedError
	if !errors.As(err, &unfinished) {
		return outcome, err
	}
	if unfinished.Run.State == state.RunStopped || unfinished.Run.State == state.RunInconsistent {
		return Outcome{}, fmt.Errorf("%w, a person has to look at it first: %w", ErrRefused, err)
	}
	log.Info("resuming the run before, which is unfinished", zap.Int64("run_id", unfinished.Run.ID))
	if before, err := s.cfg.Runner.Resume(ctx, unfinished.Run.ID); err != nil || !before.Complete() {
		return Outcome{}, fmt.Errorf("run %d of the pipeline is still unfinished (%s): %w", unfinished.Run.ID, before.State, cmp.Or(err, errors.New(before.Error)))
	}
	return s.cfg.Runner.Start(ctx, f.Pipeline, f.Claim())
}

func outcomeOf(r state.Run) Outcome {
	return Outcome{Run: r.ID, State: r.State, Read: r.Read, NotLoaded: r.NotLoaded(), Unfinished: r.Unfinished, Error: r.Error}
}
