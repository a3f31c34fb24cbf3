package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Use is what the runs of this state database used of an org in a stretch of time.
type Use struct {
	Runs     int64 `json:"runs"`
	APICalls int64 `json:"api_calls"` // of runs that have ended; a run counts its calls when it ends
	Batches  int64 `json:"bulk_batches"`
}

// Used adds up what was used of an org since then; a batch holds so many records.
func (s *Store) Used(ctx context.Context, orgID string, since time.Time, batchRows int64) (Use, error) {
	const query = `SELECT
		(SELECT count(*) FROM etl.runs WHERE org_id = $1 AND (finished_at >= $2 OR state = 'running')),
		(SELECT coalesce(sum(api_calls), 0)::bigint FROM etl.runs WHERE org_id = $1 AND finished_at >= $2),
		(SELECT coalesce(sum((c.rows_sent + $3 - 1) / $3), 0)::bigint FROM etl.chunks c JOIN etl.runs r ON r.id = c.run_id
			WHERE r.org_id = $1 AND c.created_at >= $2 AND c.state IN ('submitted', 'finished', 'reconciled') AND c.job_id IS NOT NULL)`
	var u Use
	if err := s.pool.QueryRow(ctx, query, orgID, since, batchRows).Scan(&u.Runs, &u.APICalls, &u.Batches); err != nil {
		return Use{}, fmt.Errorf("add up what runs used: %w", err)
	}
	return u, nil
}

// Cost is what a run used of its org, and for how many jobs.
type Cost struct{ Jobs, APICalls int64 }

// LastCost is that of the last run of a pipeline that completed and made a job; zero where there is none.
func (s *Store) LastCost(ctx context.Context, pipeline string) (Cost, error) {
	const query = `SELECT c.jobs, r.api_calls FROM etl.runs r CROSS JOIN LATERAL (
			SELECT count(*) + coalesce(sum(cardinality(replaced_jobs)), 0)::bigint AS jobs
			FROM etl.chunks WHERE run_id = r.id AND job_id IS NOT NULL) c
		WHERE r.pipeline = $1 AND r.state IN ('succeeded', 'completed_with_failures') AND c.jobs > 0
		ORDER BY r.id DESC LIMIT 1`
	var c Cost
	err := s.pool.QueryRow(ctx, query, pipeline).Scan(&c.Jobs, &c.APICalls)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Cost{}, fmt.Errorf("look up what the last run of pipeline %q cost: %w", pipeline, err)
	}
	return c, nil
}
