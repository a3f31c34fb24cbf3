package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// RunState is the state of a run, as etl.runs.state holds it.
type RunState string

// The states of a run. Succeeded and CompletedWithFailures are final; see Run.Unfinished for the others.
const (
	RunRunning               RunState = "running"
	RunSucceeded             RunState = "succeeded"
	RunCompletedWithFailures RunState = "completed_with_failures"
	RunStopped               RunState = "stopped"
	RunFailed                RunState = "failed"
	RunInconsistent          RunState = "inconsistent"
	RunInterrupted           RunState = "interrupted"
)

// Trigger says what started a run.
type Trigger string

// What can start a run.
const (
	TriggerManual   Trigger = "manual"
	TriggerSchedule Trigger = "schedule"
	TriggerRetry    Trigger = "retry"
)

// Run is one row of etl.runs.
type Run struct {
	ID         int64      `json:"id"`
	Pipeline   string     `json:"pipeline"`
	State      RunState   `json:"state"`
	Trigger    Trigger    `json:"trigger"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Counts
	APICalls    int64           `json:"api_calls"`
	Error       string          `json:"error,omitempty"`
	Host        string          `json:"host"`
	PID         int             `json:"pid"`
	OrgID       string          `json:"org_id"`
	InstanceURL string          `json:"instance_url"`
	File        string          `json:"file"`
	Definition  []byte          `json:"-"`
	Options     json.RawMessage `json:"options"`
	// Pauses are when nobody drove the run, between an interruption and its resume.
	Pauses []Pause `json:"pauses"`
	// Abandoned is whether somebody gave the run up unfinished.
	Abandoned bool `json:"abandoned"`
	// Unfinished is whether the run has sent something and can be resumed: it has rows to extract,
	// chunks that are not settled, or has not written down how it ended.
	Unfinished bool `json:"unfinished"`
}

const runColumns = `r.id, r.pipeline, r.state, r.trigger, r.started_at, r.finished_at,
	r.rows_read, r.rows_loaded, r.rows_failed, r.rows_unprocessed, r.rows_rejected, r.rows_held, r.rows_unchanged,
	r.api_calls, coalesce(r.error, ''), r.host, r.pid, r.org_id, r.instance_url, r.file, r.definition, r.options,
	r.paused_at, r.resumed_at,
	r.abandoned_at IS NOT NULL,
	r.abandoned_at IS NULL AND r.state NOT IN ('succeeded', 'completed_with_failures')
		AND EXISTS (SELECT FROM etl.chunks c WHERE c.run_id = r.id)
		AND (r.state = 'running'
		  OR EXISTS (SELECT FROM etl.chunks c WHERE c.run_id = r.id AND c.state <> 'reconciled')
		  OR EXISTS (SELECT FROM etl.steps s WHERE s.run_id = r.id AND s.state <> 'done')) AS unfinished`

func scanRun(row pgx.CollectableRow) (Run, error) {
	var r Run
	var definition string
	var paused, resumed []time.Time
	err := row.Scan(&r.ID, &r.Pipeline, &r.State, &r.Trigger, &r.StartedAt, &r.FinishedAt,
		&r.Read, &r.Loaded, &r.Failed, &r.Unprocessed, &r.Rejected, &r.Held, &r.Unchanged,
		&r.APICalls, &r.Error, &r.Host, &r.PID, &r.OrgID, &r.InstanceURL, &r.File, &definition, &r.Options,
		&paused, &resumed, &r.Abandoned, &r.Unfinished)
	r.Definition, r.Pauses = []byte(definition), pausesOf(paused, resumed)
	return r, err
}

// Run returns one run; ErrNotFound when there is none of that id.
func (s *Store) Run(ctx context.Context, id int64) (run Run, err error) {
	err = s.Patiently(ctx, func(ctx context.Context) error {
		run, err = s.readRun(ctx, id)
		return err
	})
	return run, err
}

func (s *Store) readRun(ctx context.Context, id int64) (Run, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+runColumns+` FROM etl.runs r WHERE r.id = $1`, id)
	if err != nil {
		return Run{}, fmt.Errorf("read run %d: %w", id, err)
	}
	run, err := pgx.CollectExactlyOneRow(rows, scanRun)
	if errors.Is(err, pgx.ErrNoRows) {
		return Run{}, fmt.Errorf("run %d: %w", id, ErrNotFound)
	}
	if err != nil {
		return Run{}, fmt.Errorf("read run %d: %w", id, err)
	}
	return run, nil
}

// RunFilter narrows Runs. Zero values select everything.
type RunFilter struct {
	Pipeline   string
	State      RunState
	Unfinished bool
	Limit      int // 0: no limit
}

// Runs lists runs, the newest first.
func (s *Store) Runs(ctx context.Context, f RunFilter) ([]Run, error) {
	const query = `SELECT * FROM (SELECT ` + runColumns + ` FROM etl.runs r
		WHERE ($1 = '' OR r.pipeline = $1) AND ($2 = '' OR r.state = $2)) AS r
		WHERE (NOT $3 OR unfinished) ORDER BY id DESC LIMIT NULLIF($4, 0)`
	rows, err := s.pool.Query(ctx, query, f.Pipeline, string(f.State), f.Unfinished, f.Limit)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	runs, err := pgx.CollectRows(rows, scanRun)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return runs, nil
}

// Pulse returns the time on the state database's clock, and whether a process holds the lock of the
// pipeline: whether a run of it that says `running` is being driven.
func (s *Store) Pulse(ctx context.Context, pipeline string) (now time.Time, driven bool, err error) {
	// The lock's number stands in two columns of 32 bits each.
	const query = `SELECT clock_timestamp(), EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND d.datname = current_database()
		  AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('etl.pipeline:' || $1, 0))`
	if err := s.pool.QueryRow(ctx, query, pipeline).Scan(&now, &driven); err != nil {
		return time.Time{}, false, fmt.Errorf("look whether pipeline %q is being run: %w", pipeline, err)
	}
	return now.UTC(), driven, nil
}
