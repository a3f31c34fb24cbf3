package run_test

import (
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// TestTheTimeOfAStepEndsWithIt: whoever reads the progress late reads how long the step took.
func TestTheTimeOfAStepEndsWithIt(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 3)
	engine := b.engine(t, accounts("insert", ""))
	s, err := engine.Run(t.Context(), run.Options{})
	mustComplete(t, s, err, state.RunSucceeded)
	first, later := engine.Progress().Steps()[0], engine.Progress().Steps()[0]
	if first.Elapsed <= 0 || later.Elapsed != first.Elapsed || !first.Finished {
		t.Errorf("the step took %v, and later %v", first.Elapsed, later.Elapsed)
	}
}
