package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// leaderLock is the advisory lock of the server that leads.
const leaderLock = `hashtextextended('etl.leader', 0)`

// heldLock is whether a session holds an advisory lock of this database; it goes before the lock's key.
const heldLock = `SELECT EXISTS (SELECT FROM pg_locks, (SELECT %s AS key) AS k
	WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND classid::bigint = (k.key >> 32) & 4294967295 AND objid::bigint = k.key & 4294967295)`

// Leader is the server that starts what is due.
type Leader struct {
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// Leadership is the right to start what is due. Postgres takes it away the moment that the process
// dies. It is not safe for concurrent use.
type Leadership struct{ lock *pgx.Conn }

// Lead makes this process the leader unless another is; then it returns nil.
func (s *Store) Lead(ctx context.Context) (*Leadership, error) {
	// Who stands by asks every few seconds: not with a new connection each time.
	if led, err := s.led(ctx); err != nil || led {
		return nil, err
	}
	lock, locked, err := s.tryLockKey(ctx, leaderLock)
	if err != nil {
		return nil, fmt.Errorf("lead: %w", err)
	}
	if !locked {
		return nil, nil
	}
	l := &Leadership{lock: lock}
	host, pid := whoAmI()
	const query = `INSERT INTO etl.leader (host, pid, since) VALUES ($1, $2, now())
		ON CONFLICT (one) DO UPDATE SET host = excluded.host, pid = excluded.pid, since = excluded.since`
	if _, err := s.pool.Exec(ctx, query, host, pid); err != nil {
		l.Release(ctx)
		return nil, fmt.Errorf("lead: %w", err)
	}
	return l, nil
}

// Holds checks that this process still leads.
func (l *Leadership) Holds(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	return l.lock.Ping(ctx)
}

// Release lets another lead, also when ctx has ended.
func (l *Leadership) Release(ctx context.Context) { unlock(ctx, l.lock) }

// CurrentLeader returns the server that leads, or nil when there is none.
func (s *Store) CurrentLeader(ctx context.Context) (*Leader, error) {
	if led, err := s.led(ctx); err != nil || !led {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `SELECT host, pid, since FROM etl.leader`)
	if err != nil {
		return nil, fmt.Errorf("look for the server that leads: %w", err)
	}
	leader, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Leader])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil // it has the lock and has not said who it is
	}
	if err != nil {
		return nil, fmt.Errorf("look for the server that leads: %w", err)
	}
	return &leader, nil
}

// led reports whether a server leads.
func (s *Store) led(ctx context.Context) (led bool, err error) {
	if err := s.pool.QueryRow(ctx, fmt.Sprintf(heldLock, leaderLock)).Scan(&led); err != nil {
		return false, fmt.Errorf("look for the server that leads: %w", err)
	}
	return led, nil
}

// Locked reports whether a process runs the pipeline now.
func (s *Store) Locked(ctx context.Context, pipeline string) (locked bool, err error) {
	if err := s.pool.QueryRow(ctx, fmt.Sprintf(heldLock, pipelineLock), pipeline).Scan(&locked); err != nil {
		return false, fmt.Errorf("look whether pipeline %q is being run: %w", pipeline, err)
	}
	return locked, nil
}
