package emulator

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

// batch is one batch of a job being saved.
type batch struct {
	server  *Server
	job     *job
	loader  *loader
	reader  *csvReader
	dialect dialect
	columns []column
	number  int64           // of the next row in the job
	turn    <-chan struct{} // closed once all earlier batches have reported
	random  *rand.Rand      // for the order of results; nil keeps it

	text  []byte
	ends  []int
	rows  []int // where each row's ends begin
	chunk []record

	saved, refused lines
	failures       int64 // not reported yet
	reported       int   // rows
	done           int   // rows
	begin          time.Time
	since          time.Time // when work on it began; begin follows its reports
	index          int       // of the batch in its job
}

// lines are result rows in the order they came.
type lines struct {
	text []byte
	ends []int
}

// resultBuffer is how many bytes of results a batch holds back to shuffle.
const resultBuffer = 8 << 20

// runBatch saves a batch of a job and adds its results. Batches work at
// the same time and report in their order, so that a seed gives one outcome.
func (s *Server) runBatch(ctx context.Context, b *batch, part span) error {
	f, err := os.Open(b.job.path(fileContent))
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(part.offset, io.SeekStart); err != nil {
		return err
	}
	b.reader, b.since = newCSVReader(f, part.offset), time.Now()
	b.begin = b.since
	err = b.run(ctx, part.rows)
	return errors.Join(err, b.report())
}

func (s *Server) newBatch(o *org, j *job, columns []column, i int, turn <-chan struct{}) *batch {
	t, _ := o.store.table(j.object.Name)
	l := newLoader(o.store, t, j.spec.Operation, j.key, columns)
	l.user, l.now, l.maxRecords, l.keepNumbers = j.user.number, s.clock.Now, s.cfg.Limits.StorageRecords, s.cfg.Modes.KeepNumbers
	l.discard = s.cfg.Discard
	b := &batch{
		server: s, job: j, loader: l, turn: turn, dialect: j.dialect(),
		columns: columns, number: int64(i) * int64(s.cfg.BatchSize), chunk: make([]record, 0, chunkRows),
		index: i,
	}
	if !s.cfg.Modes.KeepOrder {
		b.random = newRandom(s.cfg.Seed, uint64(j.number)<<24+uint64(i))
	}
	return b
}

// pause waits, unless ctx ends.
func (s *Server) pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// run saves chunk after chunk. A cancelled job stops between two.
func (b *batch) run(ctx context.Context, rows int) error {
	for b.done < rows && ctx.Err() == nil {
		if err := b.read(min(chunkRows, rows-b.done)); err != nil {
			return err
		}
		b.server.faults.onRows(b.job, b.columns, b.chunk)
		b.loader.load(b.chunk)
		for i := range b.chunk {
			b.write(&b.chunk[i])
		}
		b.done += len(b.chunk)
		// Slow orgs are slow all through a batch: one that is aborted has done a part.
		due := b.server.cfg.BatchLatency * time.Duration(b.done) / time.Duration(rows)
		b.server.pause(ctx, due-time.Since(b.since))
		if len(b.saved.text)+len(b.refused.text) > resultBuffer {
			if err := b.report(); err != nil {
				return err
			}
		}
	}
	return nil
}

// read fills the chunk with the next n records. Their values share one string.
func (b *batch) read(n int) error {
	b.text, b.ends, b.rows, b.chunk = b.text[:0], b.ends[:0], b.rows[:0], b.chunk[:0]
	for len(b.chunk) < n {
		raw, err := b.reader.next()
		if err != nil {
			return err
		}
		raw, _ = b.dialect.cutEnd(raw, b.reader.atEnd())
		if len(raw) == 0 {
			continue
		}
		r := record{number: b.number}
		b.number++
		from := len(b.ends)
		var quotes quoting
		b.text, b.ends, quotes = split(b.text, b.ends, raw, b.dialect.delimiter)
		switch {
		case quotes != quotesFine:
			r.err = errQuoteSpace()
		case len(b.ends)-from != len(b.columns):
			r.err = errColumnCount(len(b.columns), len(b.ends)-from)
		}
		b.rows = append(b.rows, from)
		b.chunk = append(b.chunk, r)
	}
	all := cells(string(b.text), b.ends)
	for i := range b.chunk {
		if b.chunk[i].err == nil {
			b.chunk[i].cells = all[b.rows[i] : b.rows[i]+len(b.columns)]
		}
	}
	return nil
}

// write adds a row to the results.
func (b *batch) write(r *record) {
	out := &b.saved
	if r.err != nil {
		out = &b.refused
		b.failures++
	}
	out.text = b.appendResult(out.text, r)
	out.ends = append(out.ends, len(out.text))
}

// appendResult prints a row as results show it: all values quoted, numbers as
// Java prints them.
func (b *batch) appendResult(dst []byte, r *record) []byte {
	dst = append(dst, '"')
	if r.err == nil {
		dst = appendID(dst, b.loader.table.object.KeyPrefix, int64(r.row)+1)
		dst = append(dst, '"', b.dialect.delimiter, '"')
		dst = append(dst, boolText(r.created)...)
		dst = append(dst, '"')
	} else {
		if at := b.loader.idAt; at >= 0 && r.cells != nil && b.loader.op != opInsert {
			if id, ok := canonicalID(r.cells[at]); ok {
				dst = append(dst, id...)
			}
		}
		dst = append(dst, '"', b.dialect.delimiter)
		dst = appendQuoted(dst, r.err.String())
	}
	for i := range b.columns {
		dst = append(dst, b.dialect.delimiter)
		dst = b.appendCell(dst, r, i)
	}
	return append(dst, b.dialect.lineEnd()...)
}

func (b *batch) appendCell(dst []byte, r *record, i int) []byte {
	c := &b.columns[i]
	if r.cells == nil || c.blank {
		return append(dst, '"', '"')
	}
	cell := r.cells[i]
	if c.parent == nil && c.field.kind == kindDouble && !b.loader.keepNumbers {
		if v, ok := parseDouble(cell); ok {
			dst = append(dst, '"')
			dst = appendJavaDouble(dst, v)
			return append(dst, '"')
		}
	}
	return appendQuoted(dst, cell)
}

// report adds the results and counts there are to the job, in one step for who
// looks at it.
func (b *batch) report() error {
	<-b.turn
	j := b.job
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := b.saved.appendTo(j.path(fileSuccessful), b.random); err != nil {
		return err
	}
	if err := b.refused.appendTo(j.path(fileFailed), b.random); err != nil {
		return err
	}
	j.saved += int64(len(b.saved.text))
	j.refused += int64(len(b.refused.text))
	j.spans[b.index].done = b.done
	j.processed += int64(b.done - b.reported)
	j.failed += b.failures
	j.apiTime += time.Since(b.begin)
	if !j.state.ended() {
		j.modified = b.server.clock.Now()
	}
	b.saved.reset()
	b.refused.reset()
	b.reported, b.failures, b.begin = b.done, 0, time.Now()
	return nil
}

func (l *lines) reset() { l.text, l.ends = l.text[:0], l.ends[:0] }

// appendTo writes the lines to the end of a file, shuffled.
func (l *lines) appendTo(path string, random *rand.Rand) error {
	if len(l.ends) == 0 {
		return nil
	}
	out := l.text
	if random != nil {
		out = make([]byte, 0, len(l.text))
		for _, k := range random.Perm(len(l.ends)) {
			start := 0
			if k > 0 {
				start = l.ends[k-1]
			}
			out = append(out, l.text[start:l.ends[k]]...)
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(out)
	return errors.Join(err, f.Close())
}
