package state

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNotFound says that no such run exists.
var ErrNotFound = errors.New("not found")

// Store reads and writes the `etl` schema. It is safe for concurrent use.
type Store struct {
	pool  *pgxpool.Pool
	probe func(point string) // nil outside of tests
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
	if config.MaxConns < 8 {
		config.MaxConns = 8
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("state database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("state database: %w", err)
	}
	return &Store{pool: pool}, nil
}

// Close waits for the connections in use and closes them all.
func (s *Store) Close() { s.pool.Close() }

// Pool is the connection pool, for the packages that own other tables of the schema.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// inTx runs fn in a transaction that is committed when fn returns nil. w is what it makes durable.
func (s *Store) inTx(ctx context.Context, w Write, fn func(pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		s.reach(w, beforeCommit)
		return nil
	})
	if err == nil {
		s.reach(w, afterCommit)
	}
	return err
}
