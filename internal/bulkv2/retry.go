package bulkv2

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// RetryConfig bounds how often and how long a call is repeated. The zero value means the defaults.
type RetryConfig struct {
	// MaxTries is the largest number of attempts of one call, the first included. Default 10; 1 means no repeats.
	MaxTries int
	// MaxElapsed ends the repeats of one call: no attempt begins later than this after the first. Default 30 minutes.
	MaxElapsed time.Duration
	// Base and Cap bound the wait before attempt n+1: a random time between 0 and the smaller of Base·2ⁿ⁻¹ and Cap.
	// Defaults 500 ms and 1 minute.
	Base, Cap time.Duration
	// LimitBase and LimitCap are the same where the org says that a request limit is reached, except that at least
	// half of the time is waited. Defaults 30 s and 5 minutes.
	LimitBase, LimitCap time.Duration
	// MaxRetryAfter is the longest that a Retry-After header is obeyed for. Default 5 minutes.
	MaxRetryAfter time.Duration
	// Rand returns numbers in [0, 1). Default math/rand/v2's. It is called from several goroutines at once.
	Rand func() float64
}

func (c RetryConfig) withDefaults() RetryConfig {
	setDefault(&c.MaxTries, 10)
	setDefault(&c.MaxElapsed, 30*time.Minute)
	setDefault(&c.Base, 500*time.Millisecond)
	setDefault(&c.Cap, time.Minute)
	setDefault(&c.LimitBase, 30*time.Second)
	setDefault(&c.LimitCap, 5*time.Minute)
	setDefault(&c.MaxRetryAfter, 5*time.Minute)
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	return c
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

func (c RetryConfig) validate() error {
	if c.MaxTries < 0 || c.MaxElapsed < 0 || c.Base < 0 || c.Cap < 0 || c.LimitBase < 0 || c.LimitCap < 0 || c.MaxRetryAfter < 0 {
		return errors.New("bulkv2: Retry: nothing may be negative")
	}
	return nil
}

// pause is the backoff.BackOff of one call. It looks at the error of the attempt before, because the library's own
// RetryAfter knows whole seconds only and hides the cause once the tries have run out.
type pause struct {
	cfg  RetryConfig
	try  int // repeats so far
	last error
}

func (p *pause) Reset() {}

func (p *pause) NextBackOff() time.Duration {
	p.try++
	wait := p.jittered()
	var api *APIError
	if errors.As(p.last, &api) && api.RetryAfter > 0 {
		wait += min(api.RetryAfter, p.cfg.MaxRetryAfter)
	}
	return wait
}

func (p *pause) jittered() time.Duration {
	if LimitReached(p.last) {
		d := doubled(p.cfg.LimitBase, p.try, p.cfg.LimitCap)
		return d/2 + time.Duration(p.cfg.Rand()*float64(d/2))
	}
	return time.Duration(p.cfg.Rand() * float64(doubled(p.cfg.Base, p.try, p.cfg.Cap)))
}

// doubled returns base·2^(try-1), at most limit.
func doubled(base time.Duration, try int, limit time.Duration) time.Duration {
	for range try - 1 {
		if base >= limit {
			break
		}
		base *= 2
	}
	return min(base, limit)
}

// retry calls attempt until it succeeds, returns an error that must not be repeated, or the bounds are reached.
// notify hears of each failure, and how long after it the next attempt follows.
func (c *Client) retry(ctx context.Context, attempt func(n int) error, notify func(error, time.Duration)) error {
	p := &pause{cfg: c.cfg.Retry}
	n := 0
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		n++
		p.last = attempt(n)
		if p.last != nil && !again(p.last) {
			return struct{}{}, backoff.Permanent(p.last)
		}
		return struct{}{}, p.last
	},
		backoff.WithBackOff(p),
		backoff.WithMaxTries(uint(c.cfg.Retry.MaxTries)), //nolint:gosec // validate refuses negative numbers
		backoff.WithMaxElapsedTime(c.cfg.Retry.MaxElapsed),
		backoff.WithNotify(notify),
	)
	if err != nil && !errors.Is(err, p.last) { // the context ended while waiting
		return fmt.Errorf("%w, after %w", err, p.last)
	}
	if err != nil {
		return p.last // err may still be wrapped as permanent
	}
	return nil
}

// parseRetryAfter reads a Retry-After header, seconds or a date. It returns 0 when there is none, or none that is in
// the future.
func parseRetryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if s, err := strconv.Atoi(v); err == nil {
		const day = 24 * 60 * 60 // more is bounded anyway, and would overflow the multiplication
		return time.Duration(max(0, min(s, day))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
