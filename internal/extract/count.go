package extract

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Count returns the number of rows of a user's query, which it runs, in a
// transaction of Begin: a query may call what would write. where is a condition,
// such as that of a Watermark, with its arguments, or empty.
func Count(ctx context.Context, tx pgx.Tx, sql, where string, args ...any) (int64, error) {
	if where != "" {
		where = "\nWHERE " + where
	}
	var n int64
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM (\n"+sql+"\n) AS source"+where, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the rows: %w", err)
	}
	return n, nil
}
