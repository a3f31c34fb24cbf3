package crashtest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/bulkv2"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// verify checks everything that must hold once a scenario has come to its end.
func (st *stage) verify(t *testing.T, w want) {
	t.Helper()
	runs := st.runs(t)
	last := runs[0]
	if last.State != w.state || last.Counts != w.counts {
		t.Errorf("the last run is %s (%s): %s\nwant %s: %s", last.State, last.Error, last.Counts, w.state, w.counts)
	}
	for _, r := range runs {
		st.verifyBooks(t, r)
	}
	for field, values := range w.org {
		if diff := cmp.Diff(sorted(values), st.org(t, field)); diff != "" {
			t.Errorf("%s in the org (-want +got):\n%s", field, diff)
		}
	}
	if diff := cmp.Diff(w.open, st.notLoaded(t)); diff != "" {
		t.Errorf("reconciliation (-want +got):\n%s", diff)
	}
	st.verifyChanges(t, w)
	st.verifySpool(t)
	st.verifyJobs(t)
}

// verifyChanges checks what the next run will take for sent.
func (st *stage) verifyChanges(t *testing.T, w want) {
	t.Helper()
	var kept int
	if err := st.kit.store.Pool().QueryRow(t.Context(), `SELECT count(hash) FROM etl.row_state`).Scan(&kept); err != nil || kept != w.kept {
		t.Errorf("%d rows are kept, want %d; %v", kept, w.kept, err)
	}
	marks, err := st.kit.store.Watermarks(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	for _, m := range marks {
		if got == nil {
			got = map[string]string{}
		}
		got[m.Step] = m.Value
	}
	if diff := cmp.Diff(w.marks, got); diff != "" {
		t.Errorf("watermarks (-want +got):\n%s", diff)
	}
}

// verifyBooks checks the sums of a run at all levels. A run that was killed before anything of it was
// recorded has failed and counts nothing.
func (st *stage) verifyBooks(t *testing.T, r state.Run) {
	t.Helper()
	if r.Unfinished || r.State == state.RunRunning {
		t.Errorf("run %d is left behind as %s", r.ID, r.State)
	}
	s, err := run.Summarize(t.Context(), st.kit.store, st.kit.config.Failures, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	var total state.Counts
	for _, step := range s.Steps {
		if !step.Balanced() {
			t.Errorf("run %d, step %s: %s", r.ID, step.Name, step.Counts)
		}
		total = total.Plus(step.Counts)
	}
	if total != r.Counts || !r.Balanced() {
		t.Errorf("run %d says %s; its steps say %s", r.ID, r.Counts, total)
	}
	chunks, err := st.kit.store.Chunks(t.Context(), r.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		if c.State != state.ChunkReconciled || !c.Balanced() {
			t.Errorf("run %d, %s chunk %d is %s: %s, and %d sent again", r.ID, c.Step, c.Seq, c.State, c.Counts, c.Requeued)
		}
	}
}

// org returns the values that a field has in the org, one for each record.
func (st *stage) org(tb testing.TB, field string) []string {
	tb.Helper()
	object, name, _ := strings.Cut(field, ".")
	values := []string{}
	for record, err := range st.kit.config.Org.Query(tb.Context(), "SELECT "+name+" FROM "+object) {
		if err != nil {
			tb.Fatal(err)
		}
		values = append(values, fmt.Sprint(record[name]))
	}
	return sorted(values)
}

func sorted(values []string) []string {
	values = slices.Clone(values)
	slices.Sort(values)
	return values
}

// notLoaded returns what is not resolved in the reconciliation table.
func (st *stage) notLoaded(tb testing.TB) map[string]string {
	tb.Helper()
	rows, err := st.kit.config.Failures.List(tb.Context(), reconcile.Filter{}, 0)
	if err != nil {
		tb.Fatal(err)
	}
	var found map[string]string
	for _, r := range rows {
		if r.Status == reconcile.StatusResolved {
			continue
		}
		name := r.Step + " without key"
		if r.SourceKey != nil {
			name = r.Step + " " + *r.SourceKey
		}
		text := fmt.Sprintf("%s %s %d", r.Kind, r.ErrorCode, r.Attempts)
		if r.Status != reconcile.StatusOpen {
			text += " " + string(r.Status)
		}
		if found[name] != "" {
			text += ", and " + found[name]
		}
		if found == nil {
			found = map[string]string{}
		}
		found[name] = text
	}
	return found
}

// verifySpool checks that nothing at all is left in the spool.
func (st *stage) verifySpool(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(st.Spool, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && path != st.Spool {
			t.Errorf("left in the spool: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// verifyJobs checks that every job of a chunk has ended. A job that was created and whose id was never
// recorded is Open for ever: it must be empty, and unknown to the tables, so that `etl jobs clean`
// finds it.
func (st *stage) verifyJobs(t *testing.T) {
	t.Helper()
	var ids, open []string
	for job, err := range st.kit.config.Bulk.Jobs(t.Context(), bulkv2.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, job.ID)
		if !job.Terminal() {
			open = append(open, job.ID)
		}
	}
	known, err := st.kit.store.KnownJobs(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if !known[id] && !slices.Contains(open, id) {
			t.Errorf("job %s has ended and belongs to no chunk", id)
		}
	}
	for _, id := range open {
		info, err := os.Stat(filepath.Join(st.jobs, id, "content.csv"))
		if known[id] || err == nil && info.Size() > 0 {
			t.Errorf("job %s is left open (known to a chunk: %v)", id, known[id])
		}
	}
}

func uploadedOf(st *stage, chunks []*state.Chunk) []*state.Chunk {
	return slices.DeleteFunc(slices.Clone(chunks), func(c *state.Chunk) bool {
		_, err := os.Stat(filepath.Join(st.jobs, c.JobID, "content.csv"))
		return err != nil
	})
}
