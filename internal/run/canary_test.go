package run_test

import (
	"errors"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

func TestCanaryGoesFirst(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 500)
	// A record of the canary fails for a passing reason, so that its outcome is known only with the chunk
	// that sends it again.
	b.fault(t, emulator.Fault{On: emulator.OnRow, Do: emulator.DoRowError, Field: "Legacy_Id__c", Keys: []string{"3"}, Times: 1})
	stuck := b.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick, Times: 1})
	go func() {
		until(t, func() bool { return b.struck(stuck.ID) > 0 })
		if jobs := b.server.State().Jobs; len(jobs) != 1 || jobs["InProgress"] != 1 {
			t.Errorf("beside the canary the org has jobs: %v", jobs)
		}
		b.server.Release()
	}()
	s, err := b.engine(t, accounts("insert", "    canary: 20\n    chunk: { rows: 100, parallel: 3 }\n")).Run(t.Context(), run.Options{})
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	b.mustHave(t, s)
	if s.Steps[0].Chunks != 7 {
		t.Errorf("%d chunks", s.Steps[0].Chunks)
	}
}

func TestCanaryThatFailsStopsTheStep(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		extra string
		fault emulator.Fault
		stops bool
	}{
		"no record may fail":            {"", emulator.Fault{On: emulator.OnRow, Do: emulator.DoRowError, Code: "INVALID", Field: "Legacy_Id__c", Keys: []string{"3"}}, true},
		"but as many as stop_when says": {"    stop_when: { failed: 10% }\n", emulator.Fault{On: emulator.OnRow, Do: emulator.DoRowError, Code: "INVALID", Field: "Legacy_Id__c", Keys: []string{"3"}}, false},
		"and not more":                  {"    stop_when: { failed: 10% }\n", emulator.Fault{On: emulator.OnRow, Do: emulator.DoRowError, Code: "INVALID", Field: "Legacy_Id__c", Keys: []string{"3", "4", "5"}}, true},
		"nor the whole job":             {"", emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobFail, Times: 1, Message: "InvalidBatch : Field name not found : X"}, true},
		"nor be lost":                   {"", emulator.Fault{Method: "GET", Path: "/jobs/ingest/", Do: emulator.DoStatus, Status: 404, Code: "NOT_FOUND", Times: 1}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{})
			b.people(t, 200)
			b.fault(t, tt.fault)
			engine := b.engine(t, accounts("insert", "    canary: 20\n    chunk: { rows: 50, parallel: 3 }\n"+tt.extra))
			s, err := engine.Run(t.Context(), run.Options{})
			if !tt.stops {
				b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
				return
			}
			if !errors.Is(err, run.ErrIncomplete) || len(b.server.State().Jobs) != 1 || b.count(t, "FROM Account") > 20 {
				t.Fatalf("got %v, run %+v, the org has %d", err, s.Run, b.count(t, "FROM Account"))
			}
			if name == "nor be lost" {
				if s.State != state.RunInconsistent {
					t.Errorf("the run is %s", s.State)
				}
				return
			}
			if s.State != state.RunStopped || !s.Unfinished || !strings.Contains(s.Error, "canary") && !strings.Contains(s.Error, "not found") {
				t.Errorf("run %+v", s.Run)
			}
			// Whoever resumes has looked at it.
			s, err = engine.Resume(t.Context(), s.ID)
			b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
		})
	}
}
