package run

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/reconcile"
	"bulkhead/internal/state"
)

// maxAttempts is how often a run sends a record that fails for a passing reason, the first time
// included.
const maxAttempts = 4

// transient reports whether a record that did not load is worth sending again by the run itself:
// locks and their kin, and rows that were rolled back because of a neighbour. The list is that of the
// Bulk API guide's "General Guidelines for Data Loads" and of what loaders met in the wild.
func transient(kind reconcile.Kind, e reconcile.RowError) bool {
	switch e.Code {
	case "UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "REQUEST_RUNNING_TOO_LONG", "UNKNOWN_EXCEPTION":
		return true
	case "TooManyLockFailure", "Timeout", "ServerUnavailable":
		return kind == reconcile.KindUnprocessed
	case "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "CANNOT_EXECUTE_FLOW_TRIGGER":
		// The message is in the user's language; these parts of it are not translated.
		for _, sign := range []string{"UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access", "Too many retries of batch save", "LimitException", "CPU time limit"} {
			if strings.Contains(e.Message, sign) {
				return true
			}
		}
	}
	return false
}

// again decides what becomes of a chunk's transient failures: another chunk, as long as the attempts
// last.
func (s *stepRun) again(ctx context.Context, c *state.Chunk, child **state.Chunk) reconcile.Options {
	options := reconcile.Options{Parse: parseRecordError}
	if c.Attempt >= maxAttempts {
		return options
	}
	options.Transient = transient
	options.Requeue = func(tx pgx.Tx) (int64, error) {
		wait := s.cfg.RetryWait << (c.Attempt - 1)
		next, err := s.lease.PlanRetry(ctx, tx, c, time.Now().Add(wait))
		if err != nil {
			return 0, err
		}
		*child = next
		return next.ID, nil
	}
	return options
}
