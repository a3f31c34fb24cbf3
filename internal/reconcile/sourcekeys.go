package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// SettledKey is the source key of a reconciliation row with what became of its record.
type SettledKey struct {
	Key      string
	Accepted bool
}

// SourceKeys returns the source keys of reconciliation rows, given by their ids with what became of
// them. Rows that have none are left out.
func SourceKeys(ctx context.Context, tx pgx.Tx, accepted map[int64]bool) ([]SettledKey, error) {
	const query = `SELECT id, source_key FROM etl.reconciliation WHERE id = ANY ($1) AND source_key IS NOT NULL`
	rows, err := tx.Query(ctx, query, slices.Collect(maps.Keys(accepted)))
	if err != nil {
		return nil, fmt.Errorf("read source keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (SettledKey, error) {
		var id int64
		var key SettledKey
		err := row.Scan(&id, &key.Key)
		key.Accepted = accepted[id]
		return key, err
	})
	if err != nil {
		return nil, fmt.Errorf("read source keys: %w", err)
	}
	return keys, nil
}
