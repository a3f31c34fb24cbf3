package emulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// State is what an org holds at a moment.
type State struct {
	Records  map[string]int64 `json:"records"`  // live ones per object
	Recycled map[string]int64 `json:"recycled"` // in the recycle bin
	Jobs     map[string]int   `json:"jobs"`     // by their state
	Calls    int64            `json:"calls"`    // API requests since the start
	Sessions int              `json:"sessions"`
	Limits   map[string]Limit `json:"limits"`
	Faults   []Fault          `json:"faults"`
	Traffic  Traffic          `json:"traffic"`
}

// State looks at the org.
func (s *Server) State() State {
	o := s.current()
	st := State{
		Records: map[string]int64{}, Recycled: map[string]int64{}, Jobs: map[string]int{},
		Calls: s.calls.Load(), Sessions: o.sessions.count(), Limits: o.limits.all(), Faults: s.faults.all(),
		Traffic: s.traffic.seen(),
	}
	for _, j := range o.jobs.all() {
		j.mu.Lock()
		st.Jobs[string(j.state)]++
		j.mu.Unlock()
	}
	o.store.mu.RLock()
	defer o.store.mu.RUnlock()
	for _, t := range o.store.tables {
		st.Records[t.object.Name] = t.live
		if t.recycled > 0 {
			st.Recycled[t.object.Name] = t.recycled
		}
	}
	return st
}

// serveControl answers the endpoints under /emulator/.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request, path string) {
	answer, err := s.control(r, r.Method+" "+strings.Trim(path, "/"))
	if err != nil {
		answerJSON(w, r, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	answerJSON(w, r, http.StatusOK, answer)
}

// done is the answer of what has nothing to say.
type done struct {
	OK bool `json:"ok"`
}

func (s *Server) control(r *http.Request, what string) (any, error) {
	switch what {
	case "GET state":
		return s.State(), nil
	case "POST reset":
		return done{true}, s.Reset()
	case "POST tokens/expire":
		s.ExpireTokens()
		return done{true}, nil
	case "POST release":
		s.Release()
		return done{true}, nil
	case "GET faults":
		return s.Faults(), nil
	case "POST faults":
		return s.addFaults(r)
	case "DELETE faults":
		s.RemoveFault("")
		return done{true}, nil
	case "POST clock/advance":
		return s.advance(r)
	case "POST limits":
		return s.setLimits(r)
	}
	return s.controlOne(r, what)
}

// controlOne is about one fault, job or object.
func (s *Server) controlOne(r *http.Request, what string) (any, error) {
	method, path, _ := strings.Cut(what, " ")
	parts := strings.Split(path, "/")
	switch {
	case method == http.MethodDelete && len(parts) == 2 && parts[0] == "faults":
		if !s.RemoveFault(parts[1]) {
			return nil, fmt.Errorf("fault %q: there is none", parts[1])
		}
		return done{true}, nil
	case method == http.MethodDelete && len(parts) == 2 && parts[0] == "records":
		return done{true}, s.current().store.empty(parts[1])
	case method == http.MethodPost && len(parts) == 2 && parts[0] == "schema":
		return s.alter(r, parts[1])
	case method == http.MethodPost && len(parts) == 3 && parts[0] == "jobs":
		return s.endJob(r, parts[1], parts[2])
	}
	return nil, fmt.Errorf("%s /emulator/%s: no such endpoint", method, path)
}

func (s *Server) addFaults(r *http.Request) (any, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var faults []Fault
	if text := strings.TrimSpace(string(raw)); !strings.HasPrefix(text, "[") {
		raw = []byte("[" + text + "]")
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&faults); err != nil {
		return nil, err
	}
	for i, f := range faults {
		if faults[i], err = s.AddFault(f); err != nil {
			return nil, err
		}
	}
	return faults, nil
}

func (s *Server) advance(r *http.Request) (any, error) {
	var body struct {
		By string `json:"by"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, err
	}
	by, err := time.ParseDuration(body.By)
	if err != nil {
		return nil, err
	}
	s.Advance(by)
	return map[string]string{"now": s.clock.Now().UTC().Format(time.RFC3339)}, nil
}

func (s *Server) setLimits(r *http.Request) (any, error) {
	var limits map[string]Limit
	if err := json.NewDecoder(r.Body).Decode(&limits); err != nil {
		return nil, err
	}
	for name, l := range limits {
		if err := s.SetLimit(name, l); err != nil {
			return nil, err
		}
	}
	return s.current().limits.all(), nil
}

// SetLimit changes one of the org's allowances, by its name in /limits.
func (s *Server) SetLimit(name string, l Limit) error { return s.current().limits.set(name, l) }

// endJob ends a job from outside.
func (s *Server) endJob(r *http.Request, id, how string) (any, error) {
	j, ok := s.current().jobs.find(id)
	if !ok {
		return nil, fmt.Errorf("job %q: there is none", id)
	}
	body := struct {
		Message string `json:"message"`
	}{"InternalServerError : ended by the emulator"}
	if raw, err := io.ReadAll(r.Body); err != nil {
		return nil, err
	} else if len(raw) > 0 {
		if err := json.Unmarshal(raw, &body); err != nil {
			return nil, err
		}
	}
	ended := false
	switch how {
	case "abort":
		ended = j.abort(r.Context(), stateAborted, "", s.clock.Now())
	case "fail":
		ended = j.abort(r.Context(), stateFailed, body.Message, s.clock.Now())
	default:
		return nil, fmt.Errorf("job %q: cannot %q it", id, how)
	}
	if !ended {
		return nil, fmt.Errorf("job %q: is over already", id)
	}
	return j.full(), nil
}

// empty takes all records of an object away for good. Their ids stay taken.
func (s *store) empty(object string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tables[fold(object)]
	if !ok {
		return fmt.Errorf("object %q: there is none", object)
	}
	if t.object.Name == "User" {
		return fmt.Errorf("object %q: holds who can log in", object)
	}
	for i := range t.rows {
		t.rows[i] = row{state: rowGone}
	}
	s.records -= t.live
	t.live, t.recycled = 0, 0
	t.indexes = newTable(t.object).indexes
	return nil
}
