package state_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/pgtest"
	"bulkhead/internal/state"
)

// A process that lost its lock, or died, may have one commit on its way: the first chunk of its run.
// Another run that starts in that moment must not overlook it.
func TestStartWaitsForTheLastCommitOfTheRunBefore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.lease.Release(t.Context())
	started := make(chan error, 1)
	sp := state.Spooled{File: "f", High: []string{"10", "a"}, RowsSent: 10}
	_, err := b.lease.AddRange(t.Context(), b.step.ID, 1, sp, func(pgx.Tx, int64) error {
		go func() {
			lease, err := b.store.Start(t.Context(), newRun(false))
			if err == nil {
				lease.Release(t.Context())
			}
			started <- err
		}()
		return b.awaitWaiter(t)
	})
	if err != nil {
		t.Fatal(err)
	}
	var unfinished *state.UnfinishedError
	if err := <-started; !errors.As(err, &unfinished) {
		t.Errorf("another run was started: %v", err)
	}
}

// awaitWaiter returns when somebody waits for a lock.
func (b bundle) awaitWaiter(t *testing.T) error {
	t.Helper()
	conn := pgtest.Conn(t, b.dsn)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		var waiting bool
		const query = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`
		if err := conn.QueryRow(t.Context(), query).Scan(&waiting); err != nil || waiting {
			return err
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			return t.Context().Err()
		}
	}
}
