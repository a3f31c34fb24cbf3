package emulator

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// state of an ingest job.
//
//	Open -> UploadComplete -> InProgress -> JobComplete | Failed
//	Open, UploadComplete, InProgress -> Aborted
type state string

const (
	stateOpen           state = "Open"
	stateUploadComplete state = "UploadComplete"
	stateInProgress     state = "InProgress"
	stateJobComplete    state = "JobComplete"
	stateFailed         state = "Failed"
	stateAborted        state = "Aborted"
)

func (s state) ended() bool {
	return s == stateJobComplete || s == stateFailed || s == stateAborted
}

// jobSpec is what a job is created with.
type jobSpec struct {
	Object           string    `json:"object"`
	Operation        operation `json:"operation"`
	ExternalIDField  *string   `json:"externalIdFieldName"`
	ContentType      string    `json:"contentType"`
	ColumnDelimiter  string    `json:"columnDelimiter"`
	LineEnding       string    `json:"lineEnding"`
	AssignmentRuleID string    `json:"assignmentRuleId"`
}

// job is an ingest job.
type job struct {
	id       string
	number   int64
	spec     jobSpec
	object   *object
	key      *field // of an upsert that does not go by Id
	version  string
	user     *user
	created  time.Time
	dir      string
	finished chan struct{}
	struck   map[string]bool    // faults that the processing has met
	cancel   context.CancelFunc // of the processing; set when it starts

	mu        sync.Mutex
	state     state
	modified  time.Time
	message   string // errorMessage
	puts      int
	size      int64 // of the content, in bytes
	header    []byte
	spans     []span
	processed int64
	failed    int64
	saved     int64 // bytes in successful results
	refused   int64 // bytes in failed results
	apiTime   time.Duration
	totalTime time.Duration
	lag       map[string]int // reads that see nothing yet, by what is read
}

// span is a batch: a stretch of the content. What is not done of it when the
// job ends was never processed.
type span struct {
	offset int64
	rows   int
	done   int
}

func (j *job) dialect() dialect {
	delimiter, _ := delimiterOf(j.spec.ColumnDelimiter)
	return dialect{delimiter: delimiter, crlf: j.spec.LineEnding == "CRLF"}
}

// The files of a job.
const (
	fileContent    = "content.csv"
	fileSuccessful = "successful.csv"
	fileFailed     = "failed.csv"
)

func (j *job) path(name string) string { return filepath.Join(j.dir, name) }

// remove deletes the files of a job.
func (j *job) remove() error { return os.RemoveAll(j.dir) }

// end puts a job into a final state; false if it was in one already. Called
// with the lock held.
func (j *job) end(s state, message string, at time.Time) bool {
	if j.state.ended() {
		return false
	}
	j.state, j.message, j.modified = s, message, at
	return true
}

// abort ends a job that is not over and waits until none of its batches runs
// any more.
func (j *job) abort(ctx context.Context, s state, message string, at time.Time) bool {
	j.mu.Lock()
	ended := j.end(s, message, at)
	cancel := j.cancel
	j.mu.Unlock()
	if !ended || cancel == nil {
		return ended
	}
	cancel()
	select {
	case <-j.finished:
	case <-ctx.Done():
	}
	return true
}

// jobs are the org's ingest jobs.
type jobs struct {
	mu   sync.Mutex
	next int64
	byID map[string]*job
	aged time.Time // when the jobs were last looked over
}

func newJobs() *jobs { return &jobs{byID: map[string]*job{}} }

// add gives a job its id and a folder, which is made when there is something
// to keep in it. One of the same name is from an earlier server.
func (js *jobs) add(j *job, dir string) error {
	js.mu.Lock()
	defer js.mu.Unlock()
	js.next++
	j.number, j.id = js.next, makeID("750", js.next)
	j.dir = filepath.Join(dir, j.id)
	if err := os.RemoveAll(j.dir); err != nil {
		return fmt.Errorf("job %s: %w", j.id, err)
	}
	js.byID[j.id] = j
	return nil
}

func (js *jobs) find(id string) (*job, bool) {
	id, ok := canonicalID(id)
	if !ok {
		return nil, false
	}
	js.mu.Lock()
	defer js.mu.Unlock()
	j, ok := js.byID[id]
	return j, ok
}

func (js *jobs) delete(j *job) error {
	js.mu.Lock()
	delete(js.byID, j.id)
	js.mu.Unlock()
	return j.remove()
}

// all lists the jobs in an order that is neither that of time nor of ids, but
// the same each time.
func (js *jobs) all() []*job {
	js.mu.Lock()
	defer js.mu.Unlock()
	list := make([]*job, 0, len(js.byID))
	for _, j := range js.byID {
		list = append(list, j)
	}
	scatter := func(j *job) uint64 { return uint64(j.number) * 0x9e3779b97f4a7c15 }
	slices.SortFunc(list, func(a, b *job) int { return cmp.Compare(scatter(a), scatter(b)) })
	return list
}

// due reports whether it is time to look for jobs that are too old.
func (js *jobs) due(now time.Time) bool {
	js.mu.Lock()
	defer js.mu.Unlock()
	if now.Sub(js.aged) < time.Second {
		return false
	}
	js.aged = now
	return true
}

// drop removes all jobs once nothing works on them.
func (js *jobs) drop() error {
	for _, j := range js.all() {
		j.mu.Lock()
		running := j.cancel != nil
		j.mu.Unlock()
		if running {
			j.cancel()
			<-j.finished
		}
		if err := js.delete(j); err != nil {
			return err
		}
	}
	return nil
}
