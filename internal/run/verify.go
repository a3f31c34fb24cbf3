package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/bulkv2"
	"bulkhead/internal/extract"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/spool"
	"bulkhead/internal/state"
)

// VerifyOptions say what a verification does with what it finds.
type VerifyOptions struct {
	// Requeue closes the books of the chunks that were verified: what was found counts as loaded, what was
	// missing is put into the reconciliation table as unprocessed.
	Requeue bool
	// Missing, when set, hears of each record that is missing, by its source key and its external id.
	Missing func(step string, chunk int, key, externalID string)
}

// Verification is what the org has of the chunks of a run that its jobs do not account for.
type Verification struct {
	RunID    int64           `json:"run_id"`
	Pipeline string          `json:"pipeline"`
	Chunks   []VerifiedChunk `json:"chunks"`
	Present  int64           `json:"present"`
	Missing  int64           `json:"missing"`
	Run      *state.Run      `json:"run,omitempty"` // as it is after its books were closed; nil without Requeue
}

// VerifiedChunk is one of them.
type VerifiedChunk struct {
	Step      string           `json:"step"`
	Seq       int              `json:"seq"`
	State     state.ChunkState `json:"state"`
	JobID     string           `json:"job_id"`
	KeyLow    []string         `json:"key_low"`
	KeyHigh   []string         `json:"key_high"`
	Rows      int64            `json:"rows_sent"`
	Present   int64            `json:"present"` // in the org, and written since the chunk was cut
	Missing   int64            `json:"missing"`
	Untouched int64            `json:"untouched"` // of the missing: in the org, but not written since
	Why       string           `json:"why"`       // why the job does not account for it
	Unknown   string           `json:"unknown,omitempty"`
}

// Verify looks the records of a run's unaccountable chunks up in the org by their external id: those of
// a closed job that is gone, or whose results expired or do not add up. It changes nothing unless
// Requeue is set. A record that is there but was not written since the chunk was cut counts as missing:
// sending it again is harmless in an upsert, and believing it is not. Only upserts can be looked up.
func (e *Engine) Verify(ctx context.Context, runID int64, options VerifyOptions) (*Verification, error) {
	run, err := e.cfg.Store.Run(ctx, runID)
	if err != nil {
		return nil, err
	}
	var runOptions Options
	if err := json.Unmarshal(run.Options, &runOptions); err != nil {
		return nil, fmt.Errorf("run %d: read its options: %w", runID, err)
	}
	steps, err := e.steps(runOptions)
	if err != nil {
		return nil, err
	}
	plans, _, err := e.preflight(ctx, steps, Options{}, runID)
	if err != nil {
		return nil, err
	}
	var lease *state.Lease
	if options.Requeue {
		if lease, err = e.cfg.Store.Take(ctx, runID); err != nil {
			return nil, err
		}
		defer lease.Release(ctx)
	}
	v := &Verification{RunID: runID, Pipeline: run.Pipeline}
	verifyErr := e.verifyChunks(ctx, lease, plans, v, options)
	if lease == nil {
		return v, verifyErr
	}
	if err := e.closeVerified(ctx, lease, run, runOptions, plans, verifyErr); err != nil {
		return v, errors.Join(verifyErr, err)
	}
	after, err := e.cfg.Store.Run(ctx, runID)
	v.Run = &after
	return v, errors.Join(verifyErr, err)
}

func (e *Engine) verifyChunks(ctx context.Context, lease *state.Lease, plans []*stepPlan, v *Verification, options VerifyOptions) error {
	recorded, err := e.cfg.Store.Steps(ctx, v.RunID)
	if err != nil {
		return err
	}
	byName := make(map[string]*stepPlan, len(plans))
	for _, plan := range plans {
		byName[plan.Step.Name] = plan
	}
	for _, step := range recorded {
		chunks, err := e.cfg.Store.Unfinished(ctx, step.ID)
		if err != nil {
			return err
		}
		s := &stepRun{engine: e, cfg: e.cfg, lease: lease, plan: byName[step.Name], step: step, progress: &StepProgress{}, log: e.log, queue: newQueue(1)}
		for _, c := range chunks {
			if unsent(c.State) || s.plan == nil {
				continue
			}
			if err := s.verifyChunk(ctx, c, v, options); err != nil {
				return fmt.Errorf("step %q, chunk %d: %w", step.Name, c.Seq, err)
			}
		}
	}
	return nil
}

// verifyChunk looks one chunk up, and settles it where that is asked for and its count is right.
func (s *stepRun) verifyChunk(ctx context.Context, c *state.Chunk, v *Verification, options VerifyOptions) error {
	found := VerifiedChunk{Step: s.step.Name, Seq: c.Seq, State: c.State, JobID: c.JobID, KeyLow: c.KeyLow, KeyHigh: c.KeyHigh, Rows: c.RowsSent}
	var err error
	if found.Why, found.Unknown, err = s.accountability(ctx, c); err != nil {
		return err
	}
	if found.Unknown == "" {
		if err := s.look(ctx, c, &found, options); err != nil {
			return err
		}
	}
	v.Chunks = append(v.Chunks, found)
	v.Present += found.Present
	v.Missing += found.Missing
	return nil
}

// accountability says why a chunk's job does not account for it, or why it cannot be verified.
func (s *stepRun) accountability(ctx context.Context, c *state.Chunk) (why, unknown string, err error) {
	job, err := s.cfg.Bulk.Info(ctx, c.JobID)
	switch {
	case bulkv2.NotFound(err):
		why, err = "the job is gone from the org", nil
	case err != nil:
		return "", "", err
	case !job.Terminal():
		unknown = fmt.Sprintf("the job is still %s; go on with \"etl resume %d\"", job.State, c.RunID)
	case c.Error == "":
		unknown = fmt.Sprintf("the job is %s and may account for it; go on with \"etl resume %d\"", job.State, c.RunID)
	default:
		why = c.Error
	}
	switch {
	case unknown != "":
	case s.plan.Step.Operation != pipeline.Upsert:
		unknown = fmt.Sprintf("an %s has no external id to look its records up by", s.plan.Step.Operation)
	case c.Kind != state.ChunkRange:
		if file, openErr := s.cfg.Spool.Open(c.File); openErr != nil || file == nil {
			unknown = "its records came from the reconciliation table, and its file is gone"
		}
	}
	return why, unknown, err
}

// look counts what the org has of a chunk's records.
func (s *stepRun) look(ctx context.Context, c *state.Chunk, found *VerifiedChunk, options VerifyOptions) error {
	file, done, err := s.fileOf(ctx, c)
	if err != nil {
		return err
	}
	defer done()
	l := &lookup{step: s, file: file, since: c.CreatedAt}
	for r, err := range l.records(ctx) {
		switch {
		case err != nil:
			return err
		case r.written:
			found.Present++
			continue
		case r.there:
			found.Untouched++
		}
		found.Missing++
		if options.Missing != nil {
			options.Missing(s.step.Name, c.Seq, r.key, r.id)
		}
	}
	if n := found.Present + found.Missing; n != c.RowsSent {
		found.Unknown = fmt.Sprintf("the source has %d records in its key range now, %d were sent", n, c.RowsSent)
		return nil
	}
	if !options.Requeue {
		return nil
	}
	return s.account(ctx, c, *found, l)
}

// fileOf is the chunk's file, or one extracted again from its key range for the while.
func (s *stepRun) fileOf(ctx context.Context, c *state.Chunk) (*spool.File, func(), error) {
	if file, err := s.cfg.Spool.Open(c.File); err == nil {
		return file, func() {}, nil
	} else if !errors.Is(err, spool.ErrGone) {
		return nil, nil, err
	}
	name := spool.Name(c.RunID, s.step.Name+"-verify", c.Seq)
	remove := func() { _ = s.cfg.Spool.Remove(name) }
	if err := s.extractAgain(ctx, c, name); err != nil {
		remove()
		return nil, nil, err
	}
	file, err := s.cfg.Spool.Open(name)
	return file, remove, err
}

func (s *stepRun) extractAgain(ctx context.Context, c *state.Chunk, name string) error {
	conn, err := s.engine.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tx, err := extract.Begin(ctx, conn)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	where, args := extract.KeyCondition(s.plan.keyExprs(), s.plan.KeyTypes, c.KeyLow, c.KeyHigh, 1)
	spec := s.plan.spec(where, args, 0)
	spec.MaxRows, spec.MaxBytes = math.MaxInt64, math.MaxInt64
	query, err := extract.Prepare(ctx, tx, spec)
	if err != nil {
		return err
	}
	writer, err := s.cfg.Spool.Create(ctx, name, query.Header(), func() {})
	if err != nil {
		return err
	}
	begin := func(context.Context, int) (extract.Writer, error) { return chunkWriter{writer, s.progress, s.cfg}, nil }
	end := func(context.Context, extract.Chunk) error { return nil }
	if err := query.Stream(ctx, begin, end); err != nil {
		return errors.Join(err, writer.Abort())
	}
	_, err = writer.Commit()
	return err
}

// account settles a chunk by what was found in place of its job's results.
func (s *stepRun) account(ctx context.Context, c *state.Chunk, found VerifiedChunk, l *lookup) error {
	if c.State == state.ChunkClosing {
		if err := s.lease.Submitted(ctx, c); err != nil {
			return err
		}
	}
	if c.State == state.ChunkSubmitted {
		end := state.JobEnd{State: "Gone", Error: "NOT_FOUND : " + found.Why, Processed: found.Present}
		if err := s.lease.Finished(ctx, c, end); err != nil {
			return err
		}
	}
	book := s.bookOf(c)
	book.Job = reconcile.Job{
		ID: c.JobID, State: "Gone", Processed: found.Present,
		ErrorCode: "NOT_ACCOUNTED_FOR", ErrorMessage: fmt.Sprintf("%s; a query by %s found nothing written by it", found.Why, s.plan.matchBy),
	}
	var err error
	if book.Sent, err = sentOf(c, l.file); err != nil {
		return err
	}
	empty := func(context.Context) (reconcile.Results, error) { return &foundMissing{column: s.plan.matchBy}, nil }
	missing := func(ctx context.Context) (reconcile.Results, error) {
		next, stop := iter.Pull2(l.records(ctx))
		return &foundMissing{column: s.plan.matchBy, next: next, stop: stop}, nil
	}
	return s.lease.Settle(ctx, c, func(tx pgx.Tx) (state.Counts, int64, error) {
		outcome, err := reconcile.Settle(ctx, tx, book, reconcile.Downloads{Failed: empty, Unprocessed: missing, Successful: empty}, reconcile.Options{Parse: parseRecordError})
		return state.Counts{Loaded: outcome.Loaded, Failed: outcome.Failed, Unprocessed: outcome.Unprocessed}, outcome.Requeued, err
	})
}

// foundMissing are the records that a lookup does not find, as results.
type foundMissing struct {
	column string
	next   func() (sighting, error, bool)
	stop   func()
	record [1]string
	err    error
}

func (r *foundMissing) Header() []string { return []string{r.column} }
func (r *foundMissing) Record() []string { return r.record[:] }
func (r *foundMissing) Err() error       { return r.err }

func (r *foundMissing) Next() bool {
	for r.next != nil && r.err == nil {
		s, err, ok := r.next()
		if !ok {
			return false
		}
		if r.err = err; err == nil && !s.written {
			r.record[0] = s.id
			return true
		}
	}
	return false
}

func (r *foundMissing) Close() error {
	if r.stop != nil {
		r.stop()
	}
	return nil
}

// closeVerified ends the run anew: completely where nothing is left to do, else stopped, for a resume.
func (e *Engine) closeVerified(ctx context.Context, lease *state.Lease, run state.Run, options Options, plans []*stepPlan, cause error) error {
	steps, err := e.cfg.Store.Steps(ctx, run.ID)
	if err != nil {
		return err
	}
	chunks, err := e.cfg.Store.Chunks(ctx, run.ID, "")
	if err != nil {
		return err
	}
	left, sent := 0, 0
	for _, c := range chunks {
		if c.State != state.ChunkReconciled {
			left++
		}
		if c.State != state.ChunkReconciled && !unsent(c.State) {
			sent++
		}
	}
	for _, step := range steps {
		if step.ExtractedAt == nil {
			left++
		}
	}
	end, cancel := shield(ctx)
	defer cancel()
	switch {
	case left == 0 && cause == nil:
		_, err := e.drive(ctx, lease, options, plans) // sends nothing: it closes the steps and adds up
		return err
	case sent > 0 || cause != nil:
		return lease.FinishRun(end, state.RunInconsistent, run.Error, 0)
	}
	return lease.FinishRun(end, state.RunStopped, fmt.Sprintf("the chunks that were not accounted for are settled by verification; go on with \"etl resume %d\"", run.ID), 0)
}
