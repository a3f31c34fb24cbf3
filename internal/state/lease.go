package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrFenced says that another process has taken the run over: this one must stop at once and write
// nothing more of it.
var ErrFenced = errors.New("another process has taken this run over")

// ErrFinished says that a run has nothing left to resume.
var ErrFinished = errors.New("nothing of it is left to resume; start another with \"etl run\"")

// HeldError says that another process holds the pipeline's lock.
type HeldError struct {
	Pipeline  string
	RunID     int64 // 0 when the holder has not written its run yet
	Host      string
	PID       int
	StartedAt time.Time
}

func (e *HeldError) Error() string {
	if e.RunID == 0 {
		return fmt.Sprintf("pipeline %q is locked by another etl that is just starting", e.Pipeline)
	}
	return fmt.Sprintf("pipeline %q is being run already: run %d, process %d on %s, since %s",
		e.Pipeline, e.RunID, e.PID, e.Host, e.StartedAt.Format(time.RFC3339))
}

// UnfinishedError says that an earlier run of the pipeline was not finished. Starting another beside
// it could load records twice.
type UnfinishedError struct {
	Run Run
}

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("run %d of pipeline %q (%s, started %s) is not finished; finish it with \"etl resume %d\", or give it up with \"etl run --abandon\"",
		e.Run.ID, e.Run.Pipeline, e.Run.State, e.Run.StartedAt.Format(time.RFC3339), e.Run.ID)
}

// Lease is the right to drive one run. It holds the pipeline's advisory lock on a connection of its
// own, which Postgres drops the moment the process dies, and the run's epoch, which every write
// checks. It is safe for concurrent use.
type Lease struct {
	store    *Store
	pipeline string
	run      int64
	epoch    int64
	clock    clock

	mu   sync.Mutex
	lock *pgx.Conn // holds the pipeline's lock

	seqs sequences
}

// RunID is the run that the lease drives.
func (l *Lease) RunID() int64 { return l.run }

// NewRun describes a run to start.
type NewRun struct {
	Pipeline, File string
	Definition     []byte
	Trigger        Trigger
	Options        any // stored as JSON, for the resume
	OrgID          string
	InstanceURL    string
	Steps          []NewStep
	Describes      []Describe // the objects as the org describes them now
	// Prepare, which may be nil, completes the steps while the pipeline is locked, so that the watermarks
	// it is given stay where they are. An error of it is returned as it is, and nothing is recorded.
	Prepare func(ctx context.Context, marks []Watermark, steps []NewStep) error
	// Abandon gives up the pipeline's unfinished runs instead of refusing to start beside them.
	Abandon bool
	// GiveUp, which may be nil, hears in the same transaction of the key ranges of runs given up that may
	// have been sent and are not accounted for.
	GiveUp func(ctx context.Context, tx pgx.Tx, chunks []*Chunk) error
	// Claim, where not nil, is that of the fire that the run begins for: it begins only while the claim holds.
	Claim *Claim
}

// NewStep is a step of a run to start.
type NewStep struct {
	Name, Object, Operation string
	Window                  *Window // nil: every row
}

// Start locks the pipeline and records a new run. It returns a *HeldError when another process runs
// the pipeline, an *UnfinishedError when an earlier run waits to be resumed, and ErrNotClaimed when the
// claim is another's.
func (s *Store) Start(ctx context.Context, n NewRun) (*Lease, error) {
	lock, err := s.lockPipeline(ctx, n.Pipeline)
	if err != nil {
		return nil, err
	}
	lease := &Lease{store: s, pipeline: n.Pipeline, lock: lock, epoch: 1}
	if err := s.prepare(ctx, n); err != nil {
		lease.Release(ctx)
		return nil, err
	}
	err = s.inTx(ctx, WriteStart, func(tx pgx.Tx) error {
		if err := settleEarlier(ctx, tx, s, n); err != nil {
			return err
		}
		lease.run, lease.clock, err = insertRun(ctx, tx, n)
		if err != nil || n.Claim == nil {
			return err
		}
		return beginFire(ctx, tx, *n.Claim, lease.run)
	})
	if err != nil {
		lease.Release(ctx)
		return nil, err
	}
	return lease, nil
}

func (s *Store) prepare(ctx context.Context, n NewRun) error {
	if n.Prepare == nil {
		return nil
	}
	// It is looked at again where the run is recorded; whoever left one hears of it before the source is read.
	if !n.Abandon {
		if err := refuseUnfinished(ctx, s, n.Pipeline); err != nil {
			return err
		}
	}
	marks, err := s.Watermarks(ctx, n.Pipeline)
	if err != nil {
		return err
	}
	return n.Prepare(ctx, marks, n.Steps)
}

// Take locks the pipeline of an unfinished run and takes the run over, raising its epoch: whoever
// drove it before can write nothing more.
func (s *Store) Take(ctx context.Context, runID int64) (*Lease, error) {
	run, err := s.Run(ctx, runID)
	if err != nil {
		return nil, err
	}
	lock, err := s.lockPipeline(ctx, run.Pipeline)
	if err != nil {
		return nil, err
	}
	lease := &Lease{store: s, pipeline: run.Pipeline, lock: lock, run: runID}
	host, pid := whoAmI()
	// FOR UPDATE waits for writers that hold the fence (FOR KEY SHARE); a plain UPDATE would not.
	err = s.inTx(ctx, WriteTake, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM etl.runs WHERE id = $1 FOR UPDATE`, runID); err != nil {
			return err
		}
		// It may have been finished, or given up, since the caller looked.
		rows, err := tx.Query(ctx, `SELECT `+runColumns+` FROM etl.runs r WHERE r.id = $1`, runID)
		if err != nil {
			return err
		}
		current, err := pgx.CollectExactlyOneRow(rows, scanRun)
		if err != nil {
			return err
		}
		if !current.Unfinished {
			return fmt.Errorf("it is %s: %w", current.State, ErrFinished)
		}
		const query = `UPDATE etl.runs SET epoch = epoch + 1, state = 'running', finished_at = NULL, error = NULL, host = $2, pid = $3,
				paused_at = paused_at || least(coalesce(finished_at, (SELECT max(updated_at) FROM etl.chunks WHERE run_id = $1), started_at), clock_timestamp()),
				resumed_at = resumed_at || clock_timestamp()
			WHERE id = $1 RETURNING epoch, clock_timestamp()`
		var now time.Time
		if err := tx.QueryRow(ctx, query, runID, host, pid).Scan(&lease.epoch, &now); err != nil {
			return err
		}
		lease.clock = newClock(now)
		return nil
	})
	if err != nil {
		lease.Release(ctx)
		return nil, fmt.Errorf("take run %d over: %w", runID, err)
	}
	return lease, nil
}

// Release gives the lock back, also when ctx has ended. The run stays as it is.
func (l *Lease) Release(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	unlock(ctx, l.lock)
}

// releaseTime bounds what is asked of a server that may no longer answer.
const releaseTime = 5 * time.Second

// unlock gives the lock back that a session holds, and closes it. Closing drops the lock too, but only
// when the server gets to it; whoever comes next must not find it still held.
func unlock(ctx context.Context, lock *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	_, _ = lock.Exec(ctx, `SELECT pg_advisory_unlock_all()`)
	_ = lock.Close(ctx)
}

// relock takes the pipeline's lock again where the session that held it is gone. Where that does not
// work, because the server still counts the dead session among the living, the run goes on without:
// what keeps two processes apart is the epoch, the lock only tells the second one sooner.
func (l *Lease) relock(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if l.lock.Ping(ctx) == nil {
		return
	}
	_ = l.lock.Close(ctx)
	if lock, locked, err := l.store.tryLock(ctx, l.pipeline); err == nil && locked {
		l.lock = lock
	}
}

func (s *Store) lockPipeline(ctx context.Context, pipeline string) (*pgx.Conn, error) {
	conn, locked, err := s.tryLock(ctx, pipeline)
	if err != nil || locked {
		return conn, err
	}
	held := &HeldError{Pipeline: pipeline}
	runs, err := s.Runs(ctx, RunFilter{Pipeline: pipeline, State: RunRunning, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(runs) > 0 {
		held.RunID, held.Host, held.PID, held.StartedAt = runs[0].ID, runs[0].Host, runs[0].PID, runs[0].StartedAt
	}
	return nil, held
}

// pipelineLock is the advisory lock of a pipeline, whose name is $1.
const pipelineLock = `hashtextextended('etl.pipeline:' || $1, 0)`

// tryLock takes the pipeline's lock on a connection of its own, unless another session has it.
func (s *Store) tryLock(ctx context.Context, pipeline string) (conn *pgx.Conn, locked bool, err error) {
	conn, locked, err = s.tryLockKey(ctx, pipelineLock, pipeline)
	if err != nil {
		return nil, false, fmt.Errorf("lock pipeline %q: %w", pipeline, err)
	}
	return conn, locked, nil
}

// tryLockKey takes an advisory lock on a connection of its own, unless another session has it. key is
// the SQL of its key.
func (s *Store) tryLockKey(ctx context.Context, key string, args ...any) (conn *pgx.Conn, locked bool, err error) {
	conn, err = pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return nil, false, fmt.Errorf("state database: %w", err)
	}
	// A machine that vanishes says nothing: the server itself has to find out, within a minute instead of
	// hours, before another machine can take the lock.
	const query = `SELECT pg_try_advisory_lock(%s) FROM (SELECT set_config('tcp_keepalives_idle', '30', false),
		set_config('tcp_keepalives_interval', '10', false), set_config('tcp_keepalives_count', '3', false)) AS keepalives`
	err = conn.QueryRow(ctx, fmt.Sprintf(query, key), args...).Scan(&locked)
	if err == nil && locked {
		return conn, true, nil
	}
	_ = conn.Close(context.WithoutCancel(ctx))
	return nil, false, err
}

// settleEarlier deals with what earlier processes left of the pipeline. The lock is ours, so
// whatever still says `running` belongs to nobody.
func settleEarlier(ctx context.Context, tx pgx.Tx, s *Store, n NewRun) error {
	pipeline := n.Pipeline
	// FOR UPDATE waits for the last commit of a process that has just died, or lost its lock: it may
	// record the chunk that makes its run one to resume.
	if _, err := tx.Exec(ctx, `SELECT FROM etl.runs WHERE pipeline = $1 AND state = 'running' FOR UPDATE`, pipeline); err != nil {
		return fmt.Errorf("look at the earlier runs of pipeline %q: %w", pipeline, err)
	}
	if !n.Abandon {
		if err := refuseUnfinished(ctx, s, pipeline); err != nil {
			return err
		}
	}
	unfinished, err := s.Runs(ctx, RunFilter{Pipeline: pipeline, Unfinished: true})
	if err != nil {
		return err
	}
	for _, run := range unfinished {
		// FOR UPDATE waits for the writes that are under way, such as an intention to close a job.
		if _, err := tx.Exec(ctx, `SELECT FROM etl.runs WHERE id = $1 FOR UPDATE`, run.ID); err != nil {
			return fmt.Errorf("give up run %d: %w", run.ID, err)
		}
		const query = `UPDATE etl.runs SET epoch = epoch + 1, state = 'inconsistent', abandoned_at = now(), finished_at = coalesce(finished_at, now()),
			error = concat_ws('; ', error, 'given up unfinished: its open chunks are not accounted for') WHERE id = $1`
		if _, err := tx.Exec(ctx, query, run.ID); err != nil {
			return fmt.Errorf("give up run %d: %w", run.ID, err)
		}
		if err := giveUp(ctx, tx, s, n, run.ID); err != nil {
			return fmt.Errorf("give up run %d: %w", run.ID, err)
		}
	}
	const query = `UPDATE etl.runs SET epoch = epoch + 1, state = 'failed', finished_at = now(), error = 'the process ended before anything was sent'
		WHERE pipeline = $1 AND state = 'running'`
	if _, err := tx.Exec(ctx, query, pipeline); err != nil {
		return fmt.Errorf("close the earlier runs of pipeline %q: %w", pipeline, err)
	}
	return nil
}

// giveUp passes on which key ranges of a run may have been sent.
func giveUp(ctx context.Context, tx pgx.Tx, s *Store, n NewRun, runID int64) error {
	if n.GiveUp == nil {
		return nil
	}
	chunks, err := s.readChunks(ctx, `WHERE c.run_id = $1 AND c.kind = 'range' AND c.state NOT IN ('planned', 'spooled', 'reconciled') ORDER BY c.id`, runID)
	if err != nil {
		return err
	}
	return n.GiveUp(ctx, tx, chunks)
}

// refuseUnfinished returns an *UnfinishedError where a run of the pipeline waits to be resumed.
func refuseUnfinished(ctx context.Context, s *Store, pipeline string) error {
	unfinished, err := s.Runs(ctx, RunFilter{Pipeline: pipeline, Unfinished: true, Limit: 1})
	if err != nil {
		return err
	}
	if len(unfinished) > 0 {
		return &UnfinishedError{Run: unfinished[0]}
	}
	return nil
}

func insertRun(ctx context.Context, tx pgx.Tx, n NewRun) (int64, clock, error) {
	options, err := json.Marshal(n.Options)
	if err != nil {
		return 0, clock{}, fmt.Errorf("record the run's options: %w", err)
	}
	host, pid := whoAmI()
	const insertRun = `INSERT INTO etl.runs (pipeline, state, trigger, host, pid, org_id, instance_url, file, definition, options)
		VALUES ($1, 'running', $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id, clock_timestamp()`
	var id int64
	var now time.Time
	err = tx.QueryRow(ctx, insertRun, n.Pipeline, string(n.Trigger), host, pid, n.OrgID, n.InstanceURL, n.File, string(n.Definition), options).Scan(&id, &now)
	if err != nil {
		return 0, clock{}, fmt.Errorf("record the run: %w", err)
	}
	began := newClock(now)
	for i, step := range n.Steps {
		const insertStep = `INSERT INTO etl.steps (run_id, position, name, object, operation, changes) VALUES ($1, $2, $3, $4, $5, $6)`
		if _, err := tx.Exec(ctx, insertStep, id, i+1, step.Name, step.Object, step.Operation, step.Window); err != nil {
			return 0, clock{}, fmt.Errorf("record step %q: %w", step.Name, err)
		}
	}
	return id, began, insertDescribes(ctx, tx, id, n.Pipeline, n.Describes)
}

func whoAmI() (host string, pid int) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host, os.Getpid()
}
