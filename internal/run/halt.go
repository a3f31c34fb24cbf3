package run

import (
	"errors"
	"fmt"
	"sync"

	"bulkhead/internal/state"
)

// ErrInconsistent says that Salesforce's counts and results do not account for every record.
var ErrInconsistent = errors.New("the books do not balance")

// stopError is a reason to send nothing more, though nothing is broken on our side.
type stopError struct{ reason string }

func (e *stopError) Error() string { return e.reason }

// ChunkHalted is the message of the warning that a chunk can go no further for now, with the fields run_id,
// step, chunk, state, job_id and error.
const ChunkHalted = "chunk halted"

// halts collects what kept chunks from being finished. A chunk that cannot go on does not sink the
// others; a stop keeps chunks that have no job yet from getting one.
type halts struct {
	// onStop is called when nothing more is to be sent; it may be called again.
	onStop func()

	mu           sync.Mutex
	stop         *stopError
	inconsistent []error
	broken       []error
}

// maxBroken is how many chunks may break before the run stops sending more: by then it is the org or
// the network, and not a chunk.
const maxBroken = 3

// errHalted ends an extraction whose chunks nobody would send any more: it would wait for ever for room
// in a spool that nobody empties.
var errHalted = errors.New("nothing more is sent")

func (h *halts) add(c *state.Chunk, err error) {
	h.record(c, err)
	if h.stopped() {
		h.onStop()
	}
}

func (h *halts) record(c *state.Chunk, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var stop *stopError
	switch {
	case errors.As(err, &stop):
		if h.stop == nil {
			h.stop = stop
		}
	case errors.Is(err, ErrInconsistent):
		h.inconsistent = append(h.inconsistent, fmt.Errorf("chunk %d: %w", c.Seq, err))
	default:
		h.broken = append(h.broken, fmt.Errorf("chunk %d: %w", c.Seq, err))
	}
}

// stopped reports whether no further job may be created.
func (h *halts) stopped() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stop != nil || len(h.broken) >= maxBroken
}

// err is the worst of what happened, or nil.
func (h *halts) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var stop error
	if h.stop != nil {
		stop = h.stop
	}
	return errors.Join(append(append(h.inconsistent, h.broken...), stop)...)
}
