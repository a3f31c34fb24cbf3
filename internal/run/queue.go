package run

import (
	"context"
	"sync"

	"bulkhead/internal/state"
)

// queue passes chunks from the extraction to the workers. It never blocks the extraction, whose
// snapshot of the source must not wait for a slow org: the spool's limit bounds what waits here.
//
// At first it holds the chunks back, until the extraction is `lead` chunks ahead or has ended. Small
// and medium loads are so checked to the last key before anything of them is sent, at the price of
// the moment that cutting a few chunks takes.
type queue struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	chunks  []*state.Chunk
	lead    int
	open    bool // chunks are handed out
	feeding bool // more may come from the extraction
	pending int  // handed out and not done: they may put more
}

func newQueue(lead int) *queue {
	return &queue{lead: lead, feeding: true, changed: make(chan struct{})}
}

func (q *queue) update(change func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change()
	close(q.changed)
	q.changed = make(chan struct{})
}

// put adds a chunk.
func (q *queue) put(c *state.Chunk) {
	q.update(func() {
		q.chunks = append(q.chunks, c)
		q.open = q.open || len(q.chunks) >= q.lead
	})
}

// release hands chunks out from now on, however few there are.
func (q *queue) release() { q.update(func() { q.open = true }) }

// fed says that the extraction puts no more. With drop the chunks that wait are forgotten, which is
// refused (false) once any has been handed out.
func (q *queue) fed(drop bool) (dropped bool) {
	q.update(func() {
		q.feeding = false
		if dropped = drop && !q.open; dropped {
			q.chunks = nil
		}
		q.open = true
	})
	return dropped
}

// done says that a chunk that get handed out has been dealt with.
func (q *queue) done() { q.update(func() { q.pending-- }) }

// get waits for the next chunk; nil means that there will be no more.
func (q *queue) get(ctx context.Context) (*state.Chunk, error) {
	for {
		q.mu.Lock()
		if q.open && len(q.chunks) > 0 {
			c := q.chunks[0]
			q.chunks = q.chunks[1:]
			q.pending++
			q.mu.Unlock()
			return c, nil
		}
		if !q.feeding && q.pending == 0 {
			q.mu.Unlock()
			return nil, nil
		}
		changed := q.changed
		q.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
