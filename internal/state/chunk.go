package state

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ChunkState is the state of a chunk, as etl.chunks.state holds it. docs/architecture.md draws the
// machine and says what each state means after a crash.
type ChunkState string

// The states of a chunk, in the order in which it passes through them.
const (
	ChunkPlanned    ChunkState = "planned"
	ChunkSpooled    ChunkState = "spooled"
	ChunkCreated    ChunkState = "created"
	ChunkUploaded   ChunkState = "uploaded"
	ChunkClosing    ChunkState = "closing"
	ChunkSubmitted  ChunkState = "submitted"
	ChunkFinished   ChunkState = "finished"
	ChunkReconciled ChunkState = "reconciled"
	ChunkStopped    ChunkState = "stopped"
	ChunkFailed     ChunkState = "failed"
)

// ChunkKind says where a chunk's records come from.
type ChunkKind string

// The kinds of chunk.
const (
	// ChunkRange is a key range (low, high] of the source.
	ChunkRange ChunkKind = "range"
	// ChunkKeys is a set of records of the reconciliation table, read again from the source by key.
	ChunkKeys ChunkKind = "keys"
	// ChunkPayload is a set of records of the reconciliation table, sent as they are stored there.
	ChunkPayload ChunkKind = "payload"
)

// Chunk is one row of etl.chunks.
type Chunk struct {
	ID        int64      `json:"id"`
	RunID     int64      `json:"run_id"`
	StepID    int64      `json:"-"`
	Step      string     `json:"step"`
	Seq       int        `json:"seq"`
	Kind      ChunkKind  `json:"kind"`
	ParentID  *int64     `json:"parent_id,omitempty"`
	Attempt   int        `json:"attempt"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	State     ChunkState `json:"state"`
	KeyLow    []string   `json:"key_low"`
	KeyHigh   []string   `json:"key_high"`
	File      string     `json:"-"`
	RowsSent  int64      `json:"rows_sent"`
	Bytes     int64      `json:"bytes"`
	CRC32C    uint32     `json:"-"`
	JobID     string     `json:"job_id,omitempty"`
	JobState  string     `json:"job_state,omitempty"`
	JobError  string     `json:"job_error,omitempty"`
	Processed *int64     `json:"records_processed,omitempty"`
	JobFailed *int64     `json:"records_failed,omitempty"`
	Replaced  []string   `json:"replaced_jobs,omitempty"`
	Counts
	Requeued  int64     `json:"rows_requeued"`
	Trail     Trail     `json:"stages"`
	Error     string    `json:"error,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Balanced reports whether every row of the chunk has exactly one end, a later chunk included.
func (c Chunk) Balanced() bool { return c.Read == c.Settled()+c.Requeued }

const chunkColumns = `c.id, c.run_id, c.step_id, s.name, c.seq, c.kind, c.parent_id, c.attempt, c.not_before, c.state,
	c.key_low, c.key_high, c.file, c.rows_sent, c.bytes, c.crc32c, coalesce(c.job_id, ''), coalesce(c.job_state, ''), coalesce(c.job_error, ''),
	c.records_processed, c.records_failed, c.replaced_jobs,
	c.rows_read, c.rows_loaded, c.rows_failed, c.rows_unprocessed, c.rows_rejected, c.rows_held, c.rows_unchanged,
	c.rows_requeued, c.stages, c.stages_at, coalesce(c.error, ''), c.created_at, c.updated_at`

const chunkTables = ` FROM etl.chunks c JOIN etl.steps s ON s.id = c.step_id `

func scanChunk(row pgx.CollectableRow) (*Chunk, error) {
	c := new(Chunk)
	var crc int64
	var stages []string
	var stagesAt []time.Time
	err := row.Scan(&c.ID, &c.RunID, &c.StepID, &c.Step, &c.Seq, &c.Kind, &c.ParentID, &c.Attempt, &c.NotBefore, &c.State,
		&c.KeyLow, &c.KeyHigh, &c.File, &c.RowsSent, &c.Bytes, &crc, &c.JobID, &c.JobState, &c.JobError,
		&c.Processed, &c.JobFailed, &c.Replaced,
		&c.Read, &c.Loaded, &c.Failed, &c.Unprocessed, &c.Rejected, &c.Held, &c.Unchanged,
		&c.Requeued, &stages, &stagesAt, &c.Error, &c.CreatedAt, &c.UpdatedAt)
	c.CRC32C, c.Trail = uint32(crc), trailOf(stages, stagesAt)
	return c, err
}

// Chunks lists the chunks of a run, or of one step of it where step is not empty, in order.
func (s *Store) Chunks(ctx context.Context, runID int64, step string) ([]*Chunk, error) {
	return s.queryChunks(ctx, `WHERE c.run_id = $1 AND ($2 = '' OR s.name = $2) ORDER BY s.position, c.seq`, runID, step)
}

// Unfinished lists the chunks of a step that are not reconciled, in order.
func (s *Store) Unfinished(ctx context.Context, stepID int64) ([]*Chunk, error) {
	return s.queryChunks(ctx, `WHERE c.step_id = $1 AND c.state <> 'reconciled' ORDER BY c.seq`, stepID)
}

// ChunkOfJob returns the chunk that a Bulk API job belongs to, also where the job was replaced by
// another since; ErrNotFound when no chunk knows it.
func (s *Store) ChunkOfJob(ctx context.Context, jobID string) (*Chunk, error) {
	chunks, err := s.queryChunks(ctx, `WHERE c.job_id = $1 OR $1 = ANY (c.replaced_jobs) ORDER BY c.id`, jobID)
	if err != nil {
		return nil, err
	}
	if len(chunks) == 0 {
		return nil, fmt.Errorf("job %s: %w", jobID, ErrNotFound)
	}
	return chunks[0], nil
}

// LastRange returns the highest seq that a step used and the high end of its last key range (nil
// when no range was cut yet): where an interrupted extraction goes on. The ranges follow one another, so the
// last one is that which no other begins after; by seq it need not be, since a range may have been split.
func (s *Store) LastRange(ctx context.Context, stepID int64) (seq int, high []string, err error) {
	const query = `SELECT coalesce(max(seq), 0),
		(SELECT key_high FROM etl.chunks c WHERE step_id = $1 AND kind = 'range' AND NOT EXISTS (
			SELECT FROM etl.chunks n WHERE n.step_id = $1 AND n.kind = 'range' AND n.key_low = c.key_high))
		FROM etl.chunks WHERE step_id = $1`
	err = s.Patiently(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, query, stepID).Scan(&seq, &high)
	})
	if err != nil {
		return 0, nil, fmt.Errorf("find where the extraction ended: %w", err)
	}
	return seq, high, nil
}

// GivenUp returns the chunks of a pipeline's abandoned runs that were to send records of the
// reconciliation table again and whose job was never closed, and never will be: their records are free.
func (s *Store) GivenUp(ctx context.Context, pipeline string) ([]int64, error) {
	const query = `SELECT c.id FROM etl.chunks c JOIN etl.runs r ON r.id = c.run_id
		WHERE r.pipeline = $1 AND r.abandoned_at IS NOT NULL AND c.kind <> 'range' AND c.state IN ('planned', 'spooled', 'created', 'uploaded')`
	rows, err := s.pool.Query(ctx, query, pipeline)
	if err != nil {
		return nil, fmt.Errorf("list chunks given up: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("list chunks given up: %w", err)
	}
	return ids, nil
}

// KnownJobs reports which of the job ids belong to a chunk.
func (s *Store) KnownJobs(ctx context.Context, jobIDs []string) (map[string]bool, error) {
	const query = `SELECT j FROM unnest($1::text[]) AS j
		WHERE EXISTS (SELECT FROM etl.chunks WHERE job_id = j) OR EXISTS (SELECT FROM etl.chunks WHERE j = ANY (replaced_jobs))`
	rows, err := s.pool.Query(ctx, query, jobIDs)
	if err != nil {
		return nil, fmt.Errorf("look the jobs up: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look the jobs up: %w", err)
	}
	known := make(map[string]bool, len(ids))
	for _, id := range ids {
		known[id] = true
	}
	return known, nil
}

func (s *Store) queryChunks(ctx context.Context, where string, args ...any) (chunks []*Chunk, err error) {
	err = s.Patiently(ctx, func(ctx context.Context) error {
		chunks, err = s.readChunks(ctx, where, args...)
		return err
	})
	return chunks, err
}

func (s *Store) readChunks(ctx context.Context, where string, args ...any) ([]*Chunk, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+chunkColumns+chunkTables+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list chunks: %w", err)
	}
	chunks, err := pgx.CollectRows(rows, scanChunk)
	if err != nil {
		return nil, fmt.Errorf("list chunks: %w", err)
	}
	return chunks, nil
}
