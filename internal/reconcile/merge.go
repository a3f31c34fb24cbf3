package reconcile

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// mergeNew adds the staged records that have no row yet and renews the row of those that have one.
// A record that people chose to ignore stays ignored. A chunk that is recorded twice (its file was
// lost before its job was closed) counts as one attempt.
const mergeNew = `INSERT INTO etl.reconciliation AS r (run_id, chunk_id, pipeline, step, object, operation, source_key, salesforce_id,
		job_id, kind, error_code, error_message, error_fields, payload, status, retry_chunk_id)
	SELECT $1, $2, $3, $4, $5, $6, s.source_key, s.salesforce_id, $7, s.kind, s.error_code, s.error_message, s.error_fields, s.payload,
		CASE WHEN s.transient THEN 'retrying' ELSE 'open' END, CASE WHEN s.transient THEN $8::bigint END
	FROM etl_stage s WHERE s.row_id IS NULL
	ON CONFLICT (pipeline, step, source_key) WHERE status <> 'resolved' AND source_key IS NOT NULL DO UPDATE SET
		run_id = excluded.run_id, chunk_id = excluded.chunk_id, object = excluded.object, operation = excluded.operation,
		salesforce_id = excluded.salesforce_id, job_id = excluded.job_id, kind = excluded.kind,
		error_code = excluded.error_code, error_message = excluded.error_message, error_fields = excluded.error_fields,
		payload = excluded.payload, payload_edited = false,
		status = CASE WHEN r.status = 'ignored' AND excluded.status = 'open' THEN 'ignored' ELSE excluded.status END,
		retry_chunk_id = excluded.retry_chunk_id,
		attempts = r.attempts + (r.chunk_id IS DISTINCT FROM excluded.chunk_id)::int, last_failed_at = now()`

// mergeRows renews the rows whose stored payload was sent again and failed again. The payload stays
// as people edited it.
const mergeRows = `UPDATE etl.reconciliation AS r SET run_id = $1, chunk_id = $2, salesforce_id = coalesce(s.salesforce_id, r.salesforce_id),
		job_id = $3, kind = s.kind, error_code = s.error_code, error_message = s.error_message, error_fields = s.error_fields,
		status = CASE WHEN s.transient THEN 'retrying' ELSE 'open' END, retry_chunk_id = CASE WHEN s.transient THEN $4::bigint END,
		attempts = r.attempts + 1, last_failed_at = now()
	FROM etl_stage s WHERE r.id = s.row_id AND r.status <> 'resolved'`

type requeuedCounts struct{ failed, unprocessed int64 }

// merge moves the staged rows into the table and returns how many of them go to a later chunk.
func (s *settler) merge(ctx context.Context, tx pgx.Tx) (requeuedCounts, error) {
	var n requeuedCounts
	const count = `SELECT count(*) FILTER (WHERE kind = 'failed'), count(*) FILTER (WHERE kind = 'unprocessed') FROM etl_stage WHERE transient`
	if err := tx.QueryRow(ctx, count).Scan(&n.failed, &n.unprocessed); err != nil {
		return n, fmt.Errorf("count the records to send again: %w", err)
	}
	var requeue *int64
	if n.failed+n.unprocessed > 0 {
		if s.options.Requeue == nil {
			return n, errNoRequeue
		}
		id, err := s.options.Requeue(tx)
		if err != nil {
			return n, fmt.Errorf("plan the chunk to send again: %w", err)
		}
		requeue = &id
	}
	c := s.chunk
	if c.ByRow {
		if _, err := tx.Exec(ctx, mergeRows, c.RunID, c.ID, nullable(c.Job.ID), requeue); err != nil {
			return n, fmt.Errorf("renew reconciliation rows: %w", err)
		}
	}
	_, err := tx.Exec(ctx, mergeNew, c.RunID, c.ID, c.Pipeline, c.Step, c.Object, c.Operation, nullable(c.Job.ID), requeue)
	if err != nil {
		return n, fmt.Errorf("write reconciliation rows: %w", err)
	}
	return n, nil
}

// resolve closes the open rows of the records that this chunk loaded, so that a stale payload can
// never be sent over newer data.
func (s *settler) resolve(ctx context.Context, tx pgx.Tx) (int64, error) {
	if s.chunk.ByRow {
		return s.resolveRows(ctx, tx)
	}
	open, err := s.hasOpenRows(ctx, tx)
	if err != nil || !open {
		return 0, err
	}
	const createLoaded = `CREATE TEMP TABLE IF NOT EXISTS etl_loaded (source_key text) ON COMMIT DELETE ROWS`
	if _, err := tx.Exec(ctx, createLoaded); err != nil {
		return 0, fmt.Errorf("create the staging table: %w", err)
	}
	if err := s.copyLoaded(ctx, tx); err != nil {
		return 0, fmt.Errorf("list the records that loaded: %w", err)
	}
	const query = `UPDATE etl.reconciliation r SET status = 'resolved', resolved_at = now(), resolved_run_id = $3, retry_chunk_id = NULL
		FROM etl_loaded l WHERE r.pipeline = $1 AND r.step = $2 AND r.source_key = l.source_key AND r.status <> 'resolved'`
	tag, err := tx.Exec(ctx, query, s.chunk.Pipeline, s.chunk.Step, s.chunk.RunID)
	if err != nil {
		return 0, fmt.Errorf("resolve reconciliation rows: %w", err)
	}
	return tag.RowsAffected(), nil
}

// hasOpenRows spares the common case the work: most steps have nothing open but what this chunk just wrote.
func (s *settler) hasOpenRows(ctx context.Context, tx pgx.Tx) (bool, error) {
	const query = `SELECT EXISTS (SELECT FROM etl.reconciliation WHERE pipeline = $1 AND step = $2
		AND status <> 'resolved' AND source_key IS NOT NULL AND run_id <> $3 OR retry_chunk_id = $4)`
	var open bool
	if err := tx.QueryRow(ctx, query, s.chunk.Pipeline, s.chunk.Step, s.chunk.RunID, s.chunk.ID).Scan(&open); err != nil {
		return false, fmt.Errorf("look for open rows: %w", err)
	}
	return open, nil
}

// resolveRows resolves the rows that were sent by payload and are not among those that failed again.
func (s *settler) resolveRows(ctx context.Context, tx pgx.Tx) (int64, error) {
	const query = `UPDATE etl.reconciliation SET status = 'resolved', resolved_at = now(), resolved_run_id = $2, retry_chunk_id = NULL
		WHERE retry_chunk_id = $1 AND status = 'retrying' AND chunk_id IS DISTINCT FROM $1`
	tag, err := tx.Exec(ctx, query, s.chunk.ID, s.chunk.RunID)
	if err != nil {
		return 0, fmt.Errorf("resolve reconciliation rows: %w", err)
	}
	return tag.RowsAffected(), nil
}

func (s *settler) copyLoaded(ctx context.Context, tx pgx.Tx) error {
	keys, done, err := s.loadedKeys()
	if err != nil {
		return err
	}
	defer done()
	values := make([]any, 1)
	return copyRows(ctx, tx, "etl_loaded", []string{"source_key"}, func() ([]any, error) {
		key, ok, err := keys()
		if err != nil || !ok {
			return nil, err
		}
		values[0] = key
		return values, nil
	})
}

// loadedKeys iterates over the keys of the records that no failed or unprocessed result took.
func (s *settler) loadedKeys() (next func() (string, bool, error), done func(), err error) {
	records, err := s.chunk.Sent.Open()
	if err != nil {
		return nil, nil, err
	}
	i := -1
	next = func() (string, bool, error) {
		for records.Next() {
			i++
			if s.refused == nil || !s.refused[i] {
				return string(records.Key()), true, nil
			}
		}
		return "", false, records.Err()
	}
	return next, func() { _ = records.Close() }, nil
}
