package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNotClaimed says that the time a run was to begin for is another server's by now, or done.
var ErrNotClaimed = errors.New("another server has taken this time of the schedule over")

// FireState is where a fire stands, as etl.fires.state holds it.
type FireState string

// The states of a fire. Claimed and Running are open; the others are final.
const (
	FireClaimed FireState = "claimed" // no run of it has begun
	FireRunning FireState = "running" // its run has begun
	FireDone    FireState = "done"    // its run has ended; how, the run says
	FireFailed  FireState = "failed"  // no run came of it
	FireSkipped FireState = "skipped" // it was left out
)

// Origin says who wanted a fire.
type Origin string

// The origins of a fire.
const (
	OriginSchedule Origin = "schedule" // it was due
	OriginRequest  Origin = "request"  // somebody asked for it
)

// Fire is a time at which a pipeline was due to run, and what became of it: one row of etl.fires.
type Fire struct {
	ID         int64      `json:"id"`
	Pipeline   string     `json:"pipeline"`
	At         time.Time  `json:"fire_at"` // as the schedule says, before its jitter
	Origin     Origin     `json:"origin"`
	State      FireState  `json:"state"`
	Waits      bool       `json:"waits"`  // for a run that is still going, instead of being left out
	Missed     int64      `json:"missed"` // times before this one that nobody makes up for
	Reason     string     `json:"reason,omitempty"`
	RunID      int64      `json:"run_id,omitempty"` // 0: none has begun
	RunState   RunState   `json:"run_state,omitempty"`
	Epoch      int64      `json:"-"`
	Host       string     `json:"host"`
	PID        int        `json:"pid"`
	CreatedAt  time.Time  `json:"created_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

// Claim is the right to begin the run of the fire, until another server takes it over.
func (f Fire) Claim() Claim { return Claim{Fire: f.ID, Epoch: f.Epoch} }

// Claim is the right to begin the run of a fire.
type Claim struct{ Fire, Epoch int64 }

const fireColumns = `f.id, f.pipeline, f.fire_at, f.origin, f.state, f.waits, f.missed, f.reason, coalesce(f.run_id, 0), coalesce(r.state, ''),
	f.epoch, f.host, f.pid, f.created_at, f.finished_at`

const fireTables = ` FROM etl.fires f LEFT JOIN etl.runs r ON r.id = f.run_id `

func scanFire(row pgx.CollectableRow) (f Fire, err error) {
	err = row.Scan(&f.ID, &f.Pipeline, &f.At, &f.Origin, &f.State, &f.Waits, &f.Missed, &f.Reason, &f.RunID, &f.RunState,
		&f.Epoch, &f.Host, &f.PID, &f.CreatedAt, &f.FinishedAt)
	return f, err
}

func (s *Store) fires(ctx context.Context, rest string, args ...any) ([]Fire, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+fireColumns+fireTables+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("read the times of the schedules: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanFire)
	if err != nil {
		return nil, fmt.Errorf("read the times of the schedules: %w", err)
	}
	return list, nil
}

// OpenFires lists the fires with something left to do, the earliest first.
func (s *Store) OpenFires(ctx context.Context) ([]Fire, error) {
	return s.fires(ctx, `WHERE f.state IN ('claimed', 'running') ORDER BY f.fire_at, f.id`)
}

// LastFires lists the last fire of each pipeline.
func (s *Store) LastFires(ctx context.Context) ([]Fire, error) {
	return s.fires(ctx, `WHERE f.id IN (SELECT max(id) FROM etl.fires GROUP BY pipeline) ORDER BY f.pipeline`)
}

// TakeFires takes the open fires over from the servers before, but for those that this one is at:
// whoever held them can begin no run of theirs any more.
func (s *Store) TakeFires(ctx context.Context, mine []int64) (taken int64, err error) {
	host, pid := whoAmI()
	const query = `UPDATE etl.fires SET epoch = epoch + 1, host = $2, pid = $3 WHERE state IN ('claimed', 'running') AND id <> ALL ($1)`
	if mine == nil {
		mine = []int64{}
	}
	tag, err := s.pool.Exec(ctx, query, mine, host, pid)
	if err != nil {
		return 0, fmt.Errorf("take the times of the schedules over: %w", err)
	}
	return tag.RowsAffected(), nil
}

// FinishFire records what became of a claimed fire. It returns ErrNotClaimed when it is another's.
func (s *Store) FinishFire(ctx context.Context, c Claim, to FireState, reason string) error {
	const query = `UPDATE etl.fires SET state = $3, reason = $4, finished_at = now()
		WHERE id = $1 AND epoch = $2 AND state IN ('claimed', 'running')`
	tag, err := s.pool.Exec(ctx, query, c.Fire, c.Epoch, string(to), reason)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrNotClaimed
	}
	if err != nil {
		return fmt.Errorf("record what became of time %d of the schedules: %w", c.Fire, err)
	}
	return nil
}

// Request asks the server that leads for a run of the pipeline now.
func (s *Store) Request(ctx context.Context, pipeline string) (id int64, err error) {
	host, pid := whoAmI()
	const query = `INSERT INTO etl.fires (pipeline, fire_at, origin, state, waits, host, pid)
		VALUES ($1, now(), 'request', 'claimed', true, $2, $3) RETURNING id`
	if err := s.pool.QueryRow(ctx, query, pipeline, host, pid).Scan(&id); err != nil {
		return 0, fmt.Errorf("ask for a run of pipeline %q: %w", pipeline, err)
	}
	return id, nil
}

// beginFire ties a run to the fire that it begins for, in the transaction that records the run. A run
// that died before it had sent anything may have stood there before.
func beginFire(ctx context.Context, tx pgx.Tx, c Claim, run int64) error {
	const query = `UPDATE etl.fires SET state = 'running', run_id = $3 WHERE id = $1 AND epoch = $2 AND state IN ('claimed', 'running')`
	tag, err := tx.Exec(ctx, query, c.Fire, c.Epoch, run)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrNotClaimed
	}
	return err
}
