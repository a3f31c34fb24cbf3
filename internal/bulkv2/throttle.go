package bulkv2

import (
	"context"
	"errors"
	"strings"
	"sync"
)

// throttle bounds how many requests are under way at one time, from when the org refuses one because too many are:
// then it is half of them, and one more each time that as many have gone well. Salesforce counts only requests that
// last 20 seconds or more, and allows 25 of them, or 5 in a developer's org (App Limits Cheatsheet, "API Request Limits
// and Allocations"), so that nobody can tell beforehand how many are too many.
type throttle struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	bound   int           // 0: none
	running int
	well    int // requests that went well since the bound last changed
}

// noBound is a bound that is none any more: nobody has so many requests under way.
const noBound = 64

func newThrottle() *throttle { return &throttle{changed: make(chan struct{})} }

// enter waits until one more request may go.
func (t *throttle) enter(ctx context.Context) error {
	for {
		t.mu.Lock()
		if t.bound == 0 || t.running < t.bound {
			t.running++
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

// leave says how a request ended, and returns the bound from now on.
func (t *throttle) leave(err error) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case tooManyAtOnce(err):
		t.bound, t.well = max(1, t.running/2), 0
	case err == nil && t.bound > 0:
		if t.well++; t.well >= t.bound {
			t.bound, t.well = t.bound+1, 0
		}
		if t.bound >= noBound {
			t.bound = 0
		}
	}
	t.running--
	close(t.changed)
	t.changed = make(chan struct{})
	return t.bound
}

// tooManyAtOnce reports whether the org refused a request because too many others were under way: the code is that of
// the daily limit too, and only the message tells ("ConcurrentRequests (Concurrent API Requests) Limit exceeded.", or
// with ConcurrentPerOrgLongTxn).
func tooManyAtOnce(err error) bool {
	var api *APIError
	return errors.As(err, &api) && api.Code == CodeRequestLimitExceeded && strings.Contains(api.Message, "Concurrent")
}
