package reconcile

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Rejection is a record that was refused before it was sent.
type Rejection struct {
	Key                  string
	Code, Message, Field string
	Payload              []byte // JSON object
}

// Rejections streams a chunk's rejected records.
type Rejections interface {
	Next() bool
	Rejection() Rejection
	Err() error
	Close() error
}

// WriteRejected writes a chunk's rejected records into the table, inside the transaction that records
// the chunk. A chunk that is extracted again replaces what it rejected the first time.
func WriteRejected(ctx context.Context, tx pgx.Tx, chunk Chunk, rejections Rejections) error {
	defer rejections.Close()
	if err := ForgetRejected(ctx, tx, []int64{chunk.ID}); err != nil {
		return err
	}
	s := &settler{chunk: chunk}
	if err := s.copyIn(ctx, tx, rejectedRows{rejections}); err != nil {
		return fmt.Errorf("rejected records: %w", err)
	}
	_, err := s.merge(ctx, tx)
	return err
}

// ForgetRejected takes back what chunks rejected when their rows were read, because the rows are read
// again. A row of earlier failures stays open, and says by having no chunk that it must be resolved
// should the record load now.
func ForgetRejected(ctx context.Context, tx pgx.Tx, chunkIDs []int64) error {
	const query = `WITH old AS (SELECT id, attempts FROM etl.reconciliation WHERE chunk_id = ANY ($1) AND kind = 'rejected' AND status = 'open'),
		gone AS (DELETE FROM etl.reconciliation r USING old WHERE r.id = old.id AND old.attempts = 1)
		UPDATE etl.reconciliation r SET chunk_id = NULL, attempts = r.attempts - 1 FROM old WHERE r.id = old.id AND old.attempts > 1`
	if _, err := tx.Exec(ctx, query, chunkIDs); err != nil {
		return fmt.Errorf("replace rejected records: %w", err)
	}
	return nil
}

type rejectedRows struct{ rejections Rejections }

func (r rejectedRows) next() (stagedRow, bool, error) {
	if !r.rejections.Next() {
		return stagedRow{}, false, r.rejections.Err()
	}
	rejection := r.rejections.Rejection()
	row := stagedRow{
		key: []byte(rejection.Key), kind: KindRejected, payload: rejection.Payload,
		err: RowError{Code: rejection.Code, Message: rejection.Message},
	}
	if rejection.Field != "" {
		row.err.Fields = []string{rejection.Field}
	}
	return row, true, nil
}
