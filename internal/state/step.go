package state

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// StepState is the state of a step, as etl.steps.state holds it.
type StepState string

// The states of a step.
const (
	StepPending      StepState = "pending"
	StepRunning      StepState = "running"
	StepDone         StepState = "done"
	StepStopped      StepState = "stopped"
	StepFailed       StepState = "failed"
	StepInconsistent StepState = "inconsistent"
)

// Step is one row of etl.steps.
type Step struct {
	ID          int64      `json:"-"`
	RunID       int64      `json:"run_id"`
	Position    int        `json:"position"`
	Name        string     `json:"name"`
	Object      string     `json:"object"`
	Operation   string     `json:"operation"`
	State       StepState  `json:"state"`
	StartedAt   *time.Time `json:"started_at"`
	FinishedAt  *time.Time `json:"finished_at"`
	ExtractedAt *time.Time `json:"extracted_at"`
	Counts
	// Window is what the run reads by a watermark; nil: every row.
	Window *Window `json:"changes,omitempty"`
	Error  string  `json:"error,omitempty"`
}

const stepColumns = `id, run_id, position, name, object, operation, state, started_at, finished_at, extracted_at,
	rows_read, rows_loaded, rows_failed, rows_unprocessed, rows_rejected, rows_held, rows_unchanged, changes, coalesce(error, '')`

func scanStep(row pgx.CollectableRow) (Step, error) {
	var s Step
	err := row.Scan(&s.ID, &s.RunID, &s.Position, &s.Name, &s.Object, &s.Operation, &s.State,
		&s.StartedAt, &s.FinishedAt, &s.ExtractedAt,
		&s.Read, &s.Loaded, &s.Failed, &s.Unprocessed, &s.Rejected, &s.Held, &s.Unchanged, &s.Window, &s.Error)
	return s, err
}

// Steps lists a run's steps in the order in which they run.
func (s *Store) Steps(ctx context.Context, runID int64) (steps []Step, err error) {
	err = s.Patiently(ctx, func(ctx context.Context) error {
		steps, err = s.readSteps(ctx, runID)
		return err
	})
	return steps, err
}

func (s *Store) readSteps(ctx context.Context, runID int64) ([]Step, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+stepColumns+` FROM etl.steps WHERE run_id = $1 ORDER BY position`, runID)
	if err != nil {
		return nil, fmt.Errorf("list the steps of run %d: %w", runID, err)
	}
	steps, err := pgx.CollectRows(rows, scanStep)
	if err != nil {
		return nil, fmt.Errorf("list the steps of run %d: %w", runID, err)
	}
	return steps, nil
}
