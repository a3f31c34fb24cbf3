package crashtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bulkhead/internal/emulator"
	"bulkhead/internal/pgtest"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// modelChecks is how many histories are played unless -rapid.checks says otherwise; each takes some
// seconds.
const modelChecks = "5"

// TestEveryRecordIsWhereTheModelHasIt plays random histories: rows come, go, get worse and get better,
// the org refuses some, requests break off, counters lag, runs are interrupted at random points and
// resumed, failures are retried or ignored. After each run the model's count of every record is that of
// the org, and its reason the one in the table.
func TestEveryRecordIsWhereTheModelHasIt(t *testing.T) {
	t.Parallel()
	if given := flag.Lookup("rapid.checks"); given.Value.String() == given.DefValue {
		if err := given.Value.Set(modelChecks); err != nil {
			t.Fatal(err)
		}
	}
	st := build(t, emulator.Config{BatchSize: 5})
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(t, rt, st)
		defer func() { m.stage.kit.store.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"add rows": m.addRows, "lose a row": m.loseRow, "spoil or mend a row": m.turnRow, "block records": m.block,
			"lock records": m.lock, "break a request": m.breakRequest, "disturb a job": m.disturbJob, "ignore": m.ignore,
			"run": m.run, "run again": m.run, "run once more": m.run,
			"retry by key": m.retryKeys, "retry by key again": m.retryKeys, "retry the payloads": m.retryPayloads,
			"": m.check,
		})
	})
}

// row is what the model knows of one record.
type row struct {
	there  bool // in the source
	bad    bool // so that it is rejected
	inOrg  int
	reason string // why it is not loaded, as the table has it; empty: it has no row there
	ignore bool
}

// model is what must be so, and the stage where it must.
type model struct {
	t         *testing.T
	stage     *stage
	operation string
	rows      map[int]*row
	blocked   []int
	fault     string // id of the fault that blocks
}

const (
	rejectedText = "rejected NULL_MARKER_TEXT"
	blockedCode  = "FIELD_CUSTOM_VALIDATION_EXCEPTION"
	blockedText  = "failed " + blockedCode
)

func newModel(t *testing.T, rt *rapid.T, st *stage) *model {
	m := &model{t: t, stage: st, operation: rapid.SampledFrom([]string{"insert", "upsert"}).Draw(rt, "operation"), rows: map[int]*row{}}
	external, field := "", "Subject"
	if m.operation == "upsert" {
		external, field = "\n    external_id: Legacy_Id__c", "Legacy_Id__c"
	}
	st.text = fmt.Sprintf(`name: model
steps:
  - name: tasks
    object: Task
    operation: %s%s
    query: SELECT id, about FROM tasks
    key: id
    fields:
      %s: id
      Description: about
    chunk: { rows: %d, parallel: %d }
`, m.operation, external, field, rapid.IntRange(1, 8).Draw(rt, "chunk"), rapid.IntRange(1, 4).Draw(rt, "parallel"))
	if err := st.server.Reset(); err != nil {
		rt.Fatal(err)
	}
	pgtest.Exec(t, st.DSN, empty+`CREATE TABLE tasks (id int PRIMARY KEY, about text)`)
	st.kit = nil
	st.reopen(t)
	m.addRows(rt)
	m.block(rt)
	return m
}

func (m *model) field() string {
	if m.operation == "upsert" {
		return "Legacy_Id__c"
	}
	return "Subject"
}

func (m *model) addRows(rt *rapid.T) {
	first, n := len(m.rows)+1, rapid.IntRange(5, 30).Draw(rt, "rows")
	for i := first; i < first+n; i++ {
		m.rows[i] = &row{there: true}
	}
	pgtest.Exec(m.t, m.stage.DSN, fmt.Sprintf(`INSERT INTO tasks SELECT i, 'about ' || i FROM generate_series(%d, %d) AS i`, first, first+n-1))
}

// draw picks a row of the source; nil when there is none.
func (m *model) draw(rt *rapid.T) (int, *row) {
	var ids []int
	for _, id := range slices.Sorted(maps.Keys(m.rows)) {
		if m.rows[id].there {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		rt.Skip("no rows")
	}
	id := rapid.SampledFrom(ids).Draw(rt, "row")
	return id, m.rows[id]
}

func (m *model) loseRow(rt *rapid.T) {
	id, r := m.draw(rt)
	r.there = false
	pgtest.Exec(m.t, m.stage.DSN, fmt.Sprintf(`DELETE FROM tasks WHERE id = %d`, id))
}

func (m *model) turnRow(rt *rapid.T) {
	id, r := m.draw(rt)
	r.bad = !r.bad
	about := fmt.Sprint("about ", id)
	if r.bad {
		about = "#N/A"
	}
	pgtest.Exec(m.t, m.stage.DSN, fmt.Sprintf(`UPDATE tasks SET about = '%s' WHERE id = %d`, about, id))
}

// block lets the org refuse some records until it blocks others.
func (m *model) block(rt *rapid.T) {
	m.stage.server.RemoveFault(m.fault)
	m.blocked = rapid.SliceOfNDistinct(rapid.IntRange(1, len(m.rows)+1), 0, 8, rapid.ID[int]).Draw(rt, "blocked")
	if m.fault == "" && len(m.blocked) == 0 {
		return
	}
	m.fault = "blocks"
	m.addFault(rt, emulator.Fault{ID: m.fault, On: emulator.OnRow, Field: m.field(), Keys: append(keys(m.blocked), "none"), Code: blockedCode, Message: "no"})
}

func keys(ids []int) []string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = fmt.Sprint(id)
	}
	return texts
}

// lock lets records fail for a while, which the run itself outlasts.
func (m *model) lock(rt *rapid.T) {
	id, _ := m.draw(rt)
	m.addFault(rt, emulator.Fault{On: emulator.OnRow, Field: m.field(), Keys: keys([]int{id}), Times: 1})
}

func (m *model) breakRequest(rt *rapid.T) {
	m.addFault(rt, emulator.Fault{
		Method: rapid.SampledFrom([]string{"POST", "PUT", "PATCH", "GET"}).Draw(rt, "method"), Path: "/jobs/ingest",
		Do:   rapid.SampledFrom([]emulator.FaultDo{emulator.DoCutBefore, emulator.DoCutAfter, emulator.DoCutBody, emulator.DoTruncate}).Draw(rt, "how"),
		Skip: rapid.IntRange(0, 12).Draw(rt, "after requests"), Times: rapid.IntRange(1, 2).Draw(rt, "times"), After: rapid.IntRange(0, 100).Draw(rt, "after bytes"),
	})
}

func (m *model) disturbJob(rt *rapid.T) {
	m.addFault(rt, emulator.Fault{
		On: emulator.OnJob, Do: rapid.SampledFrom([]emulator.FaultDo{emulator.DoJobFail, emulator.DoLagCounters, emulator.DoLagResults}).Draw(rt, "how"),
		Batches: rapid.IntRange(0, 1).Draw(rt, "after batches"), Skip: rapid.IntRange(0, 3).Draw(rt, "after jobs"), Times: 1, After: 1,
		Message: "ServerUnavailable : try later",
	})
}

func (m *model) addFault(rt *rapid.T, f emulator.Fault) {
	if _, err := m.stage.server.AddFault(f); err != nil {
		rt.Fatal(err)
	}
}

func (m *model) ignore(rt *rapid.T) {
	id, r := m.draw(rt)
	if r.reason != "" {
		r.ignore = true
	}
	if _, err := m.stage.kit.config.Failures.Ignore(m.t.Context(), reconcile.Filter{Key: fmt.Sprint(id)}); err != nil {
		rt.Fatal(err)
	}
}

// run loads everything that is in the source.
func (m *model) run(rt *rapid.T) {
	m.play(rt, func(ctx context.Context, e *run.Engine) (*run.Summary, error) { return e.Run(ctx, run.Options{}) })
	for id, r := range m.rows {
		if r.there {
			m.send(id, r, r.bad)
		}
	}
}

// send is what becomes of a record that is sent.
func (m *model) send(id int, r *row, bad bool) {
	switch {
	case bad:
		r.reason = rejectedText
	case slices.Contains(m.blocked, id):
		r.reason = blockedText
	default:
		r.reason, r.ignore = "", false
		r.inOrg++
		if m.operation == "upsert" {
			r.inOrg = 1
		}
	}
}

func (m *model) retryKeys(rt *rapid.T) {
	m.retry(rt, run.RetryOptions{}, func(id int, r *row) {
		if r.there {
			m.send(id, r, r.bad)
		}
	})
}

// retryPayloads sends again what the org refused; what was rejected here is no different for being sent
// again as it is.
func (m *model) retryPayloads(rt *rapid.T) {
	retry := run.RetryOptions{FromPayload: true, Filter: reconcile.Filter{Code: blockedCode}}
	m.retry(rt, retry, func(id int, r *row) {
		if r.reason == blockedText {
			m.send(id, r, false)
		}
	})
}

func (m *model) retry(rt *rapid.T, options run.RetryOptions, each func(id int, r *row)) {
	open := map[int]*row{}
	for id, r := range m.rows {
		if r.reason != "" && !r.ignore {
			open[id] = r
		}
	}
	m.play(rt, func(ctx context.Context, e *run.Engine) (*run.Summary, error) {
		s, err := e.Retry(ctx, options)
		if errors.Is(err, run.ErrNothingToRetry) {
			err = nil
		}
		return s, err
	})
	for id, r := range open {
		each(id, r)
	}
}

// play does a deed, interrupts it where that was drawn, and resumes it until it has come to its end.
func (m *model) play(rt *rapid.T, do func(context.Context, *run.Engine) (*run.Summary, error)) {
	pipe, err := pipeline.Parse("model.yaml", []byte(m.stage.text))
	if err != nil {
		rt.Fatal(err)
	}
	ctx, cut := m.interruption(rt)
	m.stage.kit.config.Probe = cut
	m.stage.kit.store.SetProbe(cut)
	_, err = do(ctx, run.New(pipe, m.stage.kit.config))
	m.stage.kit.config.Probe = nil
	m.stage.reopen(m.t)
	for range 20 {
		unfinished, listErr := m.stage.kit.store.Runs(m.t.Context(), state.RunFilter{Unfinished: true})
		if listErr != nil {
			rt.Fatal(listErr)
		}
		switch {
		case len(unfinished) > 0:
			_, err = m.stage.kit.resume(m.t.Context())
		case err != nil:
			_, err = do(m.t.Context(), run.New(pipe, m.stage.kit.config))
		default:
			return
		}
	}
	rt.Fatalf("the run cannot be brought to an end: %v", err)
}

// interruption is, now and then, a context that ends at some point of the run.
func (m *model) interruption(rt *rapid.T) (context.Context, func(string)) {
	left := rapid.IntRange(-100, 200).Draw(rt, "interrupted at point")
	if left <= 0 {
		return m.t.Context(), nil
	}
	ctx, cancel := context.WithCancelCause(m.t.Context())
	var mu sync.Mutex
	return ctx, func(string) {
		mu.Lock()
		defer mu.Unlock()
		if left--; left == 0 {
			cancel(errors.New("interrupted by the model"))
		}
	}
}

// check compares the model with the org and the tables.
func (m *model) check(rt *rapid.T) {
	org, open := []string{}, map[string]string{}
	for id, r := range m.rows {
		for range r.inOrg {
			org = append(org, fmt.Sprint(id))
		}
		if r.reason != "" {
			open[fmt.Sprint("tasks ", id)] = fmt.Sprint(r.reason, " ignored: ", r.ignore)
		}
	}
	if diff := cmp.Diff(sorted(org), m.stage.org(m.t, "Task."+m.field())); diff != "" {
		rt.Fatalf("the org (-model +org):\n%s", diff)
	}
	found := map[string]string{}
	rows, err := m.stage.kit.config.Failures.List(m.t.Context(), reconcile.Filter{}, 0)
	if err != nil {
		rt.Fatal(err)
	}
	for _, r := range rows {
		if r.Status == reconcile.StatusResolved {
			continue
		}
		if r.SourceKey == nil || r.Status == reconcile.StatusRetrying {
			rt.Fatalf("row %+v", r)
		}
		found["tasks "+*r.SourceKey] = fmt.Sprint(r.Kind, " ", r.ErrorCode, " ignored: ", r.Status == reconcile.StatusIgnored)
	}
	if diff := cmp.Diff(open, found); diff != "" {
		rt.Fatalf("the reconciliation table (-model +table):\n%s", diff)
	}
	for _, r := range m.stage.runs(m.t) {
		if r.State != state.RunFailed && !r.Balanced() || r.Unfinished {
			rt.Fatalf("run %d is %s: %s", r.ID, r.State, r.Counts)
		}
	}
	m.stage.verifySpool(m.t)
}
