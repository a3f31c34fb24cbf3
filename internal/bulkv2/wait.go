package bulkv2

import (
	"context"
	"errors"
	"time"
)

// Defaults of [WaitOptions].
const (
	DefaultMinInterval = 500 * time.Millisecond
	DefaultMaxInterval = 30 * time.Second
)

// WaitOptions says how [Client.Wait] polls.
type WaitOptions struct {
	// Limit is how long to wait for the job's end. 0: until the context ends.
	Limit time.Duration
	// Rows is the number of records in the job, by which the end is estimated. 0: unknown.
	Rows int64
	// MinInterval and MaxInterval bound the time between polls. Defaults 0.5 s and 30 s.
	MinInterval, MaxInterval time.Duration
	// OnPoll, when set, is told of the job after each poll that succeeded, from the goroutine that waits.
	OnPoll func(Job)
}

func (o WaitOptions) withDefaults() WaitOptions {
	setDefault(&o.MinInterval, DefaultMinInterval)
	setDefault(&o.MaxInterval, max(DefaultMaxInterval, o.MinInterval))
	if o.OnPoll == nil {
		o.OnPoll = func(Job) {}
	}
	return o
}

// Wait polls the job until it has ended, and returns it as it then is: JobComplete, Failed or Aborted. The first poll
// is made at once; the others are spaced by what the job's progress lets expect, so that a job of minutes takes about a
// dozen calls and its end is seen soon.
//
// A poll that fails for a passing reason is no job that fails: it only delays. Wait ends early for an error that time
// will not mend, such as a job that the org does not know. When the limit is reached it makes a last poll and returns a
// *[StillRunningError]; the job goes on, and Wait may be called again.
func (c *Client) Wait(ctx context.Context, jobID string, opt WaitOptions) (Job, error) {
	opt = opt.withDefaults()
	began := time.Now()
	last := Job{ID: jobID}
	pace := newPace(opt, c.cfg.Retry, began)
	for {
		overdue := opt.Limit > 0 && time.Since(began) >= opt.Limit
		job, err := c.poll(ctx, jobID)
		switch {
		case err == nil:
			last = job
			opt.OnPoll(job)
			if job.Terminal() {
				return job, nil
			}
		case ctx.Err() != nil || !Retryable(err):
			return last, err
		}
		if overdue {
			return last, &StillRunningError{Job: last, Limit: opt.Limit, Err: err}
		}

		var wait time.Duration
		if err == nil {
			wait = pace.next(time.Now(), job)
		} else {
			wait = pace.afterError(err)
		}
		if opt.Limit > 0 {
			wait = min(wait, opt.Limit-time.Since(began))
		}
		if err := sleep(ctx, wait); err != nil {
			return last, &NetError{Request: Request{Op: "wait", JobID: jobID}, Err: err}
		}
	}
}

// poll is Info without repeats: Wait has its own patience.
func (c *Client) poll(ctx context.Context, jobID string) (Job, error) {
	once := *c
	once.cfg.Retry.MaxTries = 1
	return once.info(ctx, jobID)
}

// pace decides how long to wait between polls.
type pace struct {
	min, max time.Duration
	rows     int64
	retry    RetryConfig

	began   time.Time
	origin  sample        // where processing began, as far as it was seen
	moved   sample        // when the count last changed
	before  sample        // and when it changed before that
	polled  bool          // the job has been seen
	started bool          // and was in progress
	wait    time.Duration // the wait before
}

// sample is how many records had been processed at a time.
type sample struct {
	at   time.Time
	done int64
}

func newPace(opt WaitOptions, retry RetryConfig, began time.Time) *pace {
	start := sample{at: began}
	return &pace{
		min: opt.MinInterval, max: opt.MaxInterval, rows: opt.Rows, retry: retry, began: began, origin: start, moved: start,
		wait: opt.MinInterval, // few jobs end in that time
	}
}

// next returns how long to wait after a poll that showed job.
func (p *pace) next(now time.Time, job Job) time.Duration {
	p.wait = p.clamp(p.wanted(now, job))
	return p.wait
}

// afterError returns how long to wait after a poll that failed. What the org asks for goes beyond the longest interval.
func (p *pace) afterError(err error) time.Duration {
	p.wait = p.clamp(2 * p.wait)
	wait := p.wait
	if LimitReached(err) {
		wait = max(wait, p.retry.LimitBase)
	}
	var api *APIError
	if errors.As(err, &api) {
		wait = max(wait, min(api.RetryAfter, p.retry.MaxRetryAfter))
	}
	return wait
}

func (p *pace) clamp(d time.Duration) time.Duration { return min(max(d, p.min), p.max) }

func (p *pace) wanted(now time.Time, job Job) time.Duration {
	// However near the end seems, a poll comes no sooner than after another 4 % of the time: that is how late the end may
	// be seen, and it bounds the polls of a job whose end keeps moving away. However far it seems, a poll comes no later
	// than after as long again: a job that had to wait for others speeds up when they are done.
	floor, ceiling := now.Sub(p.began)/25, now.Sub(p.began)
	p.observe(now, job)
	left, known := p.estimate(now)
	switch {
	case known && left > 0:
		return max(floor, min(left*3/4, ceiling))
	case known: // it ought to have ended
		return max(floor, p.wait*5/4)
	}
	return max(floor, p.wait*3/2)
}

// observe notes the job's progress.
func (p *pace) observe(now time.Time, job Job) {
	first := !p.polled
	p.polled = true
	if !p.started && job.State == InProgress {
		p.started = true
		if first { // how long it has been running is unknown
			p.origin = sample{now, job.RecordsProcessed}
			p.moved = p.origin
			return
		}
	}
	if !p.started {
		p.origin = sample{at: now}
		p.moved = p.origin
		return
	}
	if job.RecordsProcessed > p.moved.done {
		p.before, p.moved = p.moved, sample{now, job.RecordsProcessed}
	}
}

// estimate returns how long the job will still take if it goes on as it did on the whole, or as it did of late if that
// was faster: jobs that had to share the org speed up when the others have ended. It is 0 where it ought to have ended.
func (p *pace) estimate(now time.Time) (time.Duration, bool) {
	done := p.moved.done - p.origin.done
	if p.rows <= 0 || done <= 0 {
		return 0, false
	}
	perRow := min(p.perRow(p.origin), p.perRow(p.before))
	return max(0, time.Duration(perRow*float64(max(0, p.rows-p.moved.done)))-now.Sub(p.moved.at)), true
}

// perRow is how long a record took since then, in nanoseconds.
func (p *pace) perRow(since sample) float64 {
	return float64(p.moved.at.Sub(since.at)) / float64(p.moved.done-since.done)
}
