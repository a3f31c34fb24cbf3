package run_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// TestVerifyAccountsForAJobThatIsGone loses a job that was aborted half way before its results were
// read: the run says which, and a verification finds what of it is in the org.
func TestVerifyAccountsForAJobThatIsGone(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]struct {
		path  string
		spool bool // the spool is lost too
	}{
		"job deleted":              {path: "/jobs/ingest/", spool: false},
		"job deleted, spool lost":  {path: "/jobs/ingest/", spool: true},
		"results expired":          {path: "failedResults", spool: false},
		"and nothing of the spool": {path: "failedResults", spool: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{BatchSize: 10})
			b.people(t, 100)
			b.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobAbort, Batches: 2, Times: 1})
			gone := b.fault(t, emulator.Fault{Method: "GET", Path: lost.path, Do: emulator.DoStatus, Status: 404, Code: "NOT_FOUND", Message: "gone"})
			engine := b.engine(t, accounts("upsert", "    chunk: { rows: 50, parallel: 1 }\n"))
			s, err := engine.Run(t.Context(), run.Options{})
			if !errors.Is(err, run.ErrIncomplete) || s.State != state.RunInconsistent || !strings.Contains(s.Error, "up to (50)") || !strings.Contains(s.Error, "750") {
				t.Fatalf("got %v, %+v", err, s)
			}
			until(t, func() bool { return b.server.State().Jobs["InProgress"]+b.server.State().Jobs["UploadComplete"] == 0 })
			if lost.spool {
				if err := os.RemoveAll(b.spoolDir); err != nil {
					t.Fatal(err)
				}
			}

			org := b.count(t, "FROM Account")
			var missing []string
			v, err := engine.Verify(t.Context(), s.ID, run.VerifyOptions{Missing: func(_ string, _ int, key, id string) {
				if key != id {
					t.Errorf("key %q, external id %q", key, id)
				}
				missing = append(missing, key)
			}})
			if err != nil || v.Present != org || v.Missing != s.Read-org-s.Rejected || int64(len(missing)) != v.Missing || v.Run != nil {
				t.Fatalf("got %+v, %v; the org has %d, missing %v", v, err, org, missing)
			}
			if again, err := b.store.Run(t.Context(), s.ID); err != nil || again.State != state.RunInconsistent || len(b.open(t)) != 0 {
				t.Errorf("verifying changed something: %+v, %v, open %+v", again, err, b.open(t))
			}

			v, err = engine.Verify(t.Context(), s.ID, run.VerifyOptions{Requeue: true})
			if err != nil || v.Run == nil || v.Run.State != state.RunCompletedWithFailures || v.Run.Unprocessed != v.Missing || v.Run.Loaded != org {
				t.Fatalf("got %+v, %v, run %+v", v, err, v.Run)
			}
			var keys []string
			for _, r := range b.open(t) {
				keys = append(keys, *r.SourceKey)
			}
			slices.Sort(keys)
			slices.Sort(missing)
			if !slices.Equal(keys, missing) {
				t.Errorf("open %v, missing %v", keys, missing)
			}
			b.server.RemoveFault(gone.ID)
			s, err = engine.Retry(t.Context(), run.RetryOptions{})
			b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
			if n := b.count(t, "FROM Account"); n != 100 || len(b.open(t)) != 0 {
				t.Errorf("the org has %d, open %+v", n, b.open(t))
			}
		})
	}
}

func TestVerifyCannotLookInsertsUp(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 10)
	b.fault(t, emulator.Fault{Method: "GET", Path: "/jobs/ingest/", Do: emulator.DoStatus, Status: 404, Code: "NOT_FOUND"})
	engine := b.engine(t, accounts("insert", ""))
	s, err := engine.Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) || s.State != state.RunInconsistent {
		t.Fatalf("got %v, %+v", err, s)
	}
	v, err := engine.Verify(t.Context(), s.ID, run.VerifyOptions{Requeue: true})
	if err != nil || len(v.Chunks) != 1 || !strings.Contains(v.Chunks[0].Unknown, "insert") || v.Run.State != state.RunInconsistent || v.Run.Error == "" {
		t.Errorf("got %+v, %v, run %+v", v, err, v.Run)
	}
}
