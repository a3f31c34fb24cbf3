package rowstate

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Row is what became of one row. A hash of nil says that nobody knows what the org has of it.
type Row struct {
	Key, Hash []byte
	// Accepted is whether the org has the record. What is known of one that it refused stays, but for its
	// hash: the row is to be tried again.
	Accepted bool
}

// The staging table is the session's own, and empty after each transaction.
const createStage = `CREATE TEMP TABLE IF NOT EXISTS etl_rows (key bytea, hash bytea, accepted boolean) ON COMMIT DELETE ROWS`

// Write keeps what became of rows, which next returns until it returns none, in the transaction that
// settles them. Rows are read as they are written, so that next may use its slices again.
func (s *Set) Write(ctx context.Context, tx pgx.Tx, next func() (*Row, error)) error {
	if _, err := tx.Exec(ctx, createStage); err != nil {
		return fmt.Errorf("create the staging table: %w", err)
	}
	var cause error
	values := make([]any, 3)
	n, err := tx.CopyFrom(ctx, pgx.Identifier{"etl_rows"}, []string{"key", "hash", "accepted"}, pgx.CopyFromFunc(func() ([]any, error) {
		row, err := next()
		if cause = err; err != nil || row == nil {
			return nil, err
		}
		values[0], values[1], values[2] = row.Key, row.Hash, row.Accepted
		return values, nil
	}))
	if cause != nil {
		return cause
	}
	if err != nil || n == 0 {
		return err
	}
	const accepted = `INSERT INTO etl.row_state (set_id, key, hash) SELECT $1, key, hash FROM etl_rows WHERE accepted ORDER BY key
		ON CONFLICT (set_id, key) DO UPDATE SET hash = excluded.hash`
	const refused = `UPDATE etl.row_state r SET hash = NULL FROM etl_rows t WHERE NOT t.accepted AND r.set_id = $1 AND r.key = t.key`
	for _, statement := range []string{accepted, refused} {
		if _, err := tx.Exec(ctx, statement, s.ID); err != nil {
			return fmt.Errorf("keep the rows of step %q: %w", s.Step, err)
		}
	}
	if _, err := tx.Exec(ctx, `DELETE FROM etl_rows`); err != nil {
		return fmt.Errorf("empty the staging table: %w", err)
	}
	return nil
}

// Doubt makes nothing known of the rows with keys greater than low, up to and including high: something
// was sent of them and nobody knows how it ended. A low of nil is the beginning.
func (s *Set) Doubt(ctx context.Context, tx pgx.Tx, low, high []string) error {
	least := []byte{}
	upTo, err := s.Keys.OfTexts(high)
	if err == nil && low != nil {
		least, err = s.Keys.OfTexts(low)
	}
	if err != nil {
		return fmt.Errorf("rows kept of step %q: %w", s.Step, err)
	}
	const query = `UPDATE etl.row_state SET hash = NULL WHERE set_id = $1 AND key > $2 AND key <= $3 AND hash IS NOT NULL`
	if _, err := tx.Exec(ctx, query, s.ID, least, upTo); err != nil {
		return fmt.Errorf("doubt the rows kept of step %q: %w", s.Step, err)
	}
	return nil
}
