package state

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNotFound says that no such run exists.
var ErrNotFound = errors.New("not found")

// Store reads and writes the `etl` schema. It is safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	probe   func(point string) // nil outside of tests
	absence *absence           // nil: it is not waited for
}

// Open migrates the state schema where it is behind (migrations only add, so an older process that
// is still running goes on) and connects to it. The caller closes the Store.
func Open(ctx context.Context, dsn string) (*Store, error) {
	if err := Migrate(ctx, dsn); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("state database: %w", err)
	}
	// A worker holds one connection while it settles its chunk; chunks in flight are bounded by the
	// steps' `parallel`, and waiting for a connection is harmless.
	if config.MaxConns < 12 {
		config.MaxConns = 12
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	dialer := &net.Dialer{Timeout: config.ConnConfig.ConnectTimeout, KeepAliveConfig: keepAlive()}
	config.ConnConfig.DialFunc = heard(dialer.DialContext, maxSilence)
	config.AfterConnect = durable
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("state database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("state database: %w", err)
	}
	if err := checkTemp(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	return &Store{pool: pool}, nil
}

// checkTemp asks beforehand for what settling needs: failed records go through a temporary table.
func checkTemp(ctx context.Context, pool *pgxpool.Pool) error {
	var allowed bool
	var user, database string
	const query = `SELECT has_database_privilege(current_database(), 'TEMP'), current_user, current_database()`
	if err := pool.QueryRow(ctx, query).Scan(&allowed, &user, &database); err != nil {
		return fmt.Errorf("state database: %w", err)
	}
	if !allowed {
		return fmt.Errorf("state database: user %q may not create temporary tables in %q; let its owner run: GRANT TEMPORARY ON DATABASE %s TO %s",
			user, database, pgx.Identifier{database}.Sanitize(), pgx.Identifier{user}.Sanitize())
	}
	return nil
}

// Installation is the identity of this state database. Runs are numbered from 1 in each of them, so
// whatever is kept elsewhere under a run's number is kept under this first.
func (s *Store) Installation(ctx context.Context) (string, error) {
	var id string
	if err := s.pool.QueryRow(ctx, `SELECT id::text FROM etl.installation`).Scan(&id); err != nil {
		return "", fmt.Errorf("read the identity of the state database: %w", err)
	}
	return id, nil
}

// Close waits for the connections in use and closes them all.
func (s *Store) Close() { s.pool.Close() }

// Pool is the connection pool, for the packages that own other tables of the schema.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// inTx runs fn in a transaction that is committed when fn returns nil. w is what it makes durable.
// Nothing is tried again.
func (s *Store) inTx(ctx context.Context, w Write, fn func(pgx.Tx) error) error {
	return s.tryTx(ctx, w, fn)
}

// connectTimeout is how long a connection to the state database may take to come about where its URL
// does not say.
const connectTimeout = 15 * time.Second

// keepAlive finds out within a minute that the machine at the other end is gone.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}
}

// durable lets no session of ours lose a commit that was acknowledged: a chunk's `closing` that a crash
// of the server forgets would let its job be replaced although it was closed.
func durable(ctx context.Context, conn *pgx.Conn) error {
	const query = `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`
	_, err := conn.Exec(ctx, query)
	return err
}
