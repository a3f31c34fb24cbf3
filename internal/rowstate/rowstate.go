// Package rowstate keeps what was last loaded of each row of a step that sends only rows whose content
// changed: one hash per key, in the order of the keys, so that it can be read beside the source.
//
// It must never hold the hash of a content that Salesforce has not accepted: where nobody knows what
// the org has, the hash is null, which equals nothing. It knows keys and hashes, and neither pipelines
// nor Salesforce.
package rowstate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Set is the rows of one step, as one row of etl.row_sets.
type Set struct {
	ID             int64
	Pipeline, Step string
	// Fingerprint says what the hashes were made under; hashes made under another one differ.
	Fingerprint string
	Keys        Keys
}

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// ErrNone says that nothing was kept of a step yet.
var ErrNone = errors.New("no rows are kept of it")

// Find returns the set of a step; ErrNone where there is none.
func Find(ctx context.Context, db Querier, pipeline, step string) (*Set, error) {
	set := &Set{Pipeline: pipeline, Step: step}
	const query = `SELECT id, fingerprint, key_kinds FROM etl.row_sets WHERE pipeline = $1 AND step = $2`
	err := db.QueryRow(ctx, query, pipeline, step).Scan(&set.ID, &set.Fingerprint, &set.Keys)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("find the rows kept of step %q: %w", step, err)
	}
	return set, nil
}

// Open makes the set of a step, or the one that is there, one of this fingerprint and these keys, and
// fills in its ID. Rows whose keys were of another kind cannot be compared and go.
func Open(ctx context.Context, tx pgx.Tx, set *Set) error {
	before, err := Find(ctx, tx, set.Pipeline, set.Step)
	if err != nil && !errors.Is(err, ErrNone) {
		return err
	}
	if before != nil && !slices.Equal(before.Keys, set.Keys) {
		if _, err := tx.Exec(ctx, `DELETE FROM etl.row_state WHERE set_id = $1`, before.ID); err != nil {
			return fmt.Errorf("forget the rows kept of step %q: %w", set.Step, err)
		}
	}
	const query = `INSERT INTO etl.row_sets (pipeline, step, fingerprint, key_kinds) VALUES ($1, $2, $3, $4)
		ON CONFLICT (pipeline, step) DO UPDATE SET fingerprint = excluded.fingerprint, key_kinds = excluded.key_kinds RETURNING id`
	if err := tx.QueryRow(ctx, query, set.Pipeline, set.Step, set.Fingerprint, set.Keys).Scan(&set.ID); err != nil {
		return fmt.Errorf("keep the rows of step %q: %w", set.Step, err)
	}
	return nil
}

// Count is how many rows are kept.
func (s *Set) Count(ctx context.Context, db Querier) (n int64, err error) {
	if err := db.QueryRow(ctx, `SELECT count(*) FROM etl.row_state WHERE set_id = $1`, s.ID).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the rows kept of step %q: %w", s.Step, err)
	}
	return n, nil
}
