package reconcile

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Results streams one kind of a job's results. Record is valid until Next.
type Results interface {
	Header() []string
	Next() bool
	Record() []string
	Err() error
	Close() error
}

// Job is a finished job's word on itself. ErrorCode and ErrorMessage say why it failed as a whole.
type Job struct {
	ID, State               string
	ErrorCode, ErrorMessage string
	Processed, Failed       int64
}

// RowError says why one record did not load.
type RowError struct {
	Code    string // REQUIRED_FIELD_MISSING; empty when the text has no code in front
	Message string
	Fields  []string // may be empty
}

// Downloads opens a job's results; each call is one download.
type Downloads struct {
	Failed, Unprocessed, Successful func(ctx context.Context) (Results, error)
}

// Chunk is a chunk whose job has ended.
type Chunk struct {
	RunID, ID                         int64
	Pipeline, Step, Object, Operation string
	Rows                              int64 // records in the job
	ExternalID                        string
	// ByRow says that the keys in the chunk's file are ids of etl.reconciliation rows, not source
	// keys: the chunk sends stored payloads again.
	ByRow bool
	Job   Job
	Sent  *Sent // nil when the chunk's file is gone
	// Whole asks for the records to be settled one by one from all three results, instead of by the
	// job's counters.
	Whole bool
}

// Options are what the caller decides about records that did not load.
type Options struct {
	// Parse takes an sf__Error apart. Required.
	Parse func(text string) RowError
	// Transient reports whether a record that failed so is worth sending again by the run itself; nil
	// means never.
	Transient func(kind Kind, e RowError) bool
	// Requeue plans the chunk that will send the transient ones again, in the settling transaction.
	Requeue func(tx pgx.Tx) (chunkID int64, err error)
	// Settled, which may be nil, hears in the settling transaction which records of the chunk's file, by
	// their place in it, loaded; of nil when the file is gone, so that nobody knows.
	Settled func(ctx context.Context, tx pgx.Tx, loaded func(record int) bool) error
}

// Outcome says where a chunk's records ended.
type Outcome struct {
	Loaded, Failed, Unprocessed, Requeued int64
	Resolved                              int64 // open rows of earlier failures that this chunk resolved
	Unmatched                             int64 // result rows that fit no record of the chunk
	Missing                               int64 // rows claimed for a retry that the source no longer has; they are open again
}

// MismatchError says that what the org reports of a job does not account for every record sent.
type MismatchError struct {
	JobID                                    string
	Sent, Processed, JobFailed               int64 // by the job's counters
	Successful, Failed, Unprocessed, Unknown int64 // by the results that were read; Successful is -1 where they were not
	Repeated                                 int64 // rows of the results that are about a record which another row is about
}

func (e *MismatchError) Error() string {
	loaded := ""
	if e.Successful >= 0 {
		loaded = fmt.Sprintf("%d successful, ", e.Successful)
	}
	text := fmt.Sprintf("job %s: sent %d records; the job counts %d processed, %d of them failed; its results hold %s%d failed, %d unprocessed; %d are not accounted for",
		e.JobID, e.Sent, e.Processed, e.JobFailed, loaded, e.Failed, e.Unprocessed, e.Unknown)
	if e.Repeated > 0 {
		text += fmt.Sprintf("; %d results repeat a record that has another one", e.Repeated)
	}
	return text
}

// Settle reads the job's results, checks that they account for every record sent, and writes the
// reconciliation rows, all inside tx. Results are streamed: memory holds an index of the chunk, not
// its records. A *MismatchError means that the sums differ and that tx must be rolled back; for
// ErrUnmatched see there.
func Settle(ctx context.Context, tx pgx.Tx, chunk Chunk, downloads Downloads, options Options) (Outcome, error) {
	s := &settler{chunk: chunk, options: options}
	defer s.close()
	if chunk.Whole {
		if err := s.readSuccessful(ctx, downloads); err != nil {
			return Outcome{}, err
		}
	}
	// They are read also where the job counts none: its counters may lag behind.
	if err := s.stage(ctx, tx, KindFailed, downloads.Failed); err != nil {
		return Outcome{}, err
	}
	if chunk.Job.Processed < chunk.Rows || chunk.Whole || chunk.Job.State != "JobComplete" {
		if err := s.stage(ctx, tx, KindUnprocessed, downloads.Unprocessed); err != nil {
			return Outcome{}, err
		}
	}
	if s.unmatched > 0 && !chunk.Whole && chunk.Sent != nil {
		return Outcome{}, ErrUnmatched
	}
	if err := s.balance(ctx, tx); err != nil {
		return Outcome{}, err
	}
	return s.write(ctx, tx)
}

// settler is one settling of one chunk.
type settler struct {
	chunk   Chunk
	options Options
	matcher *matcher // nil without a file, or when there is nothing to match
	refused []bool   // records that a failed or unprocessed result took; nil without a matcher
	loaded  []int    // records that a successful result took, where those are read

	successful                     int64
	failed, unprocessed, unmatched int64
	repeated                       int64 // of a Whole: results of a record that had one already
	staged                         bool
}

func (s *settler) close() {
	if s.matcher != nil {
		_ = s.matcher.close() // it was only read
	}
}

// index makes the matcher when the first result row comes: most chunks have none.
func (s *settler) index(header []string) error {
	if s.chunk.Sent == nil {
		return nil
	}
	if s.matcher == nil {
		var err error
		if s.matcher, err = newMatcher(*s.chunk.Sent, s.chunk.Rows, s.chunk.ExternalID, header); err != nil {
			return fmt.Errorf("index the records sent: %w", err)
		}
		s.refused = make([]bool, s.matcher.len())
	}
	s.matcher.use(header)
	return nil
}

// readSuccessful takes the records that loaded out of the matcher, so that what is left is known.
func (s *settler) readSuccessful(ctx context.Context, downloads Downloads) error {
	results, err := downloads.Successful(ctx)
	if err != nil {
		return fmt.Errorf("successful results: %w", err)
	}
	defer results.Close()
	for ; results.Next(); s.successful++ {
		if s.successful == 0 {
			if err := s.index(results.Header()); err != nil {
				return err
			}
		}
		if s.matcher == nil {
			continue
		}
		record, ok, err := s.matcher.match(results.Record())
		if err != nil {
			return err
		}
		if ok {
			s.loaded = append(s.loaded, record)
		} else if s.matcher.repeated(results.Record()) {
			s.repeated++
		}
	}
	if err := results.Err(); err != nil {
		return fmt.Errorf("successful results: %w", err)
	}
	return nil
}

// balance checks the books, the cheap way or record by record.
func (s *settler) balance(ctx context.Context, tx pgx.Tx) error {
	job := s.chunk.Job
	if !s.chunk.Whole {
		if job.Processed+s.unprocessed == s.chunk.Rows && s.failed == job.Failed {
			return nil
		}
		return s.mismatch(-1)
	}
	// What a job that ended early counts as not processed, and lists nowhere, was not processed.
	missing := s.chunk.Rows - s.successful - s.failed - s.unprocessed
	if missing > 0 && job.State != "JobComplete" && job.Processed == s.successful+s.failed && s.chunk.Sent != nil && s.unmatched+s.repeated == 0 {
		// Without a row in any result there is no index yet; then all of the chunk is left.
		if s.matcher == nil {
			if err := s.index(s.chunk.Sent.Header); err != nil {
				return err
			}
		}
		if err := s.stageRest(ctx, tx); err != nil {
			return err
		}
		missing = s.chunk.Rows - s.successful - s.failed - s.unprocessed
	}
	// Results that repeat a record are not believed, however well the sums add up: they may have it twice
	// in the place of another, or as loaded and as failed.
	if missing != 0 || s.repeated > 0 {
		return s.mismatch(s.successful)
	}
	return nil
}

func (s *settler) mismatch(successful int64) error {
	job := s.chunk.Job
	e := &MismatchError{
		JobID: job.ID, Sent: s.chunk.Rows, Processed: job.Processed, JobFailed: job.Failed,
		Successful: successful, Failed: s.failed, Unprocessed: s.unprocessed, Repeated: s.repeated,
	}
	if successful >= 0 {
		e.Unknown = s.chunk.Rows - successful - s.failed - s.unprocessed
	} else {
		e.Unknown = s.chunk.Rows - max(job.Processed-job.Failed, 0) - s.failed - s.unprocessed
	}
	return e
}

// write merges what was staged into etl.reconciliation and resolves the rows of records that loaded.
func (s *settler) write(ctx context.Context, tx pgx.Tx) (Outcome, error) {
	out := Outcome{Failed: s.failed, Unprocessed: s.unprocessed, Unmatched: s.unmatched}
	out.Loaded = s.chunk.Rows - s.failed - s.unprocessed
	if s.staged {
		requeued, err := s.merge(ctx, tx)
		if err != nil {
			return Outcome{}, err
		}
		out.Requeued = requeued.failed + requeued.unprocessed
		out.Failed -= requeued.failed
		out.Unprocessed -= requeued.unprocessed
	}
	if err := s.resolve(ctx, tx, &out); err != nil || s.options.Settled == nil {
		return out, err
	}
	if s.chunk.Sent == nil {
		return out, s.options.Settled(ctx, tx, nil)
	}
	return out, s.options.Settled(ctx, tx, s.loadedMarks())
}

// ErrUnmatched says that a failed or unprocessed result fits no record sent, so that by the failures
// alone nobody knows which records loaded: the chunk is to be settled as a Whole. The transaction must
// be rolled back.
var ErrUnmatched = errors.New("a result fits no record that was sent")

// errNoRequeue guards against a caller that calls records transient and gives them nowhere to go.
var errNoRequeue = errors.New("records are to be sent again, but no chunk was planned for them")
