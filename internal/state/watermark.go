package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Watermark is one row of etl.watermarks: how far a step has read the column that says what changed.
type Watermark struct {
	Pipeline string `json:"pipeline"`
	Step     string `json:"step"`
	Column   string `json:"column"`
	Type     string `json:"type"`
	// Value is where the next run begins to read, as text of Type.
	Value string `json:"value"`
	OrgID string `json:"org_id"`
	// Definition is a fingerprint of the query and the mapping that the rows were sent with; empty where
	// somebody set the watermark.
	Definition string    `json:"-"`
	RunID      *int64    `json:"run_id"` // nil where somebody set it
	UpdatedAt  time.Time `json:"updated_at"`
}

// Window is what a run reads of a step that sends only what changed, as etl.steps.changes holds it.
type Window struct {
	Column     string  `json:"column"`
	Type       string  `json:"type"`
	Low        *string `json:"low"`  // included; nil: from the beginning
	High       string  `json:"high"` // not included
	OrgID      string  `json:"org_id,omitempty"`
	Definition string  `json:"definition,omitempty"`
	// Moves is whether the watermark is at High once the step is done.
	Moves bool `json:"moves"`
}

// Watermarks lists the watermarks of a pipeline, or of all where it is empty.
func (s *Store) Watermarks(ctx context.Context, pipeline string) ([]Watermark, error) {
	const query = `SELECT pipeline, step, column_name, column_type, value, org_id, definition, run_id, updated_at
		FROM etl.watermarks WHERE $1 = '' OR pipeline = $1 ORDER BY pipeline, step`
	rows, err := s.pool.Query(ctx, query, pipeline)
	if err != nil {
		return nil, fmt.Errorf("list watermarks: %w", err)
	}
	marks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Watermark, error) {
		var w Watermark
		err := row.Scan(&w.Pipeline, &w.Step, &w.Column, &w.Type, &w.Value, &w.OrgID, &w.Definition, &w.RunID, &w.UpdatedAt)
		return w, err
	})
	if err != nil {
		return nil, fmt.Errorf("list watermarks: %w", err)
	}
	return marks, nil
}

// SetWatermark puts a watermark where somebody wants it, between runs: with the pipeline's lock, and
// not beside an unfinished run, which would move it. It returns what Start returns for those.
func (s *Store) SetWatermark(ctx context.Context, w Watermark) error {
	lock, err := s.lockPipeline(ctx, w.Pipeline)
	if err != nil {
		return err
	}
	lease := &Lease{store: s, pipeline: w.Pipeline, lock: lock}
	defer lease.Release(ctx)
	return s.inTx(ctx, writeNothing, func(tx pgx.Tx) error {
		if err := refuseUnfinished(ctx, s, w.Pipeline); err != nil {
			return err
		}
		return putWatermark(ctx, tx, w)
	})
}

func putWatermark(ctx context.Context, tx pgx.Tx, w Watermark) error {
	const query = `INSERT INTO etl.watermarks (pipeline, step, column_name, column_type, value, org_id, definition, run_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (pipeline, step) DO UPDATE SET column_name = excluded.column_name, column_type = excluded.column_type,
			value = excluded.value, org_id = excluded.org_id, definition = excluded.definition, run_id = excluded.run_id, updated_at = now()`
	if _, err := tx.Exec(ctx, query, w.Pipeline, w.Step, w.Column, w.Type, w.Value, w.OrgID, w.Definition, w.RunID); err != nil {
		return fmt.Errorf("write the watermark of step %q: %w", w.Step, err)
	}
	return nil
}

// errUnsettled guards the watermark: it must not pass a row that is not accounted for.
var errUnsettled = errors.New("chunks of it are not reconciled, or its sums differ: its watermark stays")

// CompleteStep records a step as done and, in the same transaction, moves its watermark if the run's
// window says so. It refuses while a row of the step is not accounted for.
func (l *Lease) CompleteStep(ctx context.Context, step Step) error {
	err := l.fenced(ctx, write{what: WriteStep, do: func(tx pgx.Tx) error {
		const query = `UPDATE etl.steps SET state = 'done', error = NULL, started_at = coalesce(started_at, now()), finished_at = now() WHERE id = $1`
		if _, err := tx.Exec(ctx, query, step.ID); err != nil {
			return err
		}
		w := step.Window
		if w == nil || !w.Moves {
			return nil
		}
		if err := mustBeSettled(ctx, tx, step.ID); err != nil {
			return err
		}
		return putWatermark(ctx, tx, Watermark{
			Pipeline: l.pipeline, Step: step.Name, Column: w.Column, Type: w.Type, Value: w.High,
			OrgID: w.OrgID, Definition: w.Definition, RunID: &l.run,
		})
	}})
	if err != nil {
		return fmt.Errorf("record step %q as done: %w", step.Name, err)
	}
	return nil
}

func mustBeSettled(ctx context.Context, tx pgx.Tx, stepID int64) error {
	const query = `SELECT s.extracted_at IS NOT NULL
			AND s.rows_read = s.rows_loaded + s.rows_failed + s.rows_unprocessed + s.rows_rejected + s.rows_held + s.rows_unchanged
			AND NOT EXISTS (SELECT FROM etl.chunks c WHERE c.step_id = s.id AND c.state <> 'reconciled')
		FROM etl.steps s WHERE s.id = $1`
	var settled bool
	if err := tx.QueryRow(ctx, query, stepID).Scan(&settled); err != nil {
		return err
	}
	if !settled {
		return errUnsettled
	}
	return nil
}
