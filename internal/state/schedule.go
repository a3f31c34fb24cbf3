package state

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Schedule is what is known of a pipeline's schedule: one row of etl.schedules.
type Schedule struct {
	Pipeline       string
	Cron, Timezone string     // as a server saw them last; empty when none has
	DecidedUntil   *time.Time // what was due up to here has been decided on; nil: nothing has
	PausedAt       *time.Time // nil: it is not paused
}

// Schedules returns what is known of all schedules, by pipeline.
func (s *Store) Schedules(ctx context.Context) (map[string]Schedule, error) {
	rows, err := s.pool.Query(ctx, `SELECT pipeline, cron, timezone, decided_until, paused_at FROM etl.schedules`)
	if err != nil {
		return nil, fmt.Errorf("read the schedules: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Schedule])
	if err != nil {
		return nil, fmt.Errorf("read the schedules: %w", err)
	}
	known := make(map[string]Schedule, len(list))
	for _, one := range list {
		known[one.Pipeline] = one
	}
	return known, nil
}

// BeginSchedule records a schedule that is new, or has changed: what was due before now is of no interest.
func (s *Store) BeginSchedule(ctx context.Context, pipeline, cron, timezone string, now time.Time) error {
	const query = `INSERT INTO etl.schedules (pipeline, cron, timezone, decided_until) VALUES ($1, $2, $3, $4)
		ON CONFLICT (pipeline) DO UPDATE SET cron = excluded.cron, timezone = excluded.timezone,
			decided_until = greatest(etl.schedules.decided_until, excluded.decided_until)`
	if _, err := s.pool.Exec(ctx, query, pipeline, cron, timezone, now); err != nil {
		return fmt.Errorf("record the schedule of pipeline %q: %w", pipeline, err)
	}
	return nil
}

// NewFire is a fire to claim, or to record as left out.
type NewFire struct {
	At     time.Time
	State  FireState // FireClaimed or FireSkipped
	Waits  bool
	Missed int64
	Reason string
}

// Decide records what is done about all that was due for a pipeline up to a time, and claims the runs
// among it: all of it, or nothing when another server has decided meanwhile, or the schedule is paused.
func (s *Store) Decide(ctx context.Context, known Schedule, until time.Time, fires []NewFire) (decided bool, err error) {
	host, pid := whoAmI()
	err = s.inTx(ctx, writeNothing, func(tx pgx.Tx) error {
		const advance = `UPDATE etl.schedules SET decided_until = $3
			WHERE pipeline = $1 AND decided_until = $2 AND paused_at IS NULL AND cron = $4 AND timezone = $5`
		tag, err := tx.Exec(ctx, advance, known.Pipeline, known.DecidedUntil, until, known.Cron, known.Timezone)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		decided = true
		for _, f := range fires {
			const claim = `INSERT INTO etl.fires (pipeline, fire_at, origin, state, waits, missed, reason, host, pid, finished_at)
				VALUES ($1, $2, 'schedule', $3, $4, $5, $6, $7, $8, CASE WHEN $3 = 'skipped' THEN now() END)
				ON CONFLICT (pipeline, fire_at) WHERE origin = 'schedule' DO NOTHING`
			if _, err := tx.Exec(ctx, claim, known.Pipeline, f.At, string(f.State), f.Waits, f.Missed, f.Reason, host, pid); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("claim a run of pipeline %q: %w", known.Pipeline, err)
	}
	return decided, nil
}

// Pause lets no run of the pipeline begin by its schedule, on any server, until Unpause. It reports
// whether it was not paused before.
func (s *Store) Pause(ctx context.Context, pipeline string) (changed bool, err error) {
	const query = `INSERT INTO etl.schedules (pipeline, paused_at) VALUES ($1, now())
		ON CONFLICT (pipeline) DO UPDATE SET paused_at = now() WHERE etl.schedules.paused_at IS NULL`
	tag, err := s.pool.Exec(ctx, query, pipeline)
	if err != nil {
		return false, fmt.Errorf("pause pipeline %q: %w", pipeline, err)
	}
	return tag.RowsAffected() > 0, nil
}

// Unpause lets the schedule go on from now; what was due meanwhile is not made up for. It reports
// whether it was paused.
func (s *Store) Unpause(ctx context.Context, pipeline string, now time.Time) (changed bool, err error) {
	const query = `UPDATE etl.schedules SET paused_at = NULL, decided_until = greatest(decided_until, $2)
		WHERE pipeline = $1 AND paused_at IS NOT NULL`
	tag, err := s.pool.Exec(ctx, query, pipeline, now)
	if err != nil {
		return false, fmt.Errorf("resume pipeline %q: %w", pipeline, err)
	}
	return tag.RowsAffected() > 0, nil
}
