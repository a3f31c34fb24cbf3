package salesforce

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"time"
)

// session is one access token and where it is good for.
type session struct {
	token      string
	instance   *url.URL
	identity   string // the URL that ends in org id and user id; may be empty
	since      time.Time
	generation int64
}

// sessions hands out the session, and renews it for all who ask at the same time at once.
type sessions struct {
	login func(context.Context) (*session, error)
	ttl   time.Duration // 0: for ever
	now   func() time.Time

	mu      sync.Mutex
	current *session
	renewal *renewal // in flight, or nil
	failure error    // of the last login
	retryAt time.Time
}

// renewal is a login that somebody waits for.
type renewal struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int
	session *session // set before done is closed
	err     error
}

// How long a failed login is the answer to everybody who asks: requests in flight by the hundred must not become
// logins by the hundred, which would lock the user out.
const (
	restAfterRefusal = 10 * time.Second
	restAfterTrouble = time.Second
)

// get returns a session of at least the given generation: the current one, or one that it logs in for.
func (s *sessions) get(ctx context.Context, generation int64) (*session, error) {
	s.mu.Lock()
	if s.known(generation) && !s.old() {
		defer s.mu.Unlock()
		return s.current, nil
	}
	if s.renewal == nil && s.failure != nil && s.now().Before(s.retryAt) {
		defer s.mu.Unlock()
		return s.lastResort(generation, s.failure)
	}
	if s.renewal == nil {
		s.begin() //nolint:contextcheck // a login outlives the request that first needs it, see begin
	}
	r := s.renewal
	r.waiters++
	s.mu.Unlock()

	select {
	case <-r.done:
	case <-ctx.Done():
		s.leave(r)
		return nil, &LoginError{Err: context.Cause(ctx)}
	}
	if r.err == nil {
		return r.session, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastResort(generation, r.err)
}

// known reports whether there is a session that nobody has been refused with.
func (s *sessions) known(generation int64) bool {
	return s.current != nil && s.current.generation >= generation
}

func (s *sessions) old() bool {
	return s.ttl > 0 && s.now().Sub(s.current.since) >= s.ttl
}

// lastResort returns a session that is only old where a new one cannot be had: the org may still take it.
func (s *sessions) lastResort(generation int64, failure error) (*session, error) {
	if s.known(generation) {
		return s.current, nil
	}
	return nil, failure
}

// begin starts a login. It belongs to all who wait for it, and so ends when none of them is left, not with the context
// of the first, whose values (such as the trace of a request) are none of its business either.
func (s *sessions) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	r := &renewal{done: make(chan struct{}), cancel: cancel}
	s.renewal = r
	go func() {
		defer cancel()
		fresh, err := s.login(ctx)
		s.end(r, fresh, err)
	}()
}

func (s *sessions) end(r *renewal, fresh *session, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(r.done)
	abandoned := s.renewal != r
	if !abandoned {
		s.renewal = nil
	}
	if err != nil {
		r.err = err
		if !abandoned {
			s.rest(err)
		}
		return
	}
	if s.current != nil {
		fresh.generation = s.current.generation
	}
	fresh.generation++
	fresh.since = s.now()
	s.current, r.session, s.failure = fresh, fresh, nil
}

func (s *sessions) rest(err error) {
	rest := restAfterTrouble
	var refused *LoginError
	if errors.As(err, &refused) && !refused.Retryable() {
		rest = restAfterRefusal
	}
	s.failure, s.retryAt = err, s.now().Add(rest)
}

// leave takes back the wish for a renewal.
func (s *sessions) leave(r *renewal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.waiters--; r.waiters > 0 {
		return
	}
	r.cancel()
	if s.renewal == r {
		s.renewal = nil // whoever comes now starts another
	}
}
