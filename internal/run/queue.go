package run

import (
	"context"
	"slices"
	"sync"
	"time"

	"bulkhead/internal/state"
)

// queue passes chunks from the extraction to the workers. It never blocks the extraction, whose
// snapshot of the source must not wait for a slow org: the spool's limit bounds what waits here.
//
// At first it holds the chunks back, until the extraction is `lead` chunks ahead or has ended. Small
// and medium loads are so checked to the last key before anything of them is sent, at the price of
// the moment that cutting a few chunks takes.
//
// A chunk that is to rest (records that failed for a passing reason) is not handed out before its time,
// so that it keeps no worker from the others.
type queue struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	chunks  []*state.Chunk
	lead    int
	open    bool                    // chunks are handed out
	only    func(*state.Chunk) bool // nil: any of them
	feeding bool                    // more may come from the extraction
	pending int                     // handed out and not done: they may put more
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

// guard hands out only chunks that pass; nil lets all go.
func (q *queue) guard(pass func(*state.Chunk) bool) { q.update(func() { q.only = pass }) }

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
		c, rest, changed, ended := q.next()
		if c != nil || ended {
			return c, nil
		}
		timer := time.NewTimer(rest)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
		timer.Stop()
	}
}

// next hands out the first chunk that is due. Without one it says how long to rest until one may be,
// and which channel tells of a change before; or that no chunk will come any more.
func (q *queue) next() (c *state.Chunk, rest time.Duration, changed <-chan struct{}, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	rest = time.Hour
	if q.open {
		now := time.Now()
		for i, waiting := range q.chunks {
			if q.only != nil && !q.only(waiting) {
				continue
			}
			if waiting.NotBefore == nil || !waiting.NotBefore.After(now) {
				q.chunks = slices.Delete(q.chunks, i, i+1)
				q.pending++
				return waiting, 0, nil, false
			}
			rest = min(rest, waiting.NotBefore.Sub(now))
		}
	}
	return nil, rest, q.changed, !q.feeding && q.pending == 0 && len(q.chunks) == 0
}
