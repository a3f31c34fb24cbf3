package run

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"bulkhead/internal/state"
)

// defaultStateWait is how long a run waits for a state database that is away: a restart takes seconds,
// a failover a minute or two.
const defaultStateWait = 5 * time.Minute

// patience is how the engine waits for the state database; it says so once for each absence.
func (e *Engine) patience() state.Patience {
	return state.Patience{
		Limit: e.cfg.StateWait, Pause: e.cfg.StatePause,
		Away: func(err error) {
			e.log.Warn("the state database is away; the run waits for it", zap.Duration("at_most", e.cfg.StateWait), zap.Error(err))
		},
		Back: func(after time.Duration) {
			e.log.Info("the state database is back", zap.Duration("after", after))
		},
	}
}

// patiently makes a read of the state database in spite of its absences.
func (e *Engine) patiently(ctx context.Context, read func(ctx context.Context) error) error {
	return e.cfg.Store.Patiently(ctx, read)
}

// sourceWentAway reports whether an extraction ended because of the source's server or the way to it,
// which says nothing against the rows that were read until then: the connection broke, the server shut
// down, ran out of something, or cancelled the query (a time-out, a standby's recovery).
func sourceWentAway(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code[:min(2, len(refused.Code))] {
		case "08", "40", "53", "57", "58", "XX":
			return true
		}
		return false
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}
