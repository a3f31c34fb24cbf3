package extract

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Clock is the source's time with what its open transactions make of it.
type Clock struct {
	Now string // of the source's clock
	// Safe is the start of the oldest transaction that is open, or else Now: whatever is committed
	// later carries a time that is not before it, if the database sets the time.
	Safe string
	// Standby is whether the source is one: it does not see the transactions of its primary at all.
	Standby bool
	// Blind says why transactions may be open that were not seen; empty where all are.
	Blind string
}

// reportTime is how long a transaction that has taken its time may need to show among the open ones.
const reportTime = 50 * time.Millisecond

// inUTC makes the texts of times the same in every session.
const inUTC = `SET TimeZone = 'UTC'`

// ReadClock reads the source's clock and looks for open transactions, on a connection that is in none.
//
// The clock comes first, so that a transaction that starts in between is either later than it or seen.
// Vacuum writes no rows, and the workers of a parallel query are their leader's. Of a prepared
// transaction only the time of its preparation is known, and of one of a session that does not track its
// activities, nothing but that it is open.
func ReadClock(ctx context.Context, conn *pgx.Conn) (Clock, error) {
	if _, err := conn.Exec(ctx, inUTC); err != nil {
		return Clock{}, fmt.Errorf("read the source's clock: %w", plain(err))
	}
	var clock Clock
	if err := conn.QueryRow(ctx, `SELECT clock_timestamp()::text`).Scan(&clock.Now); err != nil {
		return Clock{}, fmt.Errorf("read the source's clock: %w", plain(err))
	}
	if err := rest(ctx, reportTime); err != nil {
		return Clock{}, err
	}
	const query = `
		SELECT least($1::text::timestamptz, CASE WHEN pg_is_in_recovery() THEN pg_last_xact_replay_timestamp() END,
			(SELECT min(xact_start) FROM pg_stat_activity
			 WHERE datname = current_database() AND pid <> pg_backend_pid()
			   AND backend_type NOT IN ('autovacuum worker', 'parallel worker', 'walsender')),
			(SELECT min(prepared) FROM pg_prepared_xacts WHERE database = current_database()))::text,
		CASE WHEN pg_is_in_recovery() THEN 'it is a standby, which does not see the transactions of its primary'
		     WHEN NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
		     THEN format('the user %I may not see the transactions of other users (GRANT pg_read_all_stats TO %I)', current_user, current_user)
		     WHEN EXISTS (SELECT FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'virtualxid'
		                  WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state = 'disabled')
		     THEN 'a session with track_activities = off is in a transaction, and does not say since when'
		     ELSE '' END, pg_is_in_recovery()`
	if err := conn.QueryRow(ctx, query, clock.Now).Scan(&clock.Safe, &clock.Blind, &clock.Standby); err != nil {
		return Clock{}, fmt.Errorf("look for open transactions of the source: %w", plain(err))
	}
	return clock, nil
}
