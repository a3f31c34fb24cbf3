package run

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"bulkhead/internal/salesforce"
	"bulkhead/internal/state"
)

// The org's allowances that a load uses up, by their names in its limits. REST API guide, "Limits".
const (
	LimitCalls   = "DailyApiRequests"
	LimitBatches = "DailyBulkApiBatches"
)

// AtLimit is what a run does before it crosses the share of an allowance that it may use.
type AtLimit string

// What a run can do at a limit. Whatever it does, jobs that are under way go on, and are settled.
const (
	AtLimitStop  AtLimit = "stop"  // it stops, and can be resumed
	AtLimitPause AtLimit = "pause" // it waits until the org has room again, for a bounded time, and then stops
	AtLimitWarn  AtLimit = "warn"  // it says so and goes on
)

// Limits is how much of the org's allowances of 24 hours may be used, by whomever, before a run sends
// nothing more. The zero value sets no limit.
type Limits struct {
	Calls, Batches float64 // shares, at most 1; 0: not limited
	At             AtLimit
	Wait           time.Duration // how long a pause may last
	Look           time.Duration // between two looks during a pause, and the age at which figures are read again; default 1 minute
}

// Allowance is one of the org's allowances of 24 hours, and what a run may use of it.
type Allowance struct {
	Name  string  `json:"limit"` // api_calls or bulk_batches, as etl.yaml has it
	Used  int64   `json:"used"`  // by everybody
	Max   int64   `json:"max"`
	Share float64 `json:"share"` // of Max, up to which runs go on
	Need  int64   `json:"need"`  // of the run, or of what it is about to do
}

// Passed reports whether the share has been used up already.
func (a Allowance) Passed() bool { return a.Share > 0 && a.Max > 0 && a.Used >= a.ceiling() }

// Crosses reports whether the need goes beyond the share.
func (a Allowance) Crosses() bool {
	return a.Share > 0 && a.Max > 0 && a.Used+a.Need > a.ceiling()
}

func (a Allowance) ceiling() int64 { return int64(a.Share * float64(a.Max)) }

// String says how much is used.
func (a Allowance) String() string {
	what := map[string]string{"api_calls": "API calls", "bulk_batches": "Bulk API batches"}[a.Name]
	return fmt.Sprintf("%d of the org's %d %s of 24 hours are used (%.4g%%), and \"limits\" lets runs use %.4g%%",
		a.Used, a.Max, what, 100*float64(a.Used)/float64(a.Max), 100*a.Share)
}

// LimitsError is a refusal to start because a share has been used up already.
type LimitsError struct {
	Passed []Allowance
}

// Error names the first of the allowances.
func (e *LimitsError) Error() string { return e.Passed[0].String() }

// LiftLimits lets the engine's runs use what the org has.
func (e *Engine) LiftLimits() { e.meter.limits = Limits{} }

// meter knows what is used of the org's allowances, and keeps jobs from being made beyond the shares.
type meter struct {
	limits Limits
	org    *salesforce.Org
	log    *zap.Logger

	mu       sync.Mutex
	readAt   time.Time        // when batches was asked for; zero before
	hidden   bool             // the org does not show its limits to our user
	batches  salesforce.Limit // as read
	ended    int64            // batches of our jobs that ended since
	admitted map[int64]int64  // by chunk: batches of jobs that may not be counted in batches yet
	said     map[string]bool  // what was told once
}

func newMeter(limits Limits, org *salesforce.Org, log *zap.Logger) *meter {
	if limits.Look == 0 {
		limits.Look = time.Minute
	}
	return &meter{limits: limits, org: org, log: log, admitted: map[int64]int64{}, said: map[string]bool{}}
}

// start looks at the allowances before a run starts, and compares them with what it is likely to need.
func (m *meter) start(ctx context.Context, need Plan) error {
	if m.limits.Calls == 0 && m.limits.Batches == 0 {
		return nil
	}
	if err := m.read(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var passed []Allowance
	for _, a := range m.allowances(need.APICalls, need.Batches) {
		switch {
		case a.Passed() && m.limits.At != AtLimitWarn:
			passed = append(passed, a)
		case a.Passed():
			m.log.Warn("the org's limits: " + a.String())
		case a.Crosses():
			m.log.Warn(fmt.Sprintf("the org's limits: %s; this run is likely to need %d more, and will then %s", a, a.Need, m.limits.At.verb()))
		}
	}
	if len(passed) > 0 {
		return &LimitsError{Passed: passed}
	}
	return nil
}

func (at AtLimit) verb() string {
	if at == AtLimitWarn {
		return "go on"
	}
	return string(at)
}

// allowances are the figures as far as they are known. Called with the lock held.
func (m *meter) allowances(calls, batches int64) []Allowance {
	usage := m.org.Usage()
	list := []Allowance{{Name: "api_calls", Used: usage.Used, Max: usage.Max, Share: m.limits.Calls, Need: calls}}
	if !m.hidden {
		used := m.batches.Max - m.batches.Remaining + m.ended
		for _, n := range m.admitted {
			used += n
		}
		list = append(list, Allowance{Name: "bulk_batches", Used: used, Max: m.batches.Max, Share: m.limits.Batches, Need: batches})
	}
	return list
}

// read asks the org for its limits, unless another worker has done so just now; that of the calls comes
// with every answer. The lock is not held for it: others go by what is known.
func (m *meter) read(ctx context.Context) error {
	m.mu.Lock()
	if m.hidden || time.Since(m.readAt) < m.limits.Look || m.limits.Calls == 0 && m.limits.Batches == 0 {
		m.mu.Unlock()
		return nil
	}
	m.readAt = time.Now()
	ended := m.ended
	m.mu.Unlock()
	limits, err := m.org.Limits(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case hidesLimits(err):
		m.hidden = true
		m.log.Warn("the org does not show its limits to the integration user, so only API calls are watched; the permission \"View Setup and Configuration\" shows them", zap.Error(err))
		return nil
	case err != nil:
		return err
	}
	m.batches = limits[LimitBatches]
	m.ended -= ended
	return nil
}

// admit waits until a job may be made for a chunk, resting in between. It returns a *stopError where it may
// not.
func (m *meter) admit(ctx context.Context, c *state.Chunk, rest func(context.Context) error) error {
	deadline := time.Now().Add(m.limits.Wait)
	for {
		over := m.try(ctx, c)
		switch {
		case over == nil:
			return nil
		case m.limits.At != AtLimitPause || !time.Now().Before(deadline):
			return &stopError{fmt.Sprintf("%s; another job would take about %d more, so none is made: go on later with \"etl resume %d\", or at once with \"etl resume %d --over-limits\"",
				over, over.Need, c.RunID, c.RunID)}
		}
		m.once(over.Name+" pause", fmt.Sprintf("the run pauses: %s; it goes on by itself once the org has room, and stops after %v", over, m.limits.Wait))
		if err := rest(ctx); err != nil {
			return err
		}
	}
}

// look reads the limits, as far as they can be read.
func (m *meter) look(ctx context.Context) {
	if err := m.read(ctx); err != nil && ctx.Err() == nil {
		m.log.Warn("the org's limits could not be read; the run goes by what it knew", zap.Error(err))
	}
}

// try admits a chunk's job, or says which allowance it would cross.
func (m *meter) try(ctx context.Context, c *state.Chunk) *Allowance {
	m.look(ctx) // what others use shows only when the org is asked
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.admitted, c.ID) // of a job that was replaced: it processed nothing
	need := ceilDiv(c.RowsSent, batchRows)
	over := m.crossed(need)
	if over != nil && m.limits.At == AtLimitWarn {
		m.tell(over.Name, "the org's limits: "+over.String()+"; the run goes on")
		over = nil
	}
	if over == nil {
		m.admitted[c.ID] = need
	}
	return over
}

// crossed is the allowance that one more job would cross, beside those that are under way. Called with the
// lock held.
func (m *meter) crossed(batches int64) *Allowance {
	calls := callsPerJob * int64(len(m.admitted)+1)
	for _, a := range m.allowances(calls, batches) {
		if a.Crosses() {
			return &a
		}
	}
	return nil
}

// settled notes that nothing more is used for a chunk.
func (m *meter) settled(c *state.Chunk) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended += m.admitted[c.ID]
	delete(m.admitted, c.ID)
}

// once tells something once in the engine's life.
func (m *meter) once(key, message string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tell(key, message)
}

// tell is once with the lock held.
func (m *meter) tell(key, message string) {
	if !m.said[key] {
		m.said[key] = true
		m.log.Warn(message)
	}
}

// pauses reports whether a run that began to ask for a job then, and was refused for an allowance that is
// used up, is to ask again later.
func (m *meter) pauses(began time.Time, refusal error) bool {
	if m.limits.At != AtLimitPause || time.Since(began) >= m.limits.Wait {
		return false
	}
	m.once("refused", fmt.Sprintf("the run pauses: %v; it goes on by itself once the org has room, and stops after %v", refusal, m.limits.Wait))
	return true
}

// compare sets what a run needs beside what the org has.
func (l Limits) compare(org map[string]salesforce.Limit, calls, batches int64) []Allowance {
	var list []Allowance
	for _, a := range []struct {
		name, key string
		share     float64
		need      int64
	}{{"api_calls", LimitCalls, l.Calls, calls}, {"bulk_batches", LimitBatches, l.Batches, batches}} {
		if limit, known := org[a.key]; known {
			list = append(list, Allowance{Name: a.name, Used: limit.Max - limit.Remaining, Max: limit.Max, Share: a.share, Need: a.need})
		}
	}
	return list
}

// hidesLimits reports whether an error means that the org does not show its limits to our user.
func hidesLimits(err error) bool {
	var refused *salesforce.APIError
	return errors.As(err, &refused) && refused.Forbidden()
}
