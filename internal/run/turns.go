package run

import (
	"context"
	"sync"

	"bulkhead/internal/state"
)

// maxAhead bounds how many jobs wait with their content uploaded. When a job ends, the next one needs
// only to be closed, so that the org is not idle while we upload, and read results.
const maxAhead = 5

// turns bounds how many jobs the org processes at once. A job is processed from its closing to its end;
// until then it may be created and filled as early as we like.
type turns struct {
	mu      sync.Mutex
	free    int // below zero where an earlier process left more jobs in the org than are to be there
	holders map[*state.Chunk]bool
	changed chan struct{} // closed and replaced when a turn is free
}

func newTurns(parallel int) *turns {
	return &turns{free: parallel, holders: map[*state.Chunk]bool{}, changed: make(chan struct{})}
}

// take gives a chunk its turn, free or not: its job is being processed already.
func (t *turns) take(c *state.Chunk) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hold(c)
}

func (t *turns) hold(c *state.Chunk) {
	if !t.holders[c] {
		t.holders[c] = true
		t.free--
	}
}

// wait waits for a chunk's turn.
func (t *turns) wait(ctx context.Context, c *state.Chunk) error {
	for {
		t.mu.Lock()
		if t.free > 0 || t.holders[c] {
			t.hold(c)
			t.mu.Unlock()
			return nil
		}
		changed := t.changed
		t.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// leave passes a chunk's turn on, if it has one.
func (t *turns) leave(c *state.Chunk) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holders[c] {
		delete(t.holders, c)
		t.free++
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// inOrg reports whether the org may be processing a chunk's job.
func inOrg(at state.ChunkState) bool { return at == state.ChunkClosing || at == state.ChunkSubmitted }
