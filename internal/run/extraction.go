package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"bulkhead/internal/extract"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/spool"
	"bulkhead/internal/state"
)

// extract reads the step's rows in one short transaction and cuts them into spooled chunks, going on
// after the last key where an earlier process stopped.
func (s *stepRun) extract(ctx context.Context) error {
	_, after, err := s.cfg.Store.LastRange(ctx, s.step.ID)
	if err != nil {
		return err
	}
	limit := s.options.Limit
	if limit > 0 {
		if limit -= s.step.Read; limit <= 0 {
			return s.lease.ExtractionDone(ctx, s.step.ID)
		}
	}
	where, args := s.where(after, nil)
	spec := s.plan.spec(where, args, limit)
	spec.After = after
	spec.Unchanged = s.comparison(s.progress)
	if after == nil {
		spec.FirstRows = s.plan.Step.Canary
	}
	files := &files{step: s, progress: s.progress, number: func(ctx context.Context) (int, error) { return s.lease.NextSeq(ctx, s.step.ID) }}
	defer files.abort()
	files.recorded = func(ctx context.Context, seq int, sp state.Spooled) error {
		c, err := s.lease.AddRange(ctx, s.step.ID, seq, sp, s.rejectedOf(ctx, &state.Chunk{Kind: state.ChunkRange}, sp))
		if err != nil {
			return err
		}
		c.Step = s.step.Name
		s.progress.chunks.Add(1)
		s.queue.put(c)
		return nil
	}
	if err := s.stream(ctx, spec, files); err != nil {
		return err
	}
	s.log.Info("extraction done", zap.Int64("rows", s.progress.read.Load()), zap.Int("chunks", files.cut))
	record, cancel := shield(ctx)
	defer cancel()
	return s.lease.ExtractionDone(record, s.step.ID)
}

// stream runs one extraction into files, on a connection of its own.
func (s *stepRun) stream(ctx context.Context, spec extract.Spec, files *files) error {
	files.turned = s.lease.Now()
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
	query, err := extract.Prepare(ctx, tx, spec)
	if err != nil {
		return err
	}
	files.header = query.Header()
	return query.Stream(ctx, files.begin, files.end)
}

// files turns what the extraction cuts into chunk files and records each once it is durable.
type files struct {
	step     *stepRun
	progress *StepProgress // where rows are counted as read
	// now lets a worker make a file however full the spool is: only workers empty it, and there are few.
	now      bool
	header   []byte
	number   func(ctx context.Context) (int, error) // of the next chunk
	recorded func(ctx context.Context, seq int, sp state.Spooled) error

	cut    int
	seq    int
	name   string
	writer *spool.Writer
	turned time.Time   // when the chunk before was out of the way
	trail  state.Trail // of the chunk in progress
}

func (f *files) begin(ctx context.Context, _ int) (extract.Writer, error) {
	var err error
	if f.seq, err = f.number(ctx); err != nil {
		return nil, err
	}
	f.name = spool.Name(f.step.lease.RunID(), f.step.step.Name, f.seq)
	f.trail = state.Trail{{Stage: state.StageRead, At: f.turned}}
	if f.now {
		f.writer, err = f.step.cfg.Spool.CreateNow(f.name, f.header)
	} else {
		f.writer, err = f.step.cfg.Spool.Create(ctx, f.name, f.header, f.waits)
		f.trail.Turn(state.StageRead, f.step.lease.Now())
	}
	if err != nil {
		return nil, err
	}
	return chunkWriter{f.writer, f.progress, f.step.cfg}, nil
}

// waits hears that the spool is full. It empties only when chunks are sent, so they must not be held back
// any longer.
func (f *files) waits() {
	f.trail.Turn(state.StageRoom, f.step.lease.Now())
	f.step.queue.release()
}

func (f *files) end(ctx context.Context, c extract.Chunk) error {
	info, err := f.step.commit(f.writer)
	if err != nil {
		return err
	}
	f.writer = nil
	if info.Rows != c.Rows || info.Rejected != c.Rejected {
		return fmt.Errorf("chunk file %s holds %d records and %d rejected ones, the extraction counts %d and %d", f.name, info.Rows, info.Rejected, c.Rows, c.Rejected)
	}
	sp := state.Spooled{
		File: f.name, Low: c.Low, High: c.High, RowsSent: info.Rows, Rejected: info.Rejected, Unchanged: c.Unchanged, Bytes: info.Bytes, CRC32C: info.CRC32C,
		Trail: f.trail,
	}
	record, cancel := shield(ctx)
	defer cancel()
	if err := f.recorded(record, f.seq, sp); err != nil {
		return errors.Join(err, f.step.removeFile(f.name))
	}
	f.cut++
	f.turned = f.step.lease.Now()
	return nil
}

// abort drops the chunk in progress, if any.
func (f *files) abort() {
	if f.writer != nil {
		_ = f.writer.Abort()
	}
}

// rejectedOf stores a chunk's rejected records in the transaction that records the chunk.
func (s *stepRun) rejectedOf(ctx context.Context, c *state.Chunk, sp state.Spooled) func(tx pgx.Tx, chunkID int64) error {
	return func(tx pgx.Tx, chunkID int64) error {
		if sp.Rejected == 0 {
			return nil
		}
		file, err := s.cfg.Spool.Open(sp.File)
		if err != nil {
			return err
		}
		rejections, err := file.Rejections()
		if err != nil {
			return err
		}
		book := s.bookOf(c)
		book.RunID, book.ID = s.lease.RunID(), chunkID
		if err := reconcile.WriteRejected(ctx, tx, book, rejectionRows{rejections}); err != nil {
			return err
		}
		if rejections, err = file.Rejections(); err != nil {
			return err
		}
		return s.refuseRows(ctx, tx, rejectionRows{rejections})
	}
}

// rejectionRows translates the spool's rejections.
type rejectionRows struct{ *spool.Rejections }

func (r rejectionRows) Rejection() reconcile.Rejection {
	x := r.Rejections.Rejection()
	return reconcile.Rejection{Key: x.Key, Code: x.Code, Message: x.Message, Field: x.Field, Payload: x.Payload}
}

// commit makes a chunk's file whole.
func (s *stepRun) commit(w *spool.Writer) (spool.Info, error) {
	s.cfg.reach(pointSpool)
	info, err := w.Commit()
	if err == nil {
		s.cfg.reach(pointSpooled)
	}
	return info, err
}

// removeFile removes a chunk's file; a chunk of which every row is gone from the source has none.
func (s *stepRun) removeFile(name string) error {
	if name == "" {
		return nil
	}
	s.cfg.reach(pointRemove)
	if err := s.cfg.Spool.Remove(name); err != nil {
		return err
	}
	s.cfg.reach(pointRemoved)
	return nil
}

// chunkWriter counts rows as they go into the spool.
type chunkWriter struct {
	*spool.Writer
	progress *StepProgress
	cfg      Config
}

func (w chunkWriter) Append(key, record []byte) error {
	w.progress.read.Add(1)
	w.cfg.reach(pointAppend)
	return w.Writer.Append(key, record)
}

func (w chunkWriter) Reject(key, code, message, field string, payload []byte) error {
	w.progress.read.Add(1)
	w.progress.rejected.Add(1)
	return w.Writer.Reject(spool.Rejection{Key: key, Code: code, Message: message, Field: field, Payload: json.RawMessage(payload)})
}
