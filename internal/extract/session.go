package extract

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// readBuffer is how much is read from the server at once, in bytes. The server sends 8 KiB at a time;
// where it is ahead of us, one call takes several of them.
const readBuffer = 128 << 10

// Connect opens a connection to read a source with.
func Connect(ctx context.Context, source string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(source)
	if err != nil {
		return nil, err
	}
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(bufio.NewReaderSize(r, readBuffer), w)
	}
	return pgx.ConnectConfig(ctx, config)
}

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
