package state

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// keptDescribes is how many completed runs of a pipeline keep what the org looked like to them: three
// months of nights.
const keptDescribes = 90

// Describe is what an object of the org looked like to a run.
type Describe struct {
	Object string
	Body   json.RawMessage
	RunID  int64     // set when read
	SeenAt time.Time // when that run started; set when read
}

// insertDescribes records what the objects look like to a new run, and forgets what only old runs saw.
func insertDescribes(ctx context.Context, tx pgx.Tx, runID int64, pipeline string, describes []Describe) error {
	for _, d := range describes {
		hash := sha256.Sum256(d.Body)
		if err := keepDescribe(ctx, tx, hash[:], d); err != nil {
			return fmt.Errorf("record what %s looks like: %w", d.Object, err)
		}
		const refer = `INSERT INTO etl.run_describes (run_id, object, hash) VALUES ($1, $2, $3)`
		if _, err := tx.Exec(ctx, refer, runID, d.Object, hash[:]); err != nil {
			return fmt.Errorf("record what %s looks like: %w", d.Object, err)
		}
	}
	return pruneDescribes(ctx, tx, pipeline)
}

// keepDescribe stores a describe, or notes that it is used still. The update keeps another run's pruning
// away until this one refers to the row.
func keepDescribe(ctx context.Context, tx pgx.Tx, hash []byte, d Describe) error {
	tag, err := tx.Exec(ctx, `UPDATE etl.describes SET used_at = now() WHERE hash = $1`, hash)
	if err != nil || tag.RowsAffected() > 0 {
		return err
	}
	const insert = `INSERT INTO etl.describes (hash, object, body) VALUES ($1, $2, $3)
		ON CONFLICT (hash) DO UPDATE SET used_at = now()`
	_, err = tx.Exec(ctx, insert, hash, d.Object, d.Body)
	return err
}

func pruneDescribes(ctx context.Context, tx pgx.Tx, pipeline string) error {
	const old = `DELETE FROM etl.run_describes d USING etl.runs r
		WHERE d.run_id = r.id AND r.pipeline = $1 AND r.id < (
			SELECT id FROM etl.runs WHERE pipeline = $1 AND state IN ('succeeded', 'completed_with_failures')
			ORDER BY id DESC OFFSET $2 LIMIT 1)`
	if _, err := tx.Exec(ctx, old, pipeline, keptDescribes-1); err != nil {
		return fmt.Errorf("forget what objects looked like to old runs: %w", err)
	}
	const unused = `DELETE FROM etl.describes b WHERE used_at < now() - interval '1 day'
		AND NOT EXISTS (SELECT FROM etl.run_describes d WHERE d.hash = b.hash)`
	if _, err := tx.Exec(ctx, unused); err != nil {
		return fmt.Errorf("forget what objects looked like to old runs: %w", err)
	}
	return nil
}

// loadedSomething is true of runs that are worth to compare with. One that completed without loading a
// record may have failed for what had changed.
const loadedSomething = `(r.state = 'succeeded' OR r.state = 'completed_with_failures' AND r.rows_loaded > 0)`

const describeColumns = `d.object, b.body, r.id, r.started_at
	FROM etl.run_describes d JOIN etl.describes b USING (hash) JOIN etl.runs r ON r.id = d.run_id`

// LastDescribes returns each object as the pipeline's last run that went well and used it saw it in this
// org: one that completed, and loaded something if there was anything to load.
func (s *Store) LastDescribes(ctx context.Context, pipeline, orgID string) ([]Describe, error) {
	return s.describes(ctx, `SELECT DISTINCT ON (d.object) `+describeColumns+`
		WHERE r.pipeline = $1 AND r.org_id = $2 AND `+loadedSomething+`
		ORDER BY d.object, r.id DESC`, pipeline, orgID)
}

// DescribesBefore returns those objects that the run saw otherwise than the last run before it that went
// well and used them, as that one saw them.
func (s *Store) DescribesBefore(ctx context.Context, runID int64) ([]Describe, error) {
	return s.describes(ctx, `SELECT `+describeColumns+`
		JOIN (SELECT DISTINCT ON (d.object) now.object, now.hash, r.id
			FROM etl.run_describes now
			JOIN etl.runs this ON this.id = now.run_id
			JOIN etl.runs r ON r.pipeline = this.pipeline AND r.org_id = this.org_id AND r.id < this.id
				AND `+loadedSomething+`
			JOIN etl.run_describes d ON d.run_id = r.id AND d.object = now.object
			WHERE now.run_id = $1
			ORDER BY d.object, r.id DESC) AS last ON last.id = d.run_id AND last.object = d.object AND last.hash <> d.hash
		ORDER BY d.object`, runID)
}

// Describes returns the objects as a run saw them when it started.
func (s *Store) Describes(ctx context.Context, runID int64) ([]Describe, error) {
	return s.describes(ctx, `SELECT `+describeColumns+` WHERE d.run_id = $1 ORDER BY d.object`, runID)
}

func (s *Store) describes(ctx context.Context, query string, args ...any) (list []Describe, err error) {
	err = s.Patiently(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Describe, error) {
			var d Describe
			err := row.Scan(&d.Object, &d.Body, &d.RunID, &d.SeenAt)
			return d, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what objects looked like: %w", err)
	}
	return list, nil
}
