package bulkv2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// watchdog ends a request on which nothing moves any more. It is armed whenever the org has the next word, and disarmed
// while the caller has it, so that a slow reader of results is not taken for a silent org.
type watchdog struct {
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	timer    *time.Timer
	armed    bool
	answered bool // the answer has begun
	due      time.Time
	what     string
	limit    time.Duration
}

func newWatchdog(cancel context.CancelCauseFunc) *watchdog {
	w := &watchdog{cancel: cancel}
	w.timer = time.AfterFunc(time.Hour, w.bark)
	w.timer.Stop()
	return w
}

func (w *watchdog) bark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed && !time.Now().Before(w.due) { // else it was disarmed, or armed again, at the last moment
		w.cancel(fmt.Errorf("%w: no %s for %v", errTimeout, w.what, w.limit))
	}
}

func (w *watchdog) arm(what string, limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armLocked(what, limit)
}

func (w *watchdog) armLocked(what string, limit time.Duration) {
	w.armed, w.what, w.limit, w.due = true, what, limit, time.Now().Add(limit)
	w.timer.Reset(limit)
}

// armSending is arm for the side that sends, which net/http may still read from when the answer is already here.
func (w *watchdog) armSending(what string, limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.answered {
		w.armLocked(what, limit)
	}
}

// answer tells that the answer has begun.
func (w *watchdog) answer() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answered, w.armed = true, false
	w.timer.Stop()
}

func (w *watchdog) disarm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	w.timer.Stop()
}

// sending is the body of a request under a watchdog.
type sending struct {
	io.ReadCloser
	dog          *watchdog
	idle, answer time.Duration
	left         int64
	sent         *atomic.Int64
}

func (s *sending) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.sent.Add(int64(n))
	s.left -= int64(n)
	if s.left <= 0 || err != nil {
		s.dog.armSending("answer", s.answer)
	} else {
		s.dog.armSending("progress of the upload", s.idle)
	}
	return n, err
}

// receiving is the body of an answer under a watchdog. Close ends the request.
type receiving struct {
	io.ReadCloser
	ctx      context.Context //nolint:containedctx // knows why a read was ended
	dog      *watchdog
	idle     time.Duration
	received int64
	failed   error // what ended the reading, other than the end of the body
	onClose  func()
	closed   bool
}

func (r *receiving) Read(p []byte) (int, error) {
	r.dog.arm("data", r.idle)
	n, err := r.ReadCloser.Read(p)
	r.dog.disarm()
	r.received += int64(n)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if r.ctx.Err() != nil {
		err = context.Cause(r.ctx)
	}
	r.failed = err
	return n, err
}

func (r *receiving) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	err := r.ReadCloser.Close()
	r.dog.disarm()
	r.dog.cancel(nil)
	r.onClose()
	return err
}
