package emulator

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// FaultOn is what a fault strikes.
type FaultOn string

// A fault strikes requests unless it says otherwise.
const (
	OnRequest FaultOn = "request"
	OnRow     FaultOn = "row"
	OnJob     FaultOn = "job"
)

// FaultDo is what a fault does.
type FaultDo string

// What a fault can do to a request.
const (
	// DoStatus answers Status with Body, or what Salesforce answers with that
	// status; nothing is done.
	DoStatus FaultDo = "status"
	// DoCutBefore closes the connection without doing anything.
	DoCutBefore FaultDo = "cut-before"
	// DoCutAfter does what was asked and closes the connection unanswered.
	DoCutAfter FaultDo = "cut-after"
	// DoCutBody does it and closes the connection After bytes into the body.
	DoCutBody FaultDo = "cut-body"
	// DoTruncate does it and ends the answer properly After bytes into the
	// body; with After 0 the body is empty.
	DoTruncate FaultDo = "truncate"
	// DoHang does nothing until released, then goes on as if nothing had been.
	DoHang FaultDo = "hang"
)

// What a fault can do to rows.
const (
	// DoRowError refuses the row with Code, Message and Fields; without a Code
	// with UNABLE_TO_LOCK_ROW.
	DoRowError FaultDo = "row-error"
	// DoRowCascade refuses it, and with it the other rows of its chunk of 200
	// as a batch save with Apex triggers does that was retried too often.
	DoRowCascade FaultDo = "row-cascade"
)

// What a fault can do to jobs. All wait until Batches batches are done.
const (
	// DoJobFail ends the job Failed, with Message.
	DoJobFail FaultDo = "job-fail"
	// DoJobAbort ends it Aborted, as if by an administrator.
	DoJobAbort FaultDo = "job-abort"
	// DoJobStick leaves it InProgress until released.
	DoJobStick FaultDo = "job-stick"
	// DoLagResults lets the first After reads of each of its results after it
	// has ended see only the header.
	DoLagResults FaultDo = "lag-results"
	// DoLagCounters lets the first After reads of the job after it has ended
	// see the counters at zero.
	DoLagCounters FaultDo = "lag-counters"
)

// Fault is something that goes wrong. Faults are tried in the order they were
// added, and at most one strikes a request, a row or a job.
type Fault struct {
	ID string  `json:"id"`
	On FaultOn `json:"on"`
	Do FaultDo `json:"do"`

	// Times is how often it strikes, 0 without end; Skip how many matches it
	// lets pass first; Probability, if not 0, the chance that a match counts.
	Times       int     `json:"times,omitempty"`
	Skip        int     `json:"skip,omitempty"`
	Probability float64 `json:"probability,omitempty"`

	// Requests match by Method, and by Path as a part of their path and query,
	// letter case aside. Empty matches all.
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`

	Status     int               `json:"status,omitempty"`
	Body       string            `json:"body,omitempty"`
	RetryAfter int               `json:"retryAfter,omitempty"` // seconds
	Headers    map[string]string `json:"headers,omitempty"`
	After      int               `json:"after,omitempty"`

	// Rows and jobs match by Object and Operation. Rows further by the value
	// of the column Field being one of Keys, or by their place: every Every-th
	// of the job. Times counts rows.
	Object    string   `json:"object,omitempty"`
	Operation string   `json:"operation,omitempty"`
	Field     string   `json:"field,omitempty"`
	Keys      []string `json:"keys,omitempty"`
	Every     int      `json:"every,omitempty"`

	Code    string   `json:"code,omitempty"` // of a status or row error
	Message string   `json:"message,omitempty"`
	Fields  []string `json:"fields,omitempty"`
	Batches int      `json:"batches,omitempty"`

	// Struck is how often it has struck; set by the server.
	Struck int `json:"struck"`

	passed int
}

// validate also fills in what follows from the rest.
func (f *Fault) validate() error {
	if f.On == "" {
		f.On = OnRequest
	}
	doings, ok := map[FaultOn][]FaultDo{
		OnRequest: {DoStatus, DoCutBefore, DoCutAfter, DoCutBody, DoTruncate, DoHang},
		OnRow:     {DoRowError, DoRowCascade},
		OnJob:     {DoJobFail, DoJobAbort, DoJobStick, DoLagResults, DoLagCounters},
	}[f.On]
	switch {
	case !ok:
		return fmt.Errorf("fault: on %q: not one of request, row, job", f.On)
	case f.Do == "":
		f.Do = doings[0]
	case !slices.Contains(doings, f.Do):
		return fmt.Errorf("fault: on %q cannot do %q", f.On, f.Do)
	}
	if f.On == OnRequest && f.Do == DoStatus && (f.Status < 200 || f.Status > 599) {
		return fmt.Errorf("fault: status %d: not one from 200 to 599", f.Status)
	}
	if f.Probability < 0 || f.Probability > 1 {
		return fmt.Errorf("fault: probability %v: not one from 0 to 1", f.Probability)
	}
	return nil
}

// faultSet holds the faults in force.
type faultSet struct {
	mu       sync.Mutex
	list     []*Fault
	random   *rand.Rand
	seed     int64
	next     int
	released chan struct{} // closed to let go of what hangs
}

func newFaultSet(seed int64) *faultSet {
	return &faultSet{seed: seed, random: newRandom(seed, 1), released: make(chan struct{})}
}

// newRandom returns one of the independent sources of randomness of a seed.
func newRandom(seed int64, stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(seed), stream))
}

func (s *faultSet) add(f Fault) (Fault, error) {
	if err := f.validate(); err != nil {
		return Fault{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	if f.ID == "" {
		f.ID = "f" + strconv.Itoa(s.next)
	}
	f.Struck, f.passed = 0, 0
	s.list = append(s.list, &f)
	return f, nil
}

func (s *faultSet) all() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Fault, len(s.list))
	for i, f := range s.list {
		list[i] = *f
	}
	return list
}

// remove takes one fault out, or all when id is empty.
func (s *faultSet) remove(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.list)
	s.list = slices.DeleteFunc(s.list, func(f *Fault) bool { return id == "" || f.ID == id })
	return id == "" || len(s.list) < before
}

// release lets go of every hanging request and stuck job there is.
func (s *faultSet) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.released)
	s.released = make(chan struct{})
}

func (s *faultSet) gate() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.released
}

// strike returns the first fault that matches and is due.
func (s *faultSet) strike(matches func(*Fault) bool) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.list {
		if matches(f) && f.due(s.random) {
			return *f, true
		}
	}
	return Fault{}, false
}

// due counts a match, and tells whether the fault strikes this time.
func (f *Fault) due(random *rand.Rand) bool {
	if f.Times > 0 && f.Struck >= f.Times {
		return false
	}
	if f.Probability > 0 && random.Float64() >= f.Probability {
		return false
	}
	if f.passed < f.Skip {
		f.passed++
		return false
	}
	f.Struck++
	return true
}

func (s *faultSet) onRequest(r *http.Request) (Fault, bool) {
	return s.strike(func(f *Fault) bool {
		return f.On == OnRequest && (f.Method == "" || strings.EqualFold(f.Method, r.Method)) &&
			(f.Path == "" || strings.Contains(fold(r.URL.RequestURI()), fold(f.Path)))
	})
}

func (s *faultSet) onJob(j *job, done int, doings ...FaultDo) (Fault, bool) {
	return s.strike(func(f *Fault) bool {
		return f.On == OnJob && f.Batches <= done && slices.Contains(doings, f.Do) && !j.struck[f.ID] && f.concerns(j)
	})
}

// concerns reports whether a fault of rows or jobs is about a job.
func (f *Fault) concerns(j *job) bool {
	return (f.Object == "" || strings.EqualFold(f.Object, j.object.Name)) &&
		(f.Operation == "" || strings.EqualFold(f.Operation, string(j.spec.Operation)))
}

// onRows marks the rows of a chunk that faults strike.
func (s *faultSet) onRows(j *job, columns []column, chunk []record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.list {
		if f.On != OnRow || !f.concerns(j) {
			continue
		}
		at := slices.IndexFunc(columns, func(c column) bool { return strings.EqualFold(c.header, f.Field) })
		struck := false
		for i := range chunk {
			r := &chunk[i]
			if r.err == nil && f.hits(r, at) && f.due(s.random) {
				r.err = f.rowError()
				struck = true
			}
		}
		if struck && f.Do == DoRowCascade {
			cascade(chunk)
		}
	}
}

// hits reports whether a row is one that the fault is for. A fault that names
// no rows is for all.
func (f *Fault) hits(r *record, at int) bool {
	if len(f.Keys) > 0 {
		return at >= 0 && at < len(r.cells) && slices.Contains(f.Keys, r.cells[at])
	}
	return f.Every <= 1 || (r.number+1)%int64(f.Every) == 0
}

func (f *Fault) rowError() *rowError {
	e := &rowError{code: f.Code, message: f.Message, fields: f.Fields}
	if e.code == "" {
		e.code = "UNABLE_TO_LOCK_ROW"
	}
	if e.message == "" && e.code == "UNABLE_TO_LOCK_ROW" {
		e.message = "unable to obtain exclusive access to this record"
	}
	return e
}

// cascade lets one refused row take the good ones of its chunk along.
func cascade(chunk []record) {
	var first string
	for i := range chunk {
		if chunk[i].err != nil {
			first = chunk[i].err.code
			break
		}
	}
	for i := range chunk {
		if chunk[i].err == nil {
			chunk[i].err = &rowError{code: "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message: "Too many retries of batch save in the presence of Apex triggers with failures: " + first}
		}
	}
}
