package run

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"bulkhead/internal/bulkv2"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/spool"
	"bulkhead/internal/state"
)

// settleTries is how often the books of a chunk are done by the job's counters, which may lag behind
// its results, before they are done record by record.
const settleTries = 3

// wholeTries is how often they are done record by record before what is still open is believed.
const wholeTries = 3

// maxSettling is how many chunks are settled at once. Each takes memory for an index of its records, and
// the state database is busy with one where many of them failed.
const maxSettling = 2

// settle accounts for every record of a finished job and records the chunk as reconciled.
func (s *stepRun) settle(ctx context.Context, c *state.Chunk) error {
	select {
	case s.books <- struct{}{}:
		defer func() { <-s.books }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var mismatch *reconcile.MismatchError
	unmatched := false
	for try := 1; ; try++ {
		whole, last := unmatched || try > settleTries, try == settleTries+wholeTries
		outcome, err := s.settleOnce(ctx, c, whole)
		switch {
		case err == nil:
			s.reportSettled(c, outcome)
			return nil
		case errors.Is(err, reconcile.ErrUnmatched):
			unmatched = true
			continue
		case errors.As(err, &mismatch) && last:
			return fmt.Errorf("%w: %w", ErrInconsistent, err)
		case errors.As(err, &mismatch):
			s.log.Info("the job's counts and results do not add up yet", zap.Int("chunk", c.Seq), zap.Error(err))
		case bulkv2.NotFound(err):
			return fmt.Errorf("%w: the results of job %s are gone from the org (they are kept for 7 days), so its %d records with keys %s cannot be accounted for; \"etl verify %d\" looks an upsert's up: %w",
				ErrInconsistent, c.JobID, c.RowsSent, keysOf(c), c.RunID, err)
		case !bulkv2.Retryable(err) || last:
			return err
		}
		c.Trail.Turn(state.StageResults, s.lease.Now()) // it is the org that is waited for
		if err := pause(ctx, s.cfg.CountersSettle); err != nil {
			return err
		}
		if err := s.refresh(ctx, c); err != nil {
			return err
		}
	}
}

// refresh reads the job's counters again.
func (s *stepRun) refresh(ctx context.Context, c *state.Chunk) error {
	job, err := s.cfg.Bulk.Info(ctx, c.JobID)
	if err != nil {
		return fmt.Errorf("read job %s again: %w", c.JobID, err)
	}
	c.Processed, c.JobFailed, c.JobError = &job.RecordsProcessed, &job.RecordsFailed, job.ErrorMessage
	return nil
}

func (s *stepRun) settleOnce(ctx context.Context, c *state.Chunk, whole bool) (reconcile.Outcome, error) {
	chunk := s.bookOf(c)
	chunk.Whole = whole
	sent, err := s.sent(c)
	if err != nil {
		return reconcile.Outcome{}, err
	}
	chunk.Sent = sent
	var outcome reconcile.Outcome
	var child *state.Chunk
	options := s.again(ctx, c, &child)
	options.Settled = func(ctx context.Context, tx pgx.Tx, loaded func(int) bool) error {
		return s.keepRows(ctx, tx, c, sent, loaded)
	}
	err = s.lease.Settle(ctx, c, func(tx pgx.Tx) (state.Counts, int64, error) {
		var err error
		child = nil // of an attempt before, which was rolled back
		outcome, err = reconcile.Settle(ctx, tx, chunk, s.downloads(c), options)
		ends := state.Counts{Loaded: outcome.Loaded, Failed: outcome.Failed, Unprocessed: outcome.Unprocessed}
		return ends, outcome.Requeued, err
	})
	if err == nil && child != nil {
		s.log.Info("records that failed for a passing reason are sent again", zap.Int("chunk", c.Seq), zap.Int64("records", outcome.Requeued),
			zap.Int("next_chunk", child.Seq), zap.Timep("not_before", child.NotBefore))
		s.progress.again(outcome.Requeued)
		s.queue.put(child)
	}
	return outcome, err
}

// settleEmpty records a chunk of which every row was rejected: there is nothing to send.
func (s *stepRun) settleEmpty(ctx context.Context, c *state.Chunk) error {
	return s.lease.Settle(ctx, c, func(tx pgx.Tx) (state.Counts, int64, error) {
		return state.Counts{}, 0, reconcile.ReleaseClaims(ctx, tx, c.ID)
	})
}

// bookOf translates a chunk for the reconciliation.
func (s *stepRun) bookOf(c *state.Chunk) reconcile.Chunk {
	chunk := reconcile.Chunk{
		RunID: c.RunID, ID: c.ID, Pipeline: s.engine.pipeline.Name, Step: s.step.Name,
		Object: s.plan.Object.Name, Operation: string(s.plan.Step.Operation),
		Rows: c.RowsSent, ExternalID: s.plan.matchBy, ByRow: c.Kind == state.ChunkPayload,
		Job: reconcile.Job{ID: c.JobID, State: c.JobState},
	}
	chunk.Job.ErrorCode, chunk.Job.ErrorMessage = bulkv2.Job{ErrorMessage: c.JobError}.Failure()
	if c.Processed != nil {
		chunk.Job.Processed = *c.Processed
	}
	if c.JobFailed != nil {
		chunk.Job.Failed = *c.JobFailed
	}
	return chunk
}

// sent opens the chunk's file for matching; nil when it is gone, as on another machine.
func (s *stepRun) sent(c *state.Chunk) (*reconcile.Sent, error) {
	file, err := s.cfg.Spool.Open(c.File)
	if errors.Is(err, spool.ErrGone) || c.File == "" {
		s.log.Warn("chunk file is gone; failed records keep what the results say of them", zap.Int("chunk", c.Seq))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return sentOf(c, file)
}

// sentOf makes a file what the reconciliation matches results with.
func sentOf(c *state.Chunk, file *spool.File) (*reconcile.Sent, error) {
	line, err := file.Header()
	if err != nil {
		return nil, err
	}
	header, err := csv.NewReader(strings.NewReader(string(line))).Read()
	if err != nil {
		return nil, fmt.Errorf("chunk %d: header: %w", c.Seq, err)
	}
	open := func() (reconcile.Records, error) { return file.Records() }
	raw := func() (reconcile.Raw, error) { return file.Blocks() }
	return &reconcile.Sent{Header: header, Open: open, Raw: raw}, nil
}

func (s *stepRun) downloads(c *state.Chunk) reconcile.Downloads {
	open := func(get func(context.Context, string) (*bulkv2.Results, error)) func(context.Context) (reconcile.Results, error) {
		return func(ctx context.Context) (reconcile.Results, error) {
			c.Trail.Turn(state.StageResults, s.lease.Now())
			results, err := get(ctx, c.JobID)
			if err != nil {
				return nil, err
			}
			return download{results, func() { c.Trail.Turn(state.StageState, s.lease.Now()) }}, nil
		}
	}
	return reconcile.Downloads{
		Failed: open(s.cfg.Bulk.FailedResults), Unprocessed: open(s.cfg.Bulk.UnprocessedRecords), Successful: open(s.cfg.Bulk.SuccessfulResults),
	}
}

// download is results that say when they have been read.
type download struct {
	*bulkv2.Results
	read func()
}

func (d download) Close() error {
	d.read()
	return d.Results.Close()
}

func parseRecordError(text string) reconcile.RowError {
	e := bulkv2.ParseRecordError(text)
	return reconcile.RowError{Code: e.Code, Message: e.Message, Fields: e.Fields}
}

func (s *stepRun) reportSettled(c *state.Chunk, o reconcile.Outcome) {
	s.loaded.Add(o.Loaded)
	s.notLoaded.Add(o.Failed + o.Unprocessed + c.Rejected)
	s.log.Info("chunk reconciled", zap.Int("chunk", c.Seq), zap.String("job_id", c.JobID), zap.String("job_state", c.JobState),
		zap.Int64("loaded", o.Loaded), zap.Int64("failed", o.Failed), zap.Int64("unprocessed", o.Unprocessed), zap.Int64("resolved", o.Resolved))
	if o.Unmatched > 0 {
		s.log.Warn("results that fit no record sent are kept without a source key", zap.Int("chunk", c.Seq), zap.Int64("records", o.Unmatched))
	}
	if o.Missing > 0 {
		s.log.Warn("records to retry are no longer in the source; they stay open", zap.Int64("records", o.Missing))
	}
}

// mayStop reports whether what has become of a chunk's job could make the step stop.
func (s *stepRun) mayStop(c *state.Chunk) bool {
	return c.JobState != string(bulkv2.JobComplete) || s.plan.Step.StopWhen != nil && *c.JobFailed > 0
}

// checkStops looks, after a chunk has been settled, whether the step should go on.
func (s *stepRun) checkStops(c *state.Chunk) error {
	job := s.bookOf(c).Job
	passing := transient(reconcile.KindUnprocessed, reconcile.RowError{Code: job.ErrorCode, Message: job.ErrorMessage})
	if c.JobState == string(bulkv2.Failed) && c.Loaded+c.Failed+c.Requeued == 0 && !passing {
		return &stopError{fmt.Sprintf("job %s failed before it processed a record, as any other job of this step would: %s", c.JobID, c.JobError)}
	}
	limit := s.plan.Step.StopWhen
	if limit == nil {
		return nil
	}
	// Counted is what this process has settled: a resume is somebody's word that the rest may go on.
	failed, loaded := s.notLoaded.Load(), s.loaded.Load()
	settled := failed + loaded
	if settled >= limit.After && float64(failed) > limit.FailedShare*float64(settled) {
		return &stopError{fmt.Sprintf("stop_when: %d of %d records did not load, more than %.4g%%; go on with \"etl resume %d\"",
			failed, settled, limit.FailedShare*100, c.RunID)}
	}
	return nil
}
