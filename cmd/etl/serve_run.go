package main

import (
	"context"
	"fmt"

	"bulkhead/internal/run"
	"bulkhead/internal/schedule"
	"bulkhead/internal/state"
)

// scheduledRunner does what "etl run" and "etl resume" do, for a schedule: files and settings are read
// anew each time.
type scheduledRunner struct{ app *app }

// Start runs a pipeline.
func (r *scheduledRunner) Start(ctx context.Context, name string, claim state.Claim) (schedule.Outcome, error) {
	p, err := r.app.openProject()
	if err != nil {
		return outcome(ctx, nil, err)
	}
	file, err := findPipeline(p, name)
	if err != nil {
		return outcome(ctx, nil, err)
	}
	s, err := r.app.openLoad(ctx, file, "", 0)
	if err != nil {
		return outcome(ctx, nil, err)
	}
	defer s.close()
	summary, err := s.engine.Run(ctx, run.Options{Trigger: state.TriggerSchedule, Claim: &claim})
	return outcome(ctx, summary, err)
}

// Resume finishes a run.
func (r *scheduledRunner) Resume(ctx context.Context, id int64) (schedule.Outcome, error) {
	s, _, err := r.app.openResume(ctx, func(store *state.Store) (state.Run, error) { return store.Run(ctx, id) })
	if err != nil {
		return outcome(ctx, nil, err)
	}
	defer s.close()
	summary, err := s.engine.Resume(ctx, id)
	return outcome(ctx, summary, err)
}

// outcome says what the schedule has to know of a run. A run that was recorded has an outcome, however
// it ended.
func outcome(ctx context.Context, s *run.Summary, err error) (schedule.Outcome, error) {
	if s != nil {
		return schedule.Outcome{Run: s.ID, State: s.State, Read: s.Read, NotLoaded: s.NotLoaded(), Unfinished: s.Unfinished, Error: s.Error}, nil
	}
	if code := exitCode(ctx, err); code == exitUsage || code == exitRefused {
		err = fmt.Errorf("%w: %w", schedule.ErrRefused, err)
	}
	return schedule.Outcome{}, err
}
