package run

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"bulkhead/internal/state"
)

// canary is the small first chunk of a step, with the chunks that send records of it again. Until all of
// them are settled no other chunk of the step is handed out.
type canary struct {
	mu      sync.Mutex
	family  map[int64]bool // ids of chunks
	open    int            // of them, not settled yet
	loaded  int64
	missing int64 // did not load
}

// watchCanary sets the step's canary up from what is recorded of it. A canary that was settled before,
// however it fared, holds nothing up: going on is what the resume was asked for.
func (s *stepRun) watchCanary(ctx context.Context) error {
	if s.plan.Step.Canary == 0 || s.options.Retry != nil {
		return nil
	}
	chunks, err := s.cfg.Store.Chunks(ctx, s.step.RunID, s.step.Name)
	if err != nil {
		return err
	}
	bird := &canary{family: map[int64]bool{}}
	for _, c := range chunks {
		if !bird.adopt(c) {
			continue
		}
		if c.State == state.ChunkReconciled {
			bird.count(c)
		} else {
			bird.open++
		}
	}
	if len(bird.family) == 0 && s.step.ExtractedAt == nil {
		bird.open = 1 // it is yet to be cut
	}
	if bird.open > 0 {
		s.canary = bird
		s.queue.guard(bird.adopt)
	}
	return nil
}

// adopt reports whether a chunk is the canary's, and remembers it.
func (b *canary) adopt(c *state.Chunk) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := c.Kind == state.ChunkRange && c.KeyLow == nil
	if first || c.ParentID != nil && b.family[*c.ParentID] {
		b.family[c.ID] = true
	}
	return b.family[c.ID]
}

func (b *canary) count(c *state.Chunk) {
	b.loaded += c.Loaded
	b.missing += c.NotLoaded()
}

// settled counts a chunk of the canary that is reconciled, and reports whether it was the last one.
func (b *canary) settled(c *state.Chunk) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(c)
	b.open--
	if c.Requeued > 0 {
		b.open++ // a later chunk has the rest of the outcome
	}
	return b.open == 0
}

// judgeCanary looks, after a chunk was dealt with, whether the canary's outcome is known, and either lets
// the other chunks go or stops the step.
func (s *stepRun) judgeCanary(ctx context.Context, c *state.Chunk, err error) {
	b := s.canary
	if b == nil || ctx.Err() != nil || !b.adopt(c) {
		return
	}
	var stop *stopError
	switch {
	case c.State != state.ChunkReconciled && !errors.As(err, &stop):
		s.halts.add(c, &stopError{fmt.Sprintf("canary: its outcome is not known, so nothing else of the step was sent; go on with \"etl resume %d\"", c.RunID)})
	case c.State == state.ChunkReconciled && !b.settled(c):
		return
	case c.State == state.ChunkReconciled:
		s.judgeOutcome(c)
	}
	s.queue.guard(nil)
}

// judgeOutcome stops the step when more of the canary's records failed than the pipeline puts up with:
// the share of stop_when, or else none.
func (s *stepRun) judgeOutcome(c *state.Chunk) {
	share := 0.0
	if limit := s.plan.Step.StopWhen; limit != nil {
		share = limit.FailedShare
	}
	b := s.canary
	if total := b.loaded + b.missing; float64(b.missing) > share*float64(total) {
		s.halts.add(c, &stopError{fmt.Sprintf("canary: %d of the first %d records did not load, so nothing else of the step was sent; look at them with \"etl show %d\", then go on with \"etl resume %d\"",
			b.missing, total, c.RunID, c.RunID)})
	}
}
