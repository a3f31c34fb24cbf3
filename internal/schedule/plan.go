package schedule

import (
	"fmt"
	"hash/fnv"
	"time"

	"bulkhead/internal/state"
)

// CatchUp is which of the missed runs are made up for.
type CatchUp string

// The ways to catch up.
const (
	CatchUpLatest CatchUp = "latest"
	CatchUpAll    CatchUp = "all"
	CatchUpNone   CatchUp = "none"
)

// grace is how late a run may begin without counting as missed: the time that another server may take
// to notice that it leads now.
const grace = 2 * time.Minute

// maxCatchUp is how many missed runs are made up for at most, the latest ones.
const maxCatchUp = 100

// Plan is the schedule of a pipeline.
type Plan struct {
	Pipeline       string
	Cron, Timezone string // as written; a change of either begins anew
	Times          *Times
	Queue          bool // a run that is due while the one before still goes waits, instead of being left out
	CatchUp        CatchUp
	Jitter         time.Duration
}

// Start is when the run begins that is due at a time. It is the same on every server.
func (p Plan) Start(due time.Time) time.Time {
	if p.Jitter < time.Second {
		return due
	}
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s %d", p.Pipeline, due.Unix())
	// The low bits of FNV follow those of the text closely; the high ones do not.
	return due.Add(time.Duration((h.Sum64()>>20)%uint64(p.Jitter/time.Second)) * time.Second)
}

// Next is when the next run begins after what was due up to a time.
func (p Plan) Next(after time.Time) time.Time {
	due := p.Times.Next(after)
	if due.IsZero() {
		return due
	}
	return p.Start(due)
}

// due is what has come due since a time, the last few of it and how many there were, and up to where.
func (p Plan) due(since, now time.Time) (last []time.Time, n int64, until time.Time) {
	until = since
	for at := p.Times.Next(since); !at.IsZero() && !p.Start(at).After(now); at = p.Times.Next(at) {
		if len(last) == maxCatchUp {
			last = append(last[:0], last[1:]...)
		}
		last = append(last, at)
		until = at
		n++
	}
	return last, n, until
}

// decide says what is done about all that has come due. busy is whether a run before still goes.
func (p Plan) decide(last []time.Time, n int64, now time.Time, busy bool) []state.NewFire {
	if len(last) == 0 {
		return nil
	}
	if p.CatchUp != CatchUpAll {
		last = last[len(last)-1:]
	}
	fires := make([]state.NewFire, 0, len(last))
	for _, at := range last {
		late := now.Sub(p.Start(at)) > grace
		f := state.NewFire{At: at, State: state.FireClaimed, Waits: p.Queue || late}
		switch {
		case late && p.CatchUp == CatchUpNone:
			f.State, f.Reason = state.FireSkipped, "it was missed, as no server ran, and catch_up is none"
		case busy && !f.Waits:
			f.State, f.Reason = state.FireSkipped, "the run before was not finished yet, and overlap is skip"
		default:
			busy = true
		}
		fires = append(fires, f)
	}
	fires[0].Missed = n - int64(len(fires))
	return fires
}
