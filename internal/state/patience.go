package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Patience says how long a run waits for a state database that is away: restarting, failing over, out
// of connections or out of disk.
type Patience struct {
	// Limit is how long one write, or one read that the run cannot do without, is tried again, from its
	// first failure. 0: it is not.
	Limit time.Duration
	// Pause is the wait after the first failure; it doubles, up to 32 times as much. Default 100 ms.
	Pause time.Duration
	// Away hears once of each absence, Back of its end. Either may be nil. They are called from any goroutine.
	Away func(err error)
	Back func(after time.Duration)
}

// Patient returns the same store, waiting as p says. The leases that it gives wait too.
func (s *Store) Patient(p Patience) *Store {
	if p.Pause == 0 {
		p.Pause = 100 * time.Millisecond
	}
	return &Store{pool: s.pool, probe: s.probe, absence: &absence{patience: p}}
}

// Patiently calls read until the state database answers it, within the store's patience. It is for
// reads: read is called again whatever the lost call may have done.
func (s *Store) Patiently(ctx context.Context, read func(ctx context.Context) error) error {
	return s.absence.outlast(ctx, attempts{do: func(ctx context.Context) error {
		err := read(ctx)
		if err != nil && unanswered(err) {
			return &lostError{err: err}
		}
		return err
	}})
}

// attempts is a piece of work on the state database that may have to be tried again.
type attempts struct {
	do func(ctx context.Context) error
	// landed reads whether a commit of do whose answer was lost took effect. nil: doing it twice is
	// doing it once.
	landed func(ctx context.Context) (bool, error)
	// after, which may be nil, runs once do has got through in spite of an absence.
	after func(ctx context.Context)
}

// once makes one attempt. Where the outcome of the one before is unknown, it is found out first.
func (a attempts) once(ctx context.Context, unknown *bool) error {
	if *unknown && a.landed != nil {
		landed, err := a.landed(ctx)
		if err != nil && unanswered(err) {
			return &lostError{err: err}
		}
		if err != nil || landed {
			return err
		}
	}
	err := a.do(ctx)
	var lost *lostError
	*unknown = errors.As(err, &lost) && lost.committing
	return err
}

// absence is a state database that is away, as all writers of one run see it. A nil absence never waits.
type absence struct {
	patience Patience

	mu      sync.Mutex
	since   time.Time // zero: it is there
	givenUp bool      // somebody has waited in vain: nobody waits again until it is back
}

// outlast makes attempts until one gets through, fails for a reason that waiting does not mend, or the
// patience ends.
func (a *absence) outlast(ctx context.Context, work attempts) error {
	var began time.Time
	var unknown bool
	for wait := a.pause(); ; wait = min(2*wait, 32*a.pause()) {
		err := work.once(ctx, &unknown)
		if a == nil || ctx.Err() != nil {
			return err
		}
		if !away(err) {
			a.back()
			if err == nil && !began.IsZero() && work.after != nil {
				work.after(ctx)
			}
			return err
		}
		if began.IsZero() {
			began = time.Now()
		}
		if !a.wait(err, began) {
			return fmt.Errorf("%w; waited %v for the state database", err, time.Since(began).Round(time.Millisecond))
		}
		if sleep(ctx, wait) != nil {
			return err
		}
	}
}

func (a *absence) pause() time.Duration {
	if a == nil {
		return 0
	}
	return a.patience.Pause
}

// wait notes that the database is away, and reports whether to go on waiting for it.
func (a *absence) wait(err error, began time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.givenUp || time.Since(began) >= a.patience.Limit {
		a.givenUp = true
		return false
	}
	if a.since.IsZero() {
		a.since = began
		if a.patience.Away != nil {
			a.patience.Away(err)
		}
	}
	return true
}

// back notes that the database has answered.
func (a *absence) back() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.since.IsZero() && a.patience.Back != nil {
		a.patience.Back(time.Since(a.since))
	}
	a.since, a.givenUp = time.Time{}, false
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lostError is an attempt whose connection to the state database broke.
type lostError struct {
	err        error
	committing bool // while the commit was asked for, so that nobody knows whether it took effect
}

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// away reports whether err says that the state database is away, and not that it refuses.
func away(err error) bool {
	var lost *lostError
	var refused *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case err == nil:
		return false
	case errors.As(err, &refused) && errors.As(err, &connect):
		return passing(refused.Code) || refused.Code == "55000" // not accepting connections
	case errors.As(err, &refused):
		return passing(refused.Code) || errors.As(err, &lost)
	case errors.As(err, &lost), errors.As(err, &connect):
		return true
	}
	return false
}

// passing reports whether an SQLSTATE is one that time mends: connections, resources (53100 is a full
// disk), a server that shuts down, starts or changes roles (25006: it is a standby as yet), and
// transactions that stood in each other's way.
func passing(code string) bool {
	switch code[:min(2, len(code))] {
	case "08", "53", "58":
		return true
	}
	return slices.Contains([]string{"57P01", "57P02", "57P03", "57P05", "25006", "25P03", "40001", "40P01", "55P03"}, code)
}

// unanswered reports whether a read failed because of the connection.
func unanswered(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, pgconn.ErrConnClosed) || pgconn.SafeToRetry(err)
}

// tryTx runs fn in a transaction once. An error after which the connection is gone is a *lostError.
func (s *Store) tryTx(ctx context.Context, w Write, fn func(pgx.Tx) error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil && ctx.Err() == nil && unanswered(err) {
		return &lostError{err: err} // cut between connecting and the first statement
	}
	if err != nil {
		return err
	}
	defer conn.Release()
	lost := func(err error, committing bool) error {
		if err != nil && conn.Conn().IsClosed() && ctx.Err() == nil {
			return &lostError{err: err, committing: committing}
		}
		return err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return lost(err, false)
	}
	// After the commit this does nothing.
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := fn(tx); err != nil {
		return lost(err, false)
	}
	s.reach(w, beforeCommit)
	if err := tx.Commit(ctx); err != nil {
		return lost(err, true)
	}
	s.reach(w, afterCommit)
	return nil
}
