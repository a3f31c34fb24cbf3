// Package pgtest gives each test a Postgres database of its own, so that tests
// run in parallel against the real thing and never clean up after each other.
//
// The server is the one named by ETL_TEST_DATABASE_URL; without it, a throwaway
// server is started from the system's binaries (about a second, once per test
// process) and is gone with the process, even a killed one. The migrations run
// once, into a template database; a test gets a clone of it in about 30 ms.
//
// The databases are UTF-8 with an ICU collation and live in the time zone
// Asia/Kolkata, on purpose: text that sorts unlike its bytes and a clock that
// is not UTC, by half an hour too, are what production has and what hides
// mistakes when it is missing.
//
// The package is for tests and for `etl demo`. It must never be pointed at a
// database with something in it that matters, and it never touches a database
// that it did not create.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Timezone is the time zone of every database made here.
const Timezone = "Asia/Kolkata"

// cleanupTimeout bounds what happens after a test, when its own context has
// already ended.
const cleanupTimeout = 30 * time.Second

// Main runs a package's tests and stops the throwaway server afterwards. It is
// the body of TestMain in every package that uses New or Empty.
func Main(m *testing.M) {
	code := m.Run()
	if err := shared.stop(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "pgtest: %v\n", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// New returns the connection string of a fresh database that holds the migrated
// `etl` schema. The database is dropped when the test ends, or kept and named
// in the test's log when the test failed.
func New(tb testing.TB) string {
	tb.Helper()
	server := testServer(tb)
	template, err := shared.template(tb.Context(), server)
	if err != nil {
		tb.Fatalf("pgtest: migrated template: %v", err)
	}
	name := databaseName(tb.Name())
	if err := server.clone(tb.Context(), name, template); err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	dropAfter(tb, server, name)
	return server.DSN(name)
}

// Empty returns the connection string of a fresh database with nothing in it,
// treated like one of New afterwards.
func Empty(tb testing.TB) string {
	tb.Helper()
	server := testServer(tb)
	name := databaseName(tb.Name())
	dsn, err := server.CreateDatabase(tb.Context(), name)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	dropAfter(tb, server, name)
	return dsn
}

// Conn returns a connection to dsn that is closed when the test ends.
func Conn(tb testing.TB, dsn string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		// A test may have broken the connection on purpose.
		_ = conn.Close(ctx)
	})
	return conn
}

// Pool returns a connection pool on dsn that is closed when the test ends.
func Pool(tb testing.TB, dsn string) *pgxpool.Pool {
	tb.Helper()
	pool, err := pgxpool.New(tb.Context(), dsn)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

// Exec runs sql, which may be several statements, on a connection of its own.
func Exec(tb testing.TB, dsn, sql string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	defer func() { _ = conn.Close(tb.Context()) }()
	if _, err := conn.PgConn().Exec(tb.Context(), sql).ReadAll(); err != nil {
		tb.Fatalf("pgtest: %v\nin: %s", err, sql)
	}
}

// testServer returns the server of this test process.
func testServer(tb testing.TB) *Server {
	tb.Helper()
	server, err := shared.server(tb.Context())
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	return server
}

// dropAfter drops a database at the end of a passed test and names it at the
// end of a failed one.
func dropAfter(tb testing.TB, server *Server, name string) {
	tb.Helper()
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("pgtest: database kept: psql '%s'%s", server.DSN(name), server.lifetime())
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		if err := server.drop(ctx, name); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
}
