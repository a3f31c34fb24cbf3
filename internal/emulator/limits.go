package emulator

import (
	"fmt"
	"sync"
	"time"
)

// The limits that requests and jobs count against, by their names in /limits.
const (
	limitRequests = "DailyApiRequests"
	limitBatches  = "DailyBulkApiBatches"
	limitRecords  = "DailyBulkRecords" // not shown by /limits
)

// Limit is one of the org's allowances.
type Limit struct {
	Max       int64 `json:"Max"`
	Remaining int64 `json:"Remaining"`
}

// allowances counts what is left of each limit. All start again 24 hours after
// the first use, a simpler window than Salesforce's rolling one.
type allowances struct {
	mu    sync.Mutex
	now   func() time.Time
	start time.Time
	left  map[string]Limit
	full  map[string]int64
}

func newAllowances(l Limits, now func() time.Time) *allowances {
	a := &allowances{now: now, start: now(), left: map[string]Limit{}, full: map[string]int64{
		limitRequests:                    max(l.DailyAPIRequests, 0),
		limitBatches:                     max(l.DailyBatches, 0),
		limitRecords:                     max(l.DailyRecords, 0),
		"DailyBulkV2QueryJobs":           10_000,
		"DailyBulkV2QueryFileStorageMB":  976_562,
		"DailyAsyncApexExecutions":       250_000,
		"DataStorageMB":                  5_120,
		"FileStorageMB":                  20_480,
		"DailyDurableStreamingApiEvents": 200_000,
		"SingleEmail":                    5_000,
	}}
	a.refill()
	return a
}

func (a *allowances) refill() {
	for name, full := range a.full {
		a.left[name] = Limit{Max: full, Remaining: full}
	}
}

// renew starts a new day when the last one is over. Called with the lock held.
func (a *allowances) renew() {
	if now := a.now(); now.Sub(a.start) >= 24*time.Hour {
		a.start = now
		a.refill()
	}
}

// take uses up n of an allowance; false, and nothing used, when it has less.
func (a *allowances) take(name string, n int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.renew()
	l := a.left[name]
	if l.Remaining < n {
		return false
	}
	l.Remaining -= n
	a.left[name] = l
	return true
}

// set changes an allowance, as an administrator's add-on or a long day would.
func (a *allowances) set(name string, l Limit) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.full[name]; !ok {
		return fmt.Errorf("limit %q: unknown", name)
	}
	a.full[name] = l.Max
	a.left[name] = l
	return nil
}

// all is what /limits shows.
func (a *allowances) all() map[string]Limit {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.renew()
	shown := make(map[string]Limit, len(a.left))
	for name, l := range a.left {
		if name != limitRecords {
			shown[name] = l
		}
	}
	return shown
}

// usage is the value of the Sforce-Limit-Info header.
func (a *allowances) usage() string {
	l := a.get(limitRequests)
	return fmt.Sprintf("api-usage=%d/%d", l.Max-l.Remaining, l.Max)
}

func (a *allowances) get(name string) Limit {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.renew()
	return a.left[name]
}
