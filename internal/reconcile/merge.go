package reconcile

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// mergeNew adds the staged records that have no row yet and renews the row of those that have one.
// In the order of their keys, in which the index takes them fastest. A record that people chose to ignore stays ignored. A chunk that is recorded twice (its file was
// lost before its job was closed) counts as one attempt.
const mergeNew = `INSERT INTO etl.reconciliation AS r (run_id, chunk_id, pipeline, step, object, operation, source_key, salesforce_id,
		job_id, kind, error_code, error_message, error_fields, payload, status, retry_chunk_id)
	SELECT $1, $2, $3, $4, $5, $6, s.source_key, s.salesforce_id, $7, s.kind, s.error_code, s.error_message, s.error_fields, s.payload,
		CASE WHEN s.transient THEN 'retrying' ELSE 'open' END, CASE WHEN s.transient THEN $8::bigint END
	FROM etl_stage s WHERE s.row_id IS NULL ORDER BY s.source_key
	ON CONFLICT (source_key, step, pipeline) WHERE status <> 'resolved' AND source_key IS NOT NULL DO UPDATE SET
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

// merge moves the staged rows into the table and returns how many of them go to a later chunk. What
// people chose to ignore is not sent again.
func (s *settler) merge(ctx context.Context, tx pgx.Tx) (requeuedCounts, error) {
	var n requeuedCounts
	if s.options.Transient != nil && !s.chunk.ByRow {
		const spare = `UPDATE etl_stage s SET transient = false FROM etl.reconciliation r
			WHERE s.transient AND r.pipeline = $1 AND r.step = $2 AND r.source_key = s.source_key AND r.status = 'ignored'`
		if _, err := tx.Exec(ctx, spare, s.chunk.Pipeline, s.chunk.Step); err != nil {
			return n, fmt.Errorf("leave ignored records alone: %w", err)
		}
	}
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
