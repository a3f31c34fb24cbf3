package extract

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// sessionSettings make text forms the same whatever the server, the database or
// the role are set to. The time zone too: a query that wants the dates of another
// one has to say so (AT TIME ZONE), and then says it on every machine.
const sessionSettings = `
	SET LOCAL TimeZone = 'UTC';
	SET LOCAL DateStyle = 'ISO, YMD';
	SET LOCAL IntervalStyle = 'postgres';
	SET LOCAL extra_float_digits = 1;
	SET LOCAL bytea_output = 'hex';
	SET LOCAL xmloption = 'content'`

// Begin starts the transaction that an extraction reads in: one snapshot, read
// only.
func Begin(ctx context.Context, conn *pgx.Conn) (pgx.Tx, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("begin to read the source: %w", plain(err))
	}
	// The simple protocol takes all of them in one round trip.
	if _, err := conn.PgConn().Exec(ctx, sessionSettings).ReadAll(); err != nil {
		return nil, fmt.Errorf("begin to read the source: %w", errors.Join(plain(err), tx.Rollback(ctx)))
	}
	return tx, nil
}
