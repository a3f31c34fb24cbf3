package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.uber.org/zap"

	"bulkhead/internal/bulkv2"
	"bulkhead/internal/spool"
	"bulkhead/internal/state"
)

// maxUploads is how often a chunk's upload is begun before the chunk halts.
const maxUploads = 5

// maxCreates is how often a job's creation is tried when the answers get lost.
const maxCreates = 3

// chunk drives a chunk through its states until it is reconciled. What an earlier process left of it
// is looked at with other eyes than what this one has just done: its job is asked first.
func (s *stepRun) chunk(ctx context.Context, c *state.Chunk) error {
	fresh := c.CreatedAt.IsZero() // cut by this process
	if !fresh && (c.State == state.ChunkCreated || c.State == state.ChunkUploaded) {
		if err := s.ask(ctx, c); err != nil {
			return err
		}
	}
	for uploads := 0; ; {
		if err := s.takeTurn(ctx, c); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if s.halts.stopped() && unsent(c.State) {
			return nil // it stays as it is, for the resume
		}
		before := c.State
		var err error
		switch c.State {
		case state.ChunkPlanned:
			err = s.fill(ctx, c)
		case state.ChunkSpooled:
			err = s.create(ctx, c, fresh)
		case state.ChunkCreated:
			uploads++
			err = s.upload(ctx, c, uploads)
		case state.ChunkUploaded:
			err = s.close(ctx, c)
		case state.ChunkClosing:
			err = s.closeJob(ctx, c)
		case state.ChunkSubmitted:
			err = s.wait(ctx, c)
		case state.ChunkFinished:
			err = s.settle(ctx, c)
		case state.ChunkReconciled:
			s.progress.settled.Add(1)
			return s.cleanUp(c)
		case state.ChunkStopped, state.ChunkFailed:
			return fmt.Errorf("it is %s: %s", c.State, c.Error)
		}
		if err != nil {
			return err
		}
		s.log.Debug("chunk moved on", zap.Int("chunk", c.Seq), zap.String("from", string(before)), zap.String("to", string(c.State)), zap.String("job_id", c.JobID))
	}
}

// takeTurn waits, with a job that is ready to be closed, until the org is to process another one.
func (s *stepRun) takeTurn(ctx context.Context, c *state.Chunk) error {
	switch {
	case c.State == state.ChunkUploaded:
		err := s.turns.wait(ctx, c)
		c.Trail.Turn(state.StageClose, s.lease.Now())
		return err
	case inOrg(c.State):
		s.turns.take(c)
	case c.State == state.ChunkReconciled, c.State == state.ChunkFinished && s.mayStop(c):
		// It is passed on when the chunk is done with: the step may have to stop.
	default:
		s.turns.leave(c)
	}
	return nil
}

// unsent reports whether nothing of a chunk has been given to Salesforce to process.
func unsent(at state.ChunkState) bool {
	switch at {
	case state.ChunkPlanned, state.ChunkSpooled, state.ChunkCreated, state.ChunkUploaded:
		return true
	case state.ChunkClosing, state.ChunkSubmitted, state.ChunkFinished, state.ChunkReconciled, state.ChunkStopped, state.ChunkFailed:
	}
	return false
}

// cleanUp removes a reconciled chunk's files and passes on what settling found.
func (s *stepRun) cleanUp(c *state.Chunk) error {
	if err := s.removeFile(c.File); err != nil {
		return err
	}
	return s.checkStops(c)
}

// create makes a job for the chunk and records its id before anything is sent.
func (s *stepRun) create(ctx context.Context, c *state.Chunk, fresh bool) error {
	if c.RowsSent == 0 {
		return s.settleEmpty(ctx, c)
	}
	if !fresh {
		if ok, err := s.verify(ctx, c); err != nil || !ok {
			return err
		}
	}
	rest := func(ctx context.Context) error { return s.restForLimit(ctx, c) }
	for try, began := 1, time.Now(); ; try++ {
		if err := s.engine.meter.admit(ctx, c, rest); err != nil {
			if s.halts.stopped() {
				return nil // another chunk has said so
			}
			return err
		}
		// Nothing is asked of the org while what becomes of it could not be recorded.
		c.Trail.Turn(state.StageState, s.lease.Now())
		if err := s.lease.Hold(ctx); err != nil {
			return err
		}
		c.Trail.Turn(state.StageCreate, s.lease.Now())
		job, err := s.createJob(ctx)
		if err == nil {
			record, cancel := shield(ctx)
			defer cancel()
			return s.lease.Created(record, c, job.ID)
		}
		if bulkv2.LimitReached(err) && s.engine.meter.pauses(began, err) {
			if err := rest(ctx); err != nil {
				return err
			}
			try--
			continue
		}
		if bulkv2.NothingAccepted(err) || try == maxCreates {
			return s.refused("create a job", err)
		}
		// The answer is lost. If a job was made it is Open and empty for ever, and does nothing.
		s.log.Warn("the answer to a job's creation is lost; creating another", zap.Int("chunk", c.Seq), zap.Error(err))
		if err := pause(ctx, s.cfg.UploadWait<<(try-1)); err != nil {
			return err
		}
	}
}

// restForLimit waits a while for the org to have room again.
func (s *stepRun) restForLimit(ctx context.Context, c *state.Chunk) error {
	c.Trail.Turn(state.StageLimit, s.lease.Now())
	err := pause(ctx, s.engine.meter.limits.Look)
	c.Trail.Turn(state.StageCreate, s.lease.Now())
	return err
}

// createJob is not torn apart by an interruption: a job whose id nobody read stays in the org.
func (s *stepRun) createJob(ctx context.Context) (bulkv2.Job, error) {
	act, cancel := shield(ctx)
	defer cancel()
	return s.cfg.Bulk.Create(act, s.jobSpec())
}

func (s *stepRun) jobSpec() bulkv2.JobSpec {
	spec := bulkv2.JobSpec{Object: s.plan.Object.Name, Operation: bulkv2.Operation(s.plan.Step.Operation), LineEnding: bulkv2.LF}
	if spec.Operation == bulkv2.Upsert {
		spec.ExternalIDField = s.plan.matchBy
	}
	return spec
}

// verify checks that the file of a chunk that another process spooled is here and whole; if not, the
// chunk is extracted again by its key range.
func (s *stepRun) verify(ctx context.Context, c *state.Chunk) (bool, error) {
	file, err := s.cfg.Spool.Open(c.File)
	if err == nil {
		err = file.Verify(c.Bytes, c.CRC32C)
	}
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, spool.ErrGone) && !errors.Is(err, spool.ErrDamaged) {
		return false, err
	}
	s.log.Info("chunk file is lost; extracting it again", zap.Int("chunk", c.Seq), zap.Error(err))
	if err := s.removeFile(c.File); err != nil {
		return false, err
	}
	return false, s.lease.Unspool(ctx, c)
}

// body is a chunk's file as an upload.
type body struct{ file *spool.File }

func (b body) Open() (io.ReadCloser, error) { return b.file.CSV() }
func (b body) Size() int64                  { return b.file.Size() }

// upload sends the chunk. Where the outcome is unknown the job is replaced: it was never closed, so
// nothing of it was processed.
func (s *stepRun) upload(ctx context.Context, c *state.Chunk, try int) error {
	file, err := s.cfg.Spool.Open(c.File)
	if errors.Is(err, spool.ErrGone) {
		return s.replace(ctx, c, err, try)
	}
	if err != nil {
		return err
	}
	err = s.cfg.Bulk.Upload(ctx, c.JobID, body{file})
	if err == nil {
		record, cancel := shield(ctx)
		defer cancel()
		if err := s.lease.Uploaded(record, c); err != nil {
			return err
		}
		s.progress.uploaded.Add(c.RowsSent)
		return nil
	}
	return s.replace(ctx, c, err, try)
}

// replace drops a job that was never closed, so that the next turn creates another. cause is why.
func (s *stepRun) replace(ctx context.Context, c *state.Chunk, cause error, try int) error {
	act, cancel := shield(ctx)
	defer cancel()
	if err := s.drop(act, c); err != nil {
		return errors.Join(cause, err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.log.Info("upload broke off; the job is replaced", zap.Int("chunk", c.Seq), zap.Error(cause))
	if bulkv2.NothingAccepted(cause) && !bulkv2.Retryable(cause) {
		return s.refused("upload", cause)
	}
	if try == maxUploads {
		return fmt.Errorf("upload, tried %d times: %w", try, cause)
	}
	return pause(ctx, s.cfg.UploadWait<<(try-1))
}

// drop aborts the chunk's job and, once the org confirms that it ended with nothing processed,
// forgets it. A job that went on in spite of us is followed like any other.
func (s *stepRun) drop(ctx context.Context, c *state.Chunk) error {
	_, abortErr := s.cfg.Bulk.Abort(ctx, c.JobID)
	// The answer to an abort has no counters, so the job is read, whatever the answer was.
	job, err := s.cfg.Bulk.Info(ctx, c.JobID)
	if bulkv2.NotFound(err) {
		// Deleted by somebody. We never closed it, so it was never processed.
		return s.lease.Replace(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("job %s was not closed, and could not be dropped: %w", c.JobID, errors.Join(abortErr, err))
	}
	switch {
	case job.State == bulkv2.Aborted && job.RecordsProcessed == 0:
		return s.lease.Replace(ctx, c)
	case job.State == bulkv2.Open:
		return fmt.Errorf("job %s is still Open, and could not be aborted: %w", c.JobID, abortErr)
	}
	return s.lease.Submitted(ctx, c)
}

// ask looks at the job of a chunk that another process left: one that is Open is dropped if its
// upload may be half there, and closed if the upload was acknowledged.
func (s *stepRun) ask(ctx context.Context, c *state.Chunk) error {
	job, err := s.cfg.Bulk.Info(ctx, c.JobID)
	switch {
	case bulkv2.NotFound(err):
		return s.lease.Replace(ctx, c)
	case err != nil:
		return fmt.Errorf("ask job %s how it stands: %w", c.JobID, err)
	case job.State == bulkv2.Open && c.State == state.ChunkUploaded:
		s.progress.uploaded.Add(c.RowsSent)
		return nil
	case job.State == bulkv2.Open || job.State == bulkv2.Aborted && job.RecordsProcessed == 0:
		return s.drop(ctx, c)
	}
	return s.lease.Submitted(ctx, c)
}

// close records the intention and then closes the job: from here on it is never replaced.
func (s *stepRun) close(ctx context.Context, c *state.Chunk) error {
	act, cancel := shield(ctx)
	defer cancel()
	if err := s.lease.Closing(act, c); err != nil {
		return err
	}
	return s.closeJob(act, c)
}

func (s *stepRun) closeJob(ctx context.Context, c *state.Chunk) error {
	act, cancel := shield(ctx)
	defer cancel()
	job, err := s.cfg.Bulk.Close(act, c.JobID)
	if bulkv2.NotFound(err) {
		return goneError(c)
	}
	if err != nil && !job.Terminal() {
		return s.refused("close job "+c.JobID, err)
	}
	return s.lease.Submitted(act, c)
}

// wait follows the job to its end, for as long as the pipeline allows.
func (s *stepRun) wait(ctx context.Context, c *state.Chunk) error {
	job, err := s.cfg.Bulk.Wait(ctx, c.JobID, bulkv2.WaitOptions{
		Limit: s.plan.Step.JobTimeout, Rows: c.RowsSent, MinInterval: s.cfg.PollMin, MaxInterval: s.cfg.PollMax,
		OnPoll: func(job bulkv2.Job) { s.progress.job(job.ID, job.RecordsProcessed, job.RecordsFailed) },
	})
	var running *bulkv2.StillRunningError
	switch {
	case errors.As(err, &running):
		return &stopError{fmt.Sprintf("%v; nothing is lost, go on with \"etl resume %d\"", err, c.RunID)}
	case bulkv2.NotFound(err):
		return goneError(c)
	case err != nil:
		return err
	}
	s.progress.jobDone(job.ID, job.RecordsProcessed, job.RecordsFailed)
	record, cancel := shield(ctx)
	defer cancel()
	return s.lease.Finished(record, c, state.JobEnd{
		State: string(job.State), Error: job.ErrorMessage, Processed: job.RecordsProcessed, Failed: job.RecordsFailed,
	})
}

// goneError is for a job that may have been closed and that the org does not know any more: nobody can
// tell what became of its records.
func goneError(c *state.Chunk) error {
	return fmt.Errorf("%w: job %s is gone from the org, so its %d records with keys %s cannot be accounted for; \"etl verify %d\" looks an upsert's up",
		ErrInconsistent, c.JobID, c.RowsSent, keysOf(c), c.RunID)
}

// keysOf says which rows of the source a chunk holds.
func keysOf(c *state.Chunk) string {
	switch {
	case c.Kind != state.ChunkRange:
		return "of the reconciliation table"
	case c.KeyLow == nil:
		return fmt.Sprintf("up to (%s)", strings.Join(c.KeyHigh, ", "))
	}
	return fmt.Sprintf("after (%s) up to (%s)", strings.Join(c.KeyLow, ", "), strings.Join(c.KeyHigh, ", "))
}

// refused makes a stop of a refusal that every other chunk would meet too.
func (s *stepRun) refused(what string, err error) error {
	if bulkv2.LimitReached(err) {
		return &stopError{fmt.Sprintf("%s: %v; the org's limit is used up, go on later with \"etl resume %d\"", what, err, s.lease.RunID())}
	}
	if bulkv2.NothingAccepted(err) && !bulkv2.Retryable(err) {
		return &stopError{fmt.Sprintf("%s: %v", what, err)}
	}
	return fmt.Errorf("%s: %w", what, err)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
