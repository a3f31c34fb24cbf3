package state_test

import (
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/pgtest"
	"bulkhead/internal/state"
)

// TestASilentDatabaseIsGivenUp asks something of a server that does not answer in time, and something that
// it does answer after many such times.
func TestASilentDatabaseIsGivenUp(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig(pgtest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	const silence = 300 * time.Millisecond
	config.DialFunc = state.Heard((&net.Dialer{}).DialContext, silence)
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), `SELECT pg_sleep(0.03), repeat('x', 10000) FROM generate_series(1, 30)`)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err != nil || n != 30 {
		t.Fatalf("a database that goes on talking was given up after %d rows: %v", n, err)
	}
	_, err = conn.Exec(t.Context(), `SELECT pg_sleep(60)`)
	if !state.Unanswered(err) || !conn.IsClosed() {
		t.Errorf("got %v, closed %v", err, conn.IsClosed())
	}
}
