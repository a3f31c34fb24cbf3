package extract

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Watermark is a column that grows with every change of its row.
type Watermark struct {
	query, expr string
	kind        watermarkKind
}

// watermarkKind is what can be said about the order in which values come to light.
type watermarkKind struct {
	Type  string // that values are compared as
	upper string // SQL of the upper bound; $1 is the clock. Empty: one more than the greatest value
	back  string // SQL of a bound $1 less the overlap $2; empty: there is no overlap
	count bool   // the overlap is a number
}

// watermarkKinds are the types whose order says what came later. A date is bounded by the earliest
// zone on earth: whoever writes today's date there still writes it tomorrow in UTC.
func watermarkKinds(oid uint32) (watermarkKind, bool) {
	const before = "$1::text::%[1]s - $2::text::interval"
	switch oid {
	case pgtype.TimestamptzOID:
		return watermarkKind{Type: "timestamptz", upper: "$1::text::timestamptz", back: fmt.Sprintf(before, "timestamptz")}, true
	case pgtype.TimestampOID:
		return watermarkKind{Type: "timestamp", upper: "$1::text::timestamptz AT TIME ZONE 'UTC'", back: fmt.Sprintf(before, "timestamp")}, true
	case pgtype.DateOID:
		return watermarkKind{Type: "date", upper: "($1::text::timestamptz AT TIME ZONE 'UTC' - interval '12 hours')::date", back: "(" + fmt.Sprintf(before, "date") + ")::date"}, true
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		return watermarkKind{Type: "bigint", back: "$1::text::bigint - $2::text::bigint", count: true}, true
	case pgtype.XID8OID:
		return watermarkKind{Type: "xid8", upper: "pg_snapshot_xmin(pg_current_snapshot())"}, true
	}
	return watermarkKind{}, false
}

// NewWatermark makes a watermark of a column of a user's query; expr is its SQL. It is an error when the
// order of the column's type does not say which row changed later.
func NewWatermark(query, expr string, column ColumnInfo) (*Watermark, error) {
	kind, ok := watermarkKinds(column.Type)
	if !ok {
		return nil, fmt.Errorf("column %q has type %s, whose order does not say what changed later", column.Name, column.TypeName)
	}
	return &Watermark{query: query, expr: expr, kind: kind}, nil
}

// Type is the type that values are compared as.
func (w *Watermark) Type() string { return w.kind.Type }

// Counts reports whether an overlap is a number of versions, and not a length of time.
func (w *Watermark) Counts() bool { return w.kind.count }

// TakesOverlap reports whether there can be an overlap at all; transaction ids need none.
func (w *Watermark) TakesOverlap() bool { return w.kind.back != "" }

// Timed reports whether values are times, which the source's clock bounds.
func (w *Watermark) Timed() bool { return w.kind.back != "" && !w.kind.count }

// Condition is the SQL condition for the rows from low, which may be nil, up to and without high, and
// its arguments, numbered from firstArg.
func (w *Watermark) Condition(low *string, high string, firstArg int) (sql string, args []any) {
	param := func(value string) string {
		args = append(args, value)
		return "$" + strconv.Itoa(firstArg+len(args)-1) + "::text::" + w.kind.Type
	}
	if low != nil {
		sql = w.expr + " >= " + param(*low) + " AND "
	}
	return sql + w.expr + " < " + param(high), args
}

// HasNulls reports whether there are rows that a condition would never find: those whose value is NULL,
// or a time that never comes.
func (w *Watermark) HasNulls(ctx context.Context, conn *pgx.Conn) (found bool, err error) {
	never := w.expr + " IS NULL"
	if w.Timed() {
		never += " OR " + w.expr + " = 'infinity'"
	}
	query := "SELECT EXISTS (SELECT FROM (\n" + w.query + "\n) AS source WHERE " + never + ")"
	if err := conn.QueryRow(ctx, query).Scan(&found); err != nil {
		return false, fmt.Errorf("look for rows without it: %w", plain(err))
	}
	return found, nil
}

// Upper returns where a run that begins now has to stop reading: every row below it that will ever be
// committed is there already, as far as the source can tell. It is empty where there is no row yet.
// settle is how long transactions that took a number before may take to end where no overlap allows
// for them.
func (w *Watermark) Upper(ctx context.Context, conn *pgx.Conn, clock Clock, settle time.Duration) (string, error) {
	var upper *string
	switch {
	case w.kind.upper == "":
		return w.nextNumber(ctx, conn, settle)
	case w.kind.Type == "xid8":
		if err := conn.QueryRow(ctx, "SELECT ("+w.kind.upper+")::text").Scan(&upper); err != nil {
			return "", fmt.Errorf("read the oldest open transaction: %w", plain(err))
		}
	default:
		if err := conn.QueryRow(ctx, "SELECT ("+w.kind.upper+")::text", clock.Safe).Scan(&upper); err != nil {
			return "", fmt.Errorf("work out the upper bound: %w", plain(err))
		}
	}
	return *upper, nil
}

// Back returns a bound less an overlap: an interval such as "600 s", or a number.
func (w *Watermark) Back(ctx context.Context, conn *pgx.Conn, bound, overlap string) (low string, err error) {
	if err := conn.QueryRow(ctx, "SELECT ("+w.kind.back+")::text", bound, overlap).Scan(&low); err != nil {
		return "", fmt.Errorf("take the overlap of %s off %q: %w", overlap, bound, plain(err))
	}
	return low, nil
}

// Read returns a value in the form that the source writes it in; text that is none is an error.
func (w *Watermark) Read(ctx context.Context, conn *pgx.Conn, text string) (value string, err error) {
	if _, err := conn.Exec(ctx, inUTC); err != nil {
		return "", fmt.Errorf("read %q: %w", text, plain(err))
	}
	if err := conn.QueryRow(ctx, "SELECT $1::text::"+w.kind.Type+"::text", text).Scan(&value); err != nil {
		return "", fmt.Errorf("%q is no %s: %w", text, w.kind.Type, plain(err))
	}
	return value, nil
}

// Later reports whether value a comes after b.
func (w *Watermark) Later(ctx context.Context, conn *pgx.Conn, a, b string) (later bool, err error) {
	query := fmt.Sprintf("SELECT $1::text::%[1]s > $2::text::%[1]s", w.kind.Type)
	if err := conn.QueryRow(ctx, query, a, b).Scan(&later); err != nil {
		return false, fmt.Errorf("compare %q with %q: %w", a, b, plain(err))
	}
	return later, nil
}

// nextNumber returns one more than the greatest number that is committed, once every transaction that
// may have drawn a lesser one has ended.
func (w *Watermark) nextNumber(ctx context.Context, conn *pgx.Conn, settle time.Duration) (string, error) {
	var greatest *string
	query := "SELECT (max(" + w.expr + ")::bigint + 1)::text FROM (\n" + w.query + "\n) AS source"
	if err := conn.QueryRow(ctx, query).Scan(&greatest); err != nil {
		return "", fmt.Errorf("read the greatest value: %w", plain(err))
	}
	if greatest == nil {
		return "", nil
	}
	return *greatest, awaitTransactions(ctx, conn, settle)
}

// writing finds the transactions of the database that have written, or may have drawn a number to write:
// whoever draws from a sequence, or begins to write to a table, holds a lock on it until it ends, long
// before it may have an id of its own. Everybody may see those locks. Vacuum takes them on indexes only.
const writing = `SELECT DISTINCT l.virtualtransaction FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
	LEFT JOIN pg_prepared_xacts p ON p.transaction = l.transactionid
	LEFT JOIN pg_class c ON l.locktype = 'relation' AND c.oid = l.relation
	WHERE l.granted AND (l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND coalesce(a.datname, p.database) = current_database()
		OR l.mode = 'RowExclusiveLock' AND c.relkind IN ('r', 'p', 'S')
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))`

// awaitTransactions waits until all transactions that are writing now have ended; a patience of 0 does
// not look.
func awaitTransactions(ctx context.Context, conn *pgx.Conn, patience time.Duration) error {
	if patience == 0 {
		return nil
	}
	var open []string
	for deadline := time.Now().Add(patience); ; {
		rows, err := conn.Query(ctx, writing+` AND ($1::text[] IS NULL OR l.virtualtransaction = ANY ($1))`, open)
		if err == nil {
			open, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			return fmt.Errorf("look for open transactions: %w", plain(err))
		}
		if len(open) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return &openError{patience}
		}
		if err := rest(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// openError says that transactions did not end in time.
type openError struct{ patience time.Duration }

func (e *openError) Error() string {
	return fmt.Sprintf("a transaction that writes, or has drawn from a sequence, has been open for longer than %v, and may yet commit a number that was passed over", e.patience)
}

// StillOpen reports whether err says that transactions of the source did not end in time.
func StillOpen(err error) bool {
	var open *openError
	return errors.As(err, &open)
}

func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
