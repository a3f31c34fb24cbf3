package state_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/pgtest"
	"bulkhead/internal/state"
)

// saw makes a run to which the objects looked like this, ended in a state.
func saw(t *testing.T, store *state.Store, end state.RunState, bodies ...string) int64 {
	t.Helper()
	begin := newRun(false)
	begin.OrgID = "00D1"
	for i, body := range bodies {
		begin.Describes = append(begin.Describes, state.Describe{Object: fmt.Sprintf("Object%d", i+1), Body: []byte(`{"is": "` + body + `"}`)})
	}
	lease, err := store.Start(t.Context(), begin)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release(t.Context())
	if err := lease.FinishRun(t.Context(), end, "", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Pool().Exec(t.Context(), `UPDATE etl.runs SET rows_loaded = 1 WHERE id = $1`, lease.RunID()); err != nil {
		t.Fatal(err)
	}
	return lease.RunID()
}

// told is describes as text, one a line.
func told(t *testing.T) func([]state.Describe, error) string {
	return func(list []state.Describe, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, d := range list {
			fmt.Fprintf(&b, "%d %s %s\n", d.RunID, d.Object, d.Body)
		}
		return b.String()
	}
}

// TestDescribes follows what two objects looked like from run to run.
func TestDescribes(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	store := openStore(t, dsn)
	text := told(t)
	first := saw(t, store, state.RunSucceeded, "a", "b")
	same := saw(t, store, state.RunCompletedWithFailures, "a", "b")
	one := saw(t, store, state.RunSucceeded, "c")
	failed := saw(t, store, state.RunFailed, "d", "d")
	last := saw(t, store, state.RunSucceeded, "c", "e")
	useless := saw(t, store, state.RunCompletedWithFailures, "f", "f")
	pgtest.Exec(t, dsn, fmt.Sprintf(`UPDATE etl.runs SET rows_loaded = 0 WHERE id = %d`, useless))
	for _, tc := range []struct{ name, got, want string }{
		{"the last of each", text(store.LastDescribes(t.Context(), "crm", "00D1")), fmt.Sprintf("%d Object1 {\"is\": \"c\"}\n%d Object2 {\"is\": \"e\"}\n", last, last)},
		{"of another org", text(store.LastDescribes(t.Context(), "crm", "00D2")), ""},
		{"of another pipeline", text(store.LastDescribes(t.Context(), "erp", "00D1")), ""},
		{"of one run", text(store.Describes(t.Context(), failed)), fmt.Sprintf("%d Object1 {\"is\": \"d\"}\n%d Object2 {\"is\": \"d\"}\n", failed, failed)},
		{"before the first", text(store.DescribesBefore(t.Context(), first)), ""},
		{"before one that saw the same", text(store.DescribesBefore(t.Context(), same)), ""},
		{"before a change", text(store.DescribesBefore(t.Context(), one)), fmt.Sprintf("%d Object1 {\"is\": \"a\"}\n", same)},
		{"before one that saw two runs' objects", text(store.DescribesBefore(t.Context(), last)), fmt.Sprintf("%d Object2 {\"is\": \"b\"}\n", same)},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
}

// TestDescribesDoNotGrow has many nights in the same org, and old ones forgotten.
func TestDescribesDoNotGrow(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	store := openStore(t, dsn)
	saw(t, store, state.RunSucceeded, "old")
	pgtest.Exec(t, dsn, `UPDATE etl.describes SET used_at = now() - interval '2 days'`)
	for range 95 {
		saw(t, store, state.RunSucceeded, "a")
	}
	var bodies, runs int
	if err := store.Pool().QueryRow(t.Context(), `SELECT (SELECT count(*) FROM etl.describes), (SELECT count(*) FROM etl.run_describes)`).Scan(&bodies, &runs); err != nil {
		t.Fatal(err)
	}
	if bodies != 1 || runs != 91 {
		t.Errorf("%d describes for %d runs, want 1 for the last 90 and the one that started last", bodies, runs)
	}
}
