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
	const forget = `DELETE FROM etl.reconciliation WHERE run_id = $1 AND chunk_id = $2 AND kind = 'rejected' AND attempts = 1 AND status = 'open'`
	if _, err := tx.Exec(ctx, forget, chunk.RunID, chunk.ID); err != nil {
		return fmt.Errorf("replace rejected records: %w", err)
	}
	s := &settler{chunk: chunk}
	if err := s.copyIn(ctx, tx, rejectedRows{rejections}); err != nil {
		return fmt.Errorf("rejected records: %w", err)
	}
	_, err := s.merge(ctx, tx)
	return err
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
