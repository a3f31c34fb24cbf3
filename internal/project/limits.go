package project

import (
	"time"

	"bulkhead/internal/yamlfile"
)

// AtLimit is what a run does before it crosses a share of Limits.
type AtLimit string

// What a run can do at a limit.
const (
	AtLimitStop  AtLimit = "stop"
	AtLimitPause AtLimit = "pause"
	AtLimitWarn  AtLimit = "warn"
)

// Defaults of Limits. The rest of an org's allowance is for the people and the
// other programs that use it.
const (
	DefaultLimitShare = 0.8
	DefaultLimitWait  = 2 * time.Hour
)

// Limits is how much of an org's allowances of 24 hours may be used, by
// everybody, before runs send nothing more.
type Limits struct {
	APICalls, BulkBatches float64       // shares, more than 0 and at most 1
	When                  AtLimit       // default stop
	Wait                  time.Duration // how long a pause may last before it becomes a stop
}

func defaultLimits() Limits {
	return Limits{APICalls: DefaultLimitShare, BulkBatches: DefaultLimitShare, When: AtLimitStop, Wait: DefaultLimitWait}
}

// Limits is what etl.yaml says about the org's limits.
func (p *Project) Limits() Limits { return p.limits }

// read decodes what the file says, over the defaults.
func (l *Limits) read(v yamlfile.Value) {
	m := v.Mapping()
	if calls := m.Get("api_calls"); calls.Exists() {
		l.APICalls = calls.Share()
	}
	if batches := m.Get("bulk_batches"); batches.Exists() {
		l.BulkBatches = batches.Share()
	}
	if when := m.Get("when"); when.Exists() {
		l.When = yamlfile.OneOf(when, AtLimitStop, AtLimitPause, AtLimitWarn)
	}
	wait := m.Get("wait")
	l.Wait = wait.Duration(DefaultLimitWait, time.Minute, 7*24*time.Hour)
	if wait.Exists() && l.When != AtLimitPause {
		wait.Problem("wait is how long a pause may last: remove it, or write when: pause")
	}
	m.Close()
}
