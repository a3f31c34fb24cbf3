package state

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Spooled is what a chunk's file holds once it is complete and durable.
type Spooled struct {
	File      string
	Low, High []string
	RowsSent  int64
	Rejected  int64
	Unchanged int64
	Bytes     int64
	CRC32C    uint32
	Trail     Trail // of a new chunk, until its file was whole
}

// AddRange records a chunk that extraction has just cut, as spooled; seq is of NextSeq. rejected stores the chunk's
// rejected records in the same transaction, which may be tried more than once.
func (l *Lease) AddRange(ctx context.Context, stepID int64, seq int, sp Spooled, rejected func(tx pgx.Tx, chunkID int64) error) (*Chunk, error) {
	c := &Chunk{RunID: l.run, StepID: stepID, Seq: seq, Kind: ChunkRange, Attempt: 1, State: ChunkSpooled}
	c.take(sp)
	c.Trail = sp.Trail
	c.Trail.write(l.Now(), StageQueue)
	landed := func(ctx context.Context) (bool, error) {
		return l.finds(ctx, &c.ID, `SELECT id FROM etl.chunks WHERE run_id = $1 AND step_id = $3 AND seq = $4 AND kind = 'range' AND file = $5`, stepID, seq, sp.File)
	}
	err := l.fenced(ctx, write{what: Arrow{chunkNew, ChunkSpooled}.Write(), landed: landed, do: func(tx pgx.Tx) error {
		const query = `INSERT INTO etl.chunks (run_id, step_id, seq, kind, state, key_low, key_high, file, rows_sent, bytes, crc32c, rows_read, rows_rejected, rows_unchanged, stages, stages_at)
			VALUES ($1, $2, $3, 'range', 'spooled', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id`
		stages, at := c.Trail.columns()
		err := tx.QueryRow(ctx, query, l.run, stepID, seq, sp.Low, sp.High, sp.File, sp.RowsSent, sp.Bytes, int64(sp.CRC32C), c.Read, c.Rejected, c.Unchanged, stages, at).Scan(&c.ID)
		if err != nil {
			return err
		}
		if err := rejected(tx, c.ID); err != nil {
			return err
		}
		return l.addCounts(ctx, tx, stepID, Counts{Read: c.Read, Rejected: c.Rejected, Unchanged: c.Unchanged})
	}})
	if err != nil {
		return nil, fmt.Errorf("record chunk %d: %w", seq, err)
	}
	c.Trail.written(l.Now())
	return c, nil
}

// Plan records a chunk of records that the reconciliation table holds. claim marks them as the
// chunk's and returns how many there were; with none the chunk is not recorded and nil is returned.
func (l *Lease) Plan(ctx context.Context, stepID int64, kind ChunkKind, claim func(tx pgx.Tx, chunkID int64) (int64, error)) (*Chunk, error) {
	var c *Chunk
	landed := func(ctx context.Context) (bool, error) {
		return l.finds(ctx, new(int64), `SELECT id FROM etl.chunks WHERE run_id = $1 AND id = $3 AND step_id = $4 AND seq = $5`, c.ID, stepID, c.Seq)
	}
	err := l.fenced(ctx, write{what: Arrow{chunkNew, ChunkPlanned}.Write(), landed: landed, do: func(tx pgx.Tx) error {
		var err error
		if c, err = l.plan(ctx, tx, stepID, kind, nil, nil); err != nil {
			return err
		}
		n, err := claim(tx, c.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return errNothingClaimed
		}
		return nil
	}})
	if errors.Is(err, errNothingClaimed) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("plan a chunk: %w", err)
	}
	return c, nil
}

// errNothingClaimed rolls the planning of an empty chunk back.
var errNothingClaimed = errors.New("nothing claimed")

// PlanRetry records, inside the transaction that settles parent, a later chunk that sends records of
// it again, not before the given time.
func (l *Lease) PlanRetry(ctx context.Context, tx pgx.Tx, parent *Chunk, notBefore time.Time) (*Chunk, error) {
	return l.plan(ctx, tx, parent.StepID, ChunkPayload, parent, &notBefore)
}

func (l *Lease) plan(ctx context.Context, tx pgx.Tx, stepID int64, kind ChunkKind, parent *Chunk, notBefore *time.Time) (*Chunk, error) {
	c := &Chunk{RunID: l.run, StepID: stepID, Kind: kind, Attempt: 1, State: ChunkPlanned, NotBefore: notBefore}
	if parent != nil {
		c.ParentID, c.Attempt, c.Step = &parent.ID, parent.Attempt+1, parent.Step
	}
	c.Trail = l.planned(notBefore)
	var err error
	if c.Seq, err = l.seqs.next(ctx, tx, stepID); err != nil {
		return nil, err
	}
	const query = `INSERT INTO etl.chunks (run_id, step_id, seq, kind, parent_id, attempt, not_before, state, stages, stages_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 'planned', $8, $9) RETURNING id`
	stages, at := c.Trail.columns()
	err = tx.QueryRow(ctx, query, l.run, stepID, c.Seq, string(kind), c.ParentID, c.Attempt, notBefore, stages, at).Scan(&c.ID)
	return c, err
}

// planned is the trail of a chunk that is to be filled, now or not before a time on this machine's clock.
func (l *Lease) planned(notBefore *time.Time) (t Trail) {
	now := l.Now()
	if notBefore != nil {
		if rest := time.Until(*notBefore); rest > 0 {
			t.Turn(StageRest, now)
			now = now.Add(rest)
		}
	}
	t.Turn(StageQueue, now)
	return t
}

// Respool records that a planned chunk's file is complete. A range that is extracted again after its
// file was lost may hold other rows than before: the counts follow. One that has outgrown a chunk ends at
// sp.High, before its old end: what lies between them is planned as another chunk, which is returned, in
// the same transaction. rest is nil otherwise.
func (l *Lease) Respool(ctx context.Context, c *Chunk, sp Spooled, rejected func(tx pgx.Tx, chunkID int64) error) (rest *Chunk, err error) {
	next := *c
	next.State = ChunkSpooled
	next.take(sp)
	split := outgrown(c, &next)
	err = l.move(ctx, c, &next, []ChunkState{ChunkPlanned}, func(tx pgx.Tx) error {
		if err := rejected(tx, c.ID); err != nil {
			return err
		}
		if split {
			if rest, err = l.planRange(ctx, tx, c, sp.High, c.KeyHigh); err != nil {
				return err
			}
		}
		change := Counts{Read: next.Read - c.Read, Rejected: next.Rejected - c.Rejected, Unchanged: next.Unchanged - c.Unchanged}
		if c.ParentID != nil {
			change.Read = 0 // these records were read, and counted, with the chunk they come from
		}
		return l.addCounts(ctx, tx, c.StepID, change)
	})
	if err != nil {
		return nil, err
	}
	return rest, nil
}

// outgrown reports whether the range of a chunk has become shorter, because its rows fill more than one.
func outgrown(c, next *Chunk) bool {
	return c.Kind == ChunkRange && !slices.Equal(c.KeyHigh, next.KeyHigh)
}

// planRange plans a chunk for the keys (low, high] of another one's step.
func (l *Lease) planRange(ctx context.Context, tx pgx.Tx, of *Chunk, low, high []string) (*Chunk, error) {
	c, err := l.plan(ctx, tx, of.StepID, ChunkRange, nil, nil)
	if err != nil {
		return nil, err
	}
	c.Step, c.KeyLow, c.KeyHigh = of.Step, low, high
	_, err = tx.Exec(ctx, `UPDATE etl.chunks SET key_low = $2, key_high = $3 WHERE id = $1`, c.ID, low, high)
	return c, err
}

// Unspool records that the file of a chunk whose job was never closed is gone: it is to be extracted again.
func (l *Lease) Unspool(ctx context.Context, c *Chunk) error {
	next := *c
	next.State = ChunkPlanned
	return l.move(ctx, c, &next, []ChunkState{ChunkSpooled}, nil)
}

// Created records the job that was created for the chunk.
func (l *Lease) Created(ctx context.Context, c *Chunk, jobID string) error {
	next := *c
	next.State, next.JobID = ChunkCreated, jobID
	return l.move(ctx, c, &next, []ChunkState{ChunkSpooled}, nil)
}

// Replace records that the org has confirmed the chunk's job as ended with nothing processed: another
// is to be created.
func (l *Lease) Replace(ctx context.Context, c *Chunk) error {
	next := *c
	next.State, next.Replaced, next.JobID = ChunkSpooled, append(append([]string(nil), c.Replaced...), c.JobID), ""
	return l.move(ctx, c, &next, []ChunkState{ChunkCreated, ChunkUploaded}, nil)
}

// Uploaded records that the org has acknowledged the chunk's content.
func (l *Lease) Uploaded(ctx context.Context, c *Chunk) error {
	next := *c
	next.State = ChunkUploaded
	return l.move(ctx, c, &next, []ChunkState{ChunkCreated}, nil)
}

// Closing records the intention to close the chunk's job. From here on the job is never replaced.
func (l *Lease) Closing(ctx context.Context, c *Chunk) error {
	next := *c
	next.State = ChunkClosing
	return l.move(ctx, c, &next, []ChunkState{ChunkUploaded}, nil)
}

// Submitted records that the chunk's job is closed, so that the org processes it.
func (l *Lease) Submitted(ctx context.Context, c *Chunk) error {
	next := *c
	next.State = ChunkSubmitted
	return l.move(ctx, c, &next, []ChunkState{ChunkCreated, ChunkUploaded, ChunkClosing}, nil)
}

// JobEnd is the final word of a job on itself.
type JobEnd struct {
	State             string
	Error             string
	Processed, Failed int64
}

// Finished records how the chunk's job ended.
func (l *Lease) Finished(ctx context.Context, c *Chunk, end JobEnd) error {
	next := *c
	next.State, next.JobState, next.JobError = ChunkFinished, end.State, end.Error
	next.Processed, next.JobFailed = &end.Processed, &end.Failed
	return l.move(ctx, c, &next, []ChunkState{ChunkSubmitted}, nil)
}

// Settle runs settle, which writes the chunk's reconciliation rows and returns its ends, and records
// the chunk as reconciled, all in one transaction. Counts that do not balance are refused. settle is
// called again where the state database went away in the middle, and nothing of it was committed.
func (l *Lease) Settle(ctx context.Context, c *Chunk, settle func(tx pgx.Tx) (ends Counts, requeued int64, err error)) error {
	next := *c
	next.State = ChunkReconciled
	err := l.fenced(ctx, write{what: writeOf(c, &next), landed: l.arrived(c, &next), late: true, do: func(tx pgx.Tx) error {
		ends, requeued, err := settle(tx)
		if err != nil {
			return err
		}
		next.Requeued, next.Error, next.Trail = requeued, "", c.Trail
		next.Trail.write(l.Now(), StageDone)
		next.Loaded, next.Failed, next.Unprocessed = ends.Loaded, ends.Failed, ends.Unprocessed
		next.Held = ends.Held
		if !next.Balanced() {
			return fmt.Errorf("chunk %d: %s, and %d requeued: the sums differ", c.Seq, next.Counts, requeued)
		}
		// The fence comes late: settling may read results for minutes, and a take-over need not wait for that.
		if err := l.checkFence(ctx, tx); err != nil {
			return err
		}
		if err := l.update(ctx, tx, c, &next, []ChunkState{ChunkFinished, ChunkSpooled}); err != nil {
			return err
		}
		ends.Read, ends.Rejected, ends.Unchanged = 0, 0, 0 // counted when the chunk was spooled
		return l.addCounts(ctx, tx, c.StepID, ends)
	}})
	if err != nil {
		return fmt.Errorf("settle chunk %d: %w", c.Seq, err)
	}
	*c = next
	return nil
}

// Halt records why a chunk can go no further for now; its state stays, so that a resume goes on
// from there.
func (l *Lease) Halt(ctx context.Context, c *Chunk, reason string) error {
	next := *c
	next.Error = reason
	return l.moveTo(ctx, c, &next, StageHalted, []ChunkState{c.State}, nil)
}

// Discard removes the chunks of a step of which nothing was ever sent, so that the step can be
// extracted afresh. It refuses when a job exists for any of them.
//
// forget removes, in the same transaction, what else was recorded of the chunks.
func (l *Lease) Discard(ctx context.Context, stepID int64, forget func(tx pgx.Tx, chunkIDs []int64) error) error {
	return l.fenced(ctx, write{what: WriteDiscard, do: func(tx pgx.Tx) error {
		var sent int64
		err := tx.QueryRow(ctx, `SELECT count(*) FROM etl.chunks WHERE step_id = $1 AND (state <> 'spooled' OR replaced_jobs <> '{}')`, stepID).Scan(&sent)
		if err != nil {
			return fmt.Errorf("discard chunks: %w", err)
		}
		if sent > 0 {
			return fmt.Errorf("discard chunks: %d of them were sent", sent)
		}
		var back Counts
		var ids []int64
		const remove = `WITH gone AS (DELETE FROM etl.chunks WHERE step_id = $1 RETURNING id, rows_read, rows_rejected, rows_unchanged)
			SELECT coalesce(array_agg(id), '{}'), -coalesce(sum(rows_read), 0)::bigint, -coalesce(sum(rows_rejected), 0)::bigint, -coalesce(sum(rows_unchanged), 0)::bigint FROM gone`
		if err := tx.QueryRow(ctx, remove, stepID).Scan(&ids, &back.Read, &back.Rejected, &back.Unchanged); err != nil {
			return fmt.Errorf("discard chunks: %w", err)
		}
		if err := forget(tx, ids); err != nil {
			return fmt.Errorf("discard chunks: %w", err)
		}
		return l.addCounts(ctx, tx, stepID, back)
	}})
}

func (c *Chunk) take(sp Spooled) {
	c.File, c.KeyLow, c.KeyHigh = sp.File, sp.Low, sp.High
	c.RowsSent, c.Bytes, c.CRC32C = sp.RowsSent, sp.Bytes, sp.CRC32C
	c.Read, c.Rejected, c.Unchanged = sp.RowsSent+sp.Rejected+sp.Unchanged, sp.Rejected, sp.Unchanged
}

// move commits one arrow of the state machine. more runs in the same transaction, after the update.
func (l *Lease) move(ctx context.Context, c, next *Chunk, from []ChunkState, more func(pgx.Tx) error) error {
	return l.moveTo(ctx, c, next, next.NextStage(), from, more)
}

// moveTo is move for a chunk that goes on with a stage of its own.
func (l *Lease) moveTo(ctx context.Context, c, next *Chunk, then Stage, from []ChunkState, more func(pgx.Tx) error) error {
	next.Trail.write(l.Now(), then)
	err := l.fenced(ctx, write{what: writeOf(c, next), landed: l.arrived(c, next), do: func(tx pgx.Tx) error {
		if err := l.update(ctx, tx, c, next, from); err != nil {
			return err
		}
		if more == nil {
			return nil
		}
		return more(tx)
	}})
	if err != nil {
		return fmt.Errorf("chunk %d from %s to %s: %w", c.Seq, c.State, next.State, err)
	}
	*c = *next
	c.Trail.written(l.Now())
	return nil
}

// arrived reads whether a chunk whose move was committed with the answer lost stands where it was to go.
func (l *Lease) arrived(c, next *Chunk) func(context.Context) (bool, error) {
	if c.State == next.State {
		return nil // only the reason of a halt is written: twice is once
	}
	return func(ctx context.Context) (bool, error) {
		const query = `SELECT id FROM etl.chunks WHERE run_id = $1 AND id = $3 AND state = $4 AND coalesce(job_id, '') = $5`
		return l.finds(ctx, new(int64), query, c.ID, string(next.State), next.JobID)
	}
}

// finds runs a query for one id, of a row of the run ($1), and reports whether it found it while the run
// is still the lease's ($2 is the epoch). The row of a run that was taken over is not found; the write
// that is then tried again finds itself fenced.
func (l *Lease) finds(ctx context.Context, id *int64, query string, args ...any) (bool, error) {
	err := l.store.pool.QueryRow(ctx, query+` AND EXISTS (SELECT FROM etl.runs WHERE id = $1 AND epoch = $2)`, append([]any{l.run, l.epoch}, args...)...).Scan(id)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// writeOf names the move of a chunk; one that stays where it is has halted.
func writeOf(c, next *Chunk) Write {
	switch {
	case c.State == next.State:
		return WriteHalt
	case outgrown(c, next):
		return WriteSplit
	}
	return Arrow{c.State, next.State}.Write()
}

func (l *Lease) update(ctx context.Context, tx pgx.Tx, c, next *Chunk, from []ChunkState) error {
	if c.State != next.State && !slices.Contains(Arrows(), Arrow{c.State, next.State}) {
		return errors.New("there is no such move")
	}
	const query = `UPDATE etl.chunks SET state = $3, file = $4, key_low = $5, key_high = $6, rows_sent = $7, bytes = $8, crc32c = $9,
			job_id = NULLIF($10, ''), job_state = NULLIF($11, ''), job_error = NULLIF($12, ''), records_processed = $13, records_failed = $14,
			replaced_jobs = $15, rows_read = $16, rows_loaded = $17, rows_failed = $18, rows_unprocessed = $19, rows_rejected = $20,
			rows_held = $21, rows_unchanged = $22, rows_requeued = $23, error = NULLIF($24, ''), stages = $25, stages_at = $26, updated_at = now()
		WHERE id = $1 AND state = ANY ($2::text[])`
	states := make([]string, len(from))
	for i, s := range from {
		states[i] = string(s)
	}
	replaced := next.Replaced
	if replaced == nil {
		replaced = []string{}
	}
	stages, at := next.Trail.columns()
	tag, err := tx.Exec(ctx, query, c.ID, states, string(next.State), next.File, next.KeyLow, next.KeyHigh, next.RowsSent, next.Bytes, int64(next.CRC32C),
		next.JobID, next.JobState, next.JobError, next.Processed, next.JobFailed,
		replaced, next.Read, next.Loaded, next.Failed, next.Unprocessed, next.Rejected,
		next.Held, next.Unchanged, next.Requeued, next.Error, stages, at)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("it is in another state than %v", states)
	}
	return nil
}
