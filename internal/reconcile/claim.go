package reconcile

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Claiming says who takes rows to send them again, and which.
type Claiming struct {
	RunID, ChunkID int64
	ByKey          bool  // only rows that have a source key
	After          int64 // only rows of a higher id
	Limit          int64
}

// Claim marks the first open rows of the filter as being retried by a chunk, and returns how many and
// the last one's id. Rows that another run is retrying are not open, so no record is claimed twice; nor
// is one that this run has sent already and that is open because it failed again.
func Claim(ctx context.Context, tx pgx.Tx, f Filter, c Claiming) (n, last int64, err error) {
	f.Statuses = []Status{StatusOpen}
	where, args := f.where()
	const query = `WITH picked AS (SELECT id FROM etl.reconciliation WHERE (NOT $9 OR source_key IS NOT NULL) AND run_id <> $10 AND id > $11 AND`
	const claim = `ORDER BY id LIMIT $12 FOR UPDATE SKIP LOCKED),
		claimed AS (UPDATE etl.reconciliation r SET status = 'retrying', retry_chunk_id = $13 FROM picked WHERE r.id = picked.id RETURNING r.id)
		SELECT count(*), coalesce(max(id), 0) FROM claimed`
	err = tx.QueryRow(ctx, query+where+claim, append(args, c.ByKey, c.RunID, c.After, c.Limit, c.ChunkID)...).Scan(&n, &last)
	if err != nil {
		return 0, 0, fmt.Errorf("claim rows to retry: %w", err)
	}
	return n, last, nil
}

// Release opens the rows again that the chunks claimed and did not settle, and returns how many. It
// is only for chunks of which nothing was ever sent, or that have been settled.
func (s *Store) Release(ctx context.Context, chunkIDs []int64) (int64, error) {
	var n int64
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var err error
		n, err = release(ctx, tx, chunkIDs)
		return err
	})
	return n, err
}

// ReleaseClaims opens the rows again that a chunk claimed and did not send, inside the transaction that
// settles the chunk.
func ReleaseClaims(ctx context.Context, tx pgx.Tx, chunkID int64) error {
	_, err := release(ctx, tx, []int64{chunkID})
	return err
}

func release(ctx context.Context, tx pgx.Tx, chunkIDs []int64) (int64, error) {
	tag, err := tx.Exec(ctx, `UPDATE etl.reconciliation SET status = 'open', retry_chunk_id = NULL WHERE retry_chunk_id = ANY ($1) AND status = 'retrying'`, chunkIDs)
	if err != nil {
		return 0, fmt.Errorf("open claimed rows again: %w", err)
	}
	return tag.RowsAffected(), nil
}

// ClaimedKeys returns the source keys that a chunk claimed.
func (s *Store) ClaimedKeys(ctx context.Context, chunkID int64) ([]string, error) {
	const query = `SELECT source_key FROM etl.reconciliation WHERE retry_chunk_id = $1 AND status = 'retrying' AND source_key IS NOT NULL`
	rows, err := s.pool.Query(ctx, query, chunkID)
	if err != nil {
		return nil, fmt.Errorf("read the claimed keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the claimed keys: %w", err)
	}
	return keys, nil
}

// Claimed is a record that is to be sent again as it is stored.
type Claimed struct {
	RowID   int64
	Payload map[string]*string // nil: clear the field
}

// ClaimedFields returns the headers that the payloads of a chunk's claimed rows use, in their order
// of first use.
func (s *Store) ClaimedFields(ctx context.Context, chunkID int64) ([]string, error) {
	const query = `SELECT key FROM etl.reconciliation, jsonb_object_keys(payload) AS key
		WHERE retry_chunk_id = $1 AND status = 'retrying' GROUP BY key ORDER BY key`
	rows, err := s.pool.Query(ctx, query, chunkID)
	if err != nil {
		return nil, fmt.Errorf("read the claimed payloads' fields: %w", err)
	}
	fields, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the claimed payloads' fields: %w", err)
	}
	return fields, nil
}

// EachClaimed calls fn for each record that a chunk claimed, those of one value of orderBy (a header,
// such as the one that names the parent; may be empty) beside each other.
func (s *Store) EachClaimed(ctx context.Context, chunkID int64, orderBy string, fn func(Claimed) error) error {
	const query = `SELECT id, payload FROM etl.reconciliation WHERE retry_chunk_id = $1 AND status = 'retrying' ORDER BY payload ->> $2, id`
	rows, err := s.pool.Query(ctx, query, chunkID, orderBy)
	if err != nil {
		return fmt.Errorf("read the claimed records: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c Claimed
		var payload []byte
		if err := rows.Scan(&c.RowID, &payload); err != nil {
			return fmt.Errorf("read the claimed records: %w", err)
		}
		if err := json.Unmarshal(payload, &c.Payload); err != nil {
			return fmt.Errorf("reconciliation row %d: payload: %w", c.RowID, err)
		}
		if err := fn(c); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the claimed records: %w", err)
	}
	return nil
}
