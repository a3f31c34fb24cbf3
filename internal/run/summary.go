package run

import (
	"context"

	"bulkhead/internal/drift"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/state"
)

// Summary is a run, how it ended, and what did not load.
type Summary struct {
	state.Run
	Steps []StepSummary `json:"steps"`
	// Errors groups the records that this run left in the reconciliation table.
	Errors []reconcile.Group `json:"errors"`
	// Drift is what had changed in the org, since the run before, when this one started.
	Drift []drift.Change `json:"drift"`
	// Open is how many of the pipeline's records are open in the reconciliation table, of all runs.
	Open int64 `json:"open_records"`
}

// StepSummary is a step with what it took.
type StepSummary struct {
	state.Step
	Chunks   int   `json:"chunks"`
	Jobs     int   `json:"jobs"`
	Batches  int64 `json:"bulk_batches"`
	Resolved int64 `json:"resolved_records"`
}

// batchRows is how many records Salesforce makes one internal batch of (Bulk API 2.0 guide, "How
// Requests Are Processed").
const batchRows = 10_000

// Summarize reads a run's record.
func Summarize(ctx context.Context, store *state.Store, failures *reconcile.Store, runID int64) (*Summary, error) {
	run, err := store.Run(ctx, runID)
	if err != nil {
		return nil, err
	}
	steps, err := store.Steps(ctx, runID)
	if err != nil {
		return nil, err
	}
	chunks, err := store.Chunks(ctx, runID, "")
	if err != nil {
		return nil, err
	}
	resolved, err := failures.ResolvedBy(ctx, runID)
	if err != nil {
		return nil, err
	}
	summary := &Summary{Run: run, Steps: make([]StepSummary, len(steps))}
	index := map[int64]*StepSummary{}
	for i, step := range steps {
		summary.Steps[i] = StepSummary{Step: step, Resolved: resolved[step.Name]}
		index[step.ID] = &summary.Steps[i]
	}
	for _, c := range chunks {
		step := index[c.StepID]
		step.Chunks++
		if c.JobID != "" {
			step.Jobs += 1 + len(c.Replaced)
			step.Batches += ceilDiv(c.RowsSent, batchRows)
		}
	}
	unresolved := []reconcile.Status{reconcile.StatusOpen, reconcile.StatusRetrying, reconcile.StatusIgnored}
	if summary.Errors, err = failures.Groups(ctx, reconcile.Filter{RunID: runID, Statuses: unresolved}); err != nil {
		return nil, err
	}
	if summary.Drift, err = driftOf(ctx, store, runID); err != nil {
		return nil, err
	}
	summary.Open, err = failures.Count(ctx, reconcile.Filter{Pipeline: run.Pipeline, Statuses: []reconcile.Status{reconcile.StatusOpen}})
	return summary, err
}
