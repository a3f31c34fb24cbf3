package profile

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Track is a line of the trace: one chunk with its stages, one after the other.
type Track struct {
	Name   string
	Stages []Stage
}

// Stage is what the chunk did, or waited for, between two moments of this process's clock.
type Stage struct {
	Name, For string
	From, To  time.Time
}

// Request is a request to the org that has just ended.
type Request struct {
	Op             string // what it was for, such as "upload"
	JobID          string // empty: of none
	Attempt        int
	Status         int // of the answer; 0: none came
	Took           time.Duration
	Sent, Received int64 // bytes
}

// The processes, as the trace's format calls the groups of its lines.
const (
	stagesGroup   = 1
	requestsGroup = 2
)

// event is one entry of the Trace Event Format, whose viewers take a list of them that breaks off, too.
type event struct {
	Name  string         `json:"name"`
	Cat   string         `json:"cat,omitempty"`
	Phase string         `json:"ph"`
	At    int64          `json:"ts"`            // in µs
	Took  int64          `json:"dur,omitempty"` // in µs
	Group int            `json:"pid"`
	Line  int            `json:"tid"`
	ID    string         `json:"id,omitempty"`
	Args  map[string]any `json:"args,omitempty"`
}

// trace writes events as they come, so that it needs no memory for them. It is safe for concurrent use.
type trace struct {
	mu       sync.Mutex
	out      *bufio.Writer
	err      error // the first
	begun    bool
	ended    bool
	requests int
}

func newTrace(w io.Writer) *trace {
	t := &trace{out: bufio.NewWriter(w)}
	t.nameGroup(stagesGroup, "chunks: what each waits for")
	t.nameGroup(requestsGroup, "requests to the org")
	return t
}

func (t *trace) nameGroup(group int, name string) {
	t.add(event{Name: "process_name", Phase: "M", Group: group, Args: map[string]any{"name": name}})
}

// Request notes a request. After Stop it does nothing.
func (p *Profile) Request(r Request) {
	end := time.Now()
	p.trace.mu.Lock()
	defer p.trace.mu.Unlock()
	p.trace.requests++
	line := r.JobID // whose requests follow each other
	if line == "" {
		line = fmt.Sprint(p.trace.requests)
	}
	begin := event{
		Name: r.Op, Cat: "request", Phase: "b", At: end.Add(-r.Took).UnixMicro(), Group: requestsGroup, ID: line,
		Args: map[string]any{"job_id": r.JobID, "attempt": r.Attempt, "status": r.Status, "bytes_sent": r.Sent, "bytes_received": r.Received},
	}
	finish := begin
	finish.Phase, finish.At, finish.Args = "e", end.UnixMicro(), nil
	p.trace.put(begin)
	p.trace.put(finish)
}

// track writes what of a track lies after the time at which the profile began.
func (t *trace) track(line int, track Track, began time.Time) {
	named := false
	for _, s := range track.Stages {
		if s.From.Before(began) {
			s.From = began
		}
		took := s.To.Sub(s.From).Microseconds()
		if took <= 0 {
			continue
		}
		if !named {
			t.add(event{Name: "thread_name", Phase: "M", Group: stagesGroup, Line: line, Args: map[string]any{"name": track.Name}})
			named = true
		}
		t.add(event{
			Name: s.Name, Cat: s.For, Phase: "X", At: s.From.UnixMicro(), Took: took, Group: stagesGroup, Line: line,
			Args: map[string]any{"waits_for": s.For},
		})
	}
}

func (t *trace) add(e event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(e)
}

// put writes an event; the caller holds mu.
func (t *trace) put(e event) {
	if t.ended || t.err != nil {
		return
	}
	text, err := json.Marshal(e)
	separator := ",\n"
	if !t.begun {
		t.begun, separator = true, "[\n"
	}
	if err == nil {
		_, err = t.out.WriteString(separator)
	}
	if err == nil {
		_, err = t.out.Write(text)
	}
	t.err = err
}

// end completes the list; what comes later is dropped.
func (t *trace) end() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	_, err := t.out.WriteString("\n]\n")
	return errors.Join(t.err, err, t.out.Flush())
}
