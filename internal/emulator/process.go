package emulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
	"unicode/utf8"
)

// start hands a job over for processing. Called with the job's lock held.
func (s *Server) start(o *org, j *job) {
	ctx, cancel := context.WithCancel(o.ctx)
	j.state, j.modified, j.cancel = stateUploadComplete, s.clock.Now(), cancel
	s.working.Go(func() {
		defer close(j.finished)
		defer cancel()
		s.process(ctx, o, j)
	})
}

// process takes a job from UploadComplete to its end. A cancelled one is left
// in the state it was given when it was cancelled.
func (s *Server) process(ctx context.Context, o *org, j *job) {
	if !s.takeSlot(ctx) {
		return
	}
	begin := time.Now()
	err := s.prepare(ctx, o, j)
	<-s.slots
	if err == nil {
		err = s.runBatches(ctx, o, j)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.totalTime = time.Since(begin)
	if ctx.Err() != nil {
		return
	}
	var failed *jobError
	switch at := s.clock.Now(); {
	case err == nil:
		j.end(stateJobComplete, "", at)
		if s.cfg.Discard {
			_ = os.Remove(j.path(fileContent)) // nothing of it is unprocessed
		}
	case errors.As(err, &failed):
		j.end(stateFailed, failed.Error(), at)
	default:
		j.end(stateFailed, "InternalServerError : "+err.Error(), at)
	}
	for _, what := range []FaultDo{DoLagResults, DoLagCounters} {
		if f, ok := s.faults.onJob(j, len(j.spans), what); ok {
			j.startLag(what, f.After)
		}
	}
}

func (j *job) startLag(what FaultDo, reads int) {
	if what == DoLagCounters {
		j.lag["counters"] = reads
		return
	}
	for _, kind := range []string{"successfulresults", "failedresults", "unprocessedrecords"} {
		j.lag[kind] = reads
	}
}

// takeSlot waits for one of the org's workers.
func (s *Server) takeSlot(ctx context.Context) bool {
	select {
	case s.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// prepare reads the whole content once: a fault of its form fails the job
// before anything is saved. It also finds where the batches begin.
func (s *Server) prepare(ctx context.Context, o *org, j *job) error {
	j.mu.Lock()
	if j.state == stateUploadComplete {
		j.state, j.modified = stateInProgress, s.clock.Now()
	}
	j.mu.Unlock()
	if s.cfg.Modes.ParentBatchCounts && !o.limits.take(limitBatches, 1) {
		return errBatchQuota()
	}
	f, err := j.open(fileContent)
	if err != nil {
		return err
	}
	if f == nil {
		return invalidBatch("Records not found")
	}
	defer f.Close()
	scan := &scanner{job: j, reader: newCSVReader(f, 0), dialect: j.dialect(), batch: s.cfg.BatchSize, modes: s.cfg.Modes, limits: s.cfg.Limits}
	err = scan.run(ctx)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.header, j.spans = scan.header, scan.spans
	return err
}

func errBatchQuota() error {
	return &jobError{"ExceededQuota", "Exceeded the maximum number of batches per 24 hours"}
}

// scanner goes over a content before it is processed.
type scanner struct {
	job     *job
	reader  *csvReader
	dialect dialect
	batch   int
	modes   Modes
	limits  Limits

	header []byte
	spans  []span
	text   []byte
	ends   []int
}

// maxRecordChars of a record; "Bulk API and Bulk API 2.0 Limits".
const maxRecordChars = 400_000

func (sc *scanner) run(ctx context.Context) error {
	if err := sc.readHeader(); err != nil {
		return err
	}
	var fault error
	for n := 0; ; n++ {
		if n%10_000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		offset := sc.reader.offset
		raw, err := sc.reader.next()
		if errors.Is(err, io.EOF) {
			return fault
		}
		if err != nil && !errors.Is(err, errOpenQuote) {
			return err
		}
		record, ok := sc.dialect.cutEnd(raw, sc.reader.atEnd())
		if len(record) > 0 {
			sc.count(offset)
		}
		if fault == nil {
			fault = sc.check(record, ok, err)
		}
	}
}

// count adds a record to the batch it belongs to.
func (sc *scanner) count(offset int64) {
	if n := len(sc.spans); n > 0 && sc.spans[n-1].rows < sc.batch {
		sc.spans[n-1].rows++
		return
	}
	sc.spans = append(sc.spans, span{offset: offset, rows: 1})
}

func (sc *scanner) readHeader() error {
	raw, err := sc.reader.next()
	if errors.Is(err, io.EOF) {
		return invalidBatch("Records not found")
	}
	if err != nil && !errors.Is(err, errOpenQuote) {
		return err
	}
	record, ok := sc.dialect.cutEnd(raw, sc.reader.atEnd())
	sc.header = bytes.Clone(bytes.TrimSuffix(record, []byte{'\r'}))
	switch fault := sc.check(record, ok, err); {
	case fault != nil:
		return fault
	case len(record) == 0:
		return invalidBatch("Records not found")
	case utf8.RuneCount(record) > sc.limits.HeaderChars:
		return clientInputError("Header row exceeds the maximum of %d characters", sc.limits.HeaderChars)
	}
	return nil
}

// check tells whether the form of a record is such that the job fails.
func (sc *scanner) check(record []byte, endingOK bool, err error) error {
	switch {
	case !endingOK, sc.modes.RefuseQuotedNewlines && bytes.IndexByte(record, '\n') >= 0:
		return clientInputError("LineEnding is invalid on user data. Current LineEnding setting is %s", sc.dialect.endingName())
	case err != nil:
		return invalidBatch("Failed to parse CSV. Found unescaped quote")
	case len(record) > maxRecordChars && utf8.RuneCount(record) > maxRecordChars:
		return invalidBatch("Record exceeds the maximum of %d characters", maxRecordChars)
	case bytes.IndexByte(record, '"') < 0:
		return nil
	}
	var quotes quoting
	sc.text, sc.ends, quotes = split(sc.text[:0], sc.ends[:0], record, sc.dialect.delimiter)
	if quotes == quotesBroken {
		return invalidBatch("Failed to parse CSV. Found unescaped quote")
	}
	return nil
}

// runBatches works through the batches, several at once if the org has room.
func (s *Server) runBatches(ctx context.Context, o *org, j *job) error {
	columns, err := o.store.resolveColumns(j.object, j.headers())
	if err != nil {
		return err
	}
	if err := j.createResults(); err != nil {
		return err
	}
	var running sync.WaitGroup
	errs := make(chan error, len(j.spans))
	before := make(chan struct{})
	close(before)
	for i := range j.spans {
		if err = s.beforeBatch(ctx, o, j, i, &running); err != nil {
			break
		}
		part, turn, after := j.spans[i], before, make(chan struct{})
		before = after
		running.Go(func() {
			defer func() { <-s.slots }()
			defer close(after)
			if err := s.runBatch(ctx, s.newBatch(o, j, columns, i, turn), part); err != nil {
				errs <- err
			}
		})
	}
	running.Wait()
	close(errs)
	if err == nil {
		err = s.jobFault(ctx, j, len(j.spans), &running)
	}
	for batchErr := range errs {
		err = errors.Join(err, batchErr)
	}
	return err
}

// beforeBatch waits for a worker and uses up the day's allowance.
func (s *Server) beforeBatch(ctx context.Context, o *org, j *job, i int, running *sync.WaitGroup) error {
	if err := s.jobFault(ctx, j, i, running); err != nil {
		return err
	}
	if !s.takeSlot(ctx) {
		return ctx.Err()
	}
	if !o.limits.take(limitBatches, 1) {
		<-s.slots
		s.forget(j, i)
		return errBatchQuota()
	}
	if !o.limits.take(limitRecords, int64(j.spans[i].rows)) {
		<-s.slots
		s.forget(j, i)
		return &jobError{"ExceededQuota", "Exceeded the maximum number of records per 24 hours"}
	}
	return nil
}

// forget drops the batches from the i-th on, beyond the day's allowance: they
// will be in none of the results.
func (s *Server) forget(j *job, i int) {
	if s.cfg.Modes.RecordBeyondQuota {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.spans = j.spans[:i]
}

// jobFault lets a fault of the whole job strike once done batches are over.
func (s *Server) jobFault(ctx context.Context, j *job, done int, running *sync.WaitGroup) error {
	gate := s.faults.gate()
	f, ok := s.faults.onJob(j, done, DoJobFail, DoJobAbort, DoJobStick)
	if !ok {
		return nil
	}
	j.struck[f.ID] = true
	running.Wait()
	switch f.Do {
	case DoJobFail:
		if f.Message == "" {
			f.Message = "InternalServerError : Batch failed too often. Batch will not be retried."
		}
		code, message, found := bytes.Cut([]byte(f.Message), []byte(" : "))
		if !found {
			return &jobError{"InternalServerError", f.Message}
		}
		return &jobError{string(code), string(message)}
	case DoJobAbort:
		j.mu.Lock()
		defer j.mu.Unlock()
		j.end(stateAborted, "", s.clock.Now())
		return context.Canceled
	case DoJobStick:
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// headers are the names of the first row.
func (j *job) headers() []string {
	text, ends, _ := split(nil, nil, j.header, j.dialect().delimiter)
	return cells(string(text), ends)
}

// cells cuts a text at the given ends.
func cells(text string, ends []int) []string {
	list := make([]string, len(ends))
	start := 0
	for i, end := range ends {
		list[i] = text[start:end]
		start = end
	}
	return list
}

// createResults makes the two files that grow with each batch.
func (j *job) createResults() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, name := range []string{fileSuccessful, fileFailed} {
		if err := os.WriteFile(j.path(name), nil, 0o600); err != nil {
			return fmt.Errorf("results: %w", err)
		}
	}
	return nil
}
