package state

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// fence is the first part of every write: it holds the run's row against a take-over until the
// transaction ends, and yields no row when the run has been taken over already. Its parameters are
// $1, the run, and $2, the epoch.
const fence = `WITH fence AS MATERIALIZED (SELECT FROM etl.runs WHERE id = $1 AND epoch = $2 FOR KEY SHARE) `

// write is a fenced write of the run.
type write struct {
	what Write
	do   func(pgx.Tx) error
	// landed reads whether the write took effect; asked where the answer to its commit was lost. nil:
	// writing it twice is writing it once.
	landed func(ctx context.Context) (bool, error)
	// late says that do checks the fence itself, because it takes long.
	late bool
}

// fenced makes a write that is committed only while the lease still holds the run. It waits for a state
// database that is away, within the store's patience.
func (l *Lease) fenced(ctx context.Context, w write) error {
	return l.outlast(ctx, attempts{landed: w.landed, do: func(ctx context.Context) error {
		return l.store.tryTx(ctx, w.what, func(tx pgx.Tx) error {
			if w.late {
				return w.do(tx)
			}
			if err := l.checkFence(ctx, tx); err != nil {
				return err
			}
			return w.do(tx)
		})
	}})
}

// outlast works on the state database in spite of its absences. An absence has most likely cost the
// session that holds the pipeline's lock, so the lock is taken anew.
func (l *Lease) outlast(ctx context.Context, work attempts) error {
	work.after = l.relock
	return l.store.absence.outlast(ctx, work)
}

// Fenced makes a write of another table of the schema that belongs to the run. Doing it twice must be
// doing it once.
func (l *Lease) Fenced(ctx context.Context, w Write, do func(pgx.Tx) error) error {
	return l.fenced(ctx, write{what: w, do: do})
}

// Hold checks that the run is still the lease's and that its record can be written, changing nothing.
// It is for the moment before something is asked of the org.
func (l *Lease) Hold(ctx context.Context) error {
	err := l.outlast(ctx, attempts{do: func(ctx context.Context) error {
		return l.store.tryTx(ctx, writeNothing, func(tx pgx.Tx) error { return l.checkFence(ctx, tx) })
	}})
	if err != nil {
		return fmt.Errorf("hold run %d: %w", l.run, err)
	}
	return nil
}

func (l *Lease) checkFence(ctx context.Context, tx pgx.Tx) error {
	err := tx.QueryRow(ctx, `SELECT FROM etl.runs WHERE id = $1 AND epoch = $2 FOR KEY SHARE`, l.run, l.epoch).Scan()
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrFenced
	}
	return err
}

// FinishRun records how the run ended and what it cost. state must not be running.
func (l *Lease) FinishRun(ctx context.Context, state RunState, reason string, apiCalls int64) error {
	// A run that is not running any more has had its calls added: the answer to that was lost.
	const query = fence + `UPDATE etl.runs SET state = $3, error = NULLIF($4, ''), finished_at = now(),
			api_calls = api_calls + CASE WHEN state = 'running' THEN $5::bigint ELSE 0 END
		WHERE id = $1 AND EXISTS (SELECT FROM fence)`
	return l.exec(ctx, WriteFinish, fmt.Sprintf("finish run %d", l.run), query, string(state), reason, apiCalls)
}

// SetStep moves a step to a state; reason says why it stopped or failed.
func (l *Lease) SetStep(ctx context.Context, stepID int64, state StepState, reason string) error {
	const query = fence + `UPDATE etl.steps SET state = $4, error = NULLIF($5, ''),
			started_at = coalesce(started_at, now()),
			finished_at = CASE WHEN $4 = 'running' THEN NULL ELSE now() END
		WHERE id = $3 AND EXISTS (SELECT FROM fence)`
	return l.exec(ctx, WriteStep, fmt.Sprintf("record step %d as %s", stepID, state), query, stepID, string(state), reason)
}

// ExtractionDone records that the last row of the step has been cut into a chunk.
func (l *Lease) ExtractionDone(ctx context.Context, stepID int64) error {
	const query = fence + `UPDATE etl.steps SET extracted_at = now() WHERE id = $3 AND EXISTS (SELECT FROM fence)`
	return l.exec(ctx, WriteExtracted, "record the end of the extraction", query, stepID)
}

// exec runs a fenced statement that must change a row; none changed means that the run was taken over.
// Running it twice must be running it once.
func (l *Lease) exec(ctx context.Context, w Write, what, query string, args ...any) error {
	err := l.outlast(ctx, attempts{do: func(ctx context.Context) error {
		return l.store.tryTx(ctx, w, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, query, append([]any{l.run, l.epoch}, args...)...)
			if err == nil && tag.RowsAffected() == 0 {
				return ErrFenced
			}
			return err
		})
	}})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// addCounts adds to the counts of a step and of its run. It comes last in its transaction: the rows
// of the run and the step are the only ones that all chunks share.
func (l *Lease) addCounts(ctx context.Context, tx pgx.Tx, stepID int64, c Counts) error {
	const set = ` SET rows_read = rows_read + $2, rows_loaded = rows_loaded + $3, rows_failed = rows_failed + $4,
		rows_unprocessed = rows_unprocessed + $5, rows_rejected = rows_rejected + $6, rows_held = rows_held + $7,
		rows_unchanged = rows_unchanged + $8 WHERE id = $1`
	for _, target := range []struct {
		table string
		id    int64
	}{{"etl.steps", stepID}, {"etl.runs", l.run}} {
		_, err := tx.Exec(ctx, `UPDATE `+target.table+set, target.id, c.Read, c.Loaded, c.Failed, c.Unprocessed, c.Rejected, c.Held, c.Unchanged)
		if err != nil {
			return fmt.Errorf("add to the counts: %w", err)
		}
	}
	return nil
}
