package extract

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// BeginFunc opens the writer of a chunk. It may wait; the query waits with it.
type BeginFunc = func(ctx context.Context, seq int) (Writer, error)

// EndFunc takes a finished chunk. It is called once per BeginFunc, when the rows
// of the chunk are all written, and not for a chunk that an error ended.
type EndFunc = func(ctx context.Context, chunk Chunk) error

// Stream reads the query's rows and writes them in chunks, one after the other. A
// query without rows begins none. A row whose key is NULL or that of the row
// before ends the stream with an error; so does an error of begin, of end or of a
// Writer. After an error the transaction's connection may be closed: what is left
// of the rows is not worth reading.
func (q *Query) Stream(ctx context.Context, begin BeginFunc, end EndFunc) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	args := append([]any{pgx.QueryExecModeDescribeExec, pgx.QueryResultFormats(q.formats)}, q.spec.Args...)
	s := newStream(q, begin, end)
	rows, err := q.tx.Query(ctx, q.spec.SQL, args...)
	if err != nil {
		return s.wrap(ctx, fmt.Errorf("first rows: %w", plain(err)))
	}
	defer rows.Close()
	for rows.Next() {
		if err := s.row(ctx, rows.RawValues()); err != nil {
			err = s.wrap(ctx, err)
			cancel() // or closing the rows would read all the rest of them
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return s.wrap(ctx, fmt.Errorf("%s: %w", s.keys.where(), plain(err)))
	}
	return s.wrap(ctx, s.finish(ctx))
}

// stream is one passing of the rows.
type stream struct {
	query *Query
	begin BeginFunc
	end   EndFunc
	rows  *rowEncoder
	keys  *keyReader
	ids   *idSet // nil when external ids need no check
	id    []byte // scratch

	writer Writer // of the chunk in progress, or nil
	chunk  Chunk  // the one in progress, or the next
}

func newStream(q *Query, begin BeginFunc, end EndFunc) *stream {
	s := &stream{
		query: q, begin: begin, end: end,
		rows: newRowEncoder(q), keys: newKeyReader(q),
		chunk: Chunk{Seq: q.spec.FirstSeq, Low: q.spec.After},
	}
	if q.checksIDs() {
		s.ids = newIDSet()
	}
	return s
}

// checksIDs reports whether a chunk could hold an external id twice.
func (q *Query) checksIDs() bool {
	if q.spec.ExternalID < 0 {
		return false
	}
	id := q.columns[q.spec.ExternalID]
	if id.Index < 0 {
		return false // the same for all: that mistake is not one of a row
	}
	isKey := len(q.keys) == 1 && id.Index == q.keys[0].index
	return !isKey || (id.text && q.spec.FoldExternalID) // keys A and a are two, as ids one
}

// row takes one row.
func (s *stream) row(ctx context.Context, row [][]byte) error {
	if err := s.keys.read(row); err != nil {
		return err
	}
	record, why := s.rows.encode(row)
	if why.reason == nil {
		why = s.checkFits(record)
	}
	if unchanged, err := s.isUnchanged(ctx, record, why); unchanged || err != nil {
		return err
	}
	// A chunk is ended when a row comes that is not its own any more, not when it
	// is full: a duplicate key must not straddle two chunks unseen.
	if s.writer != nil && s.isFull(record, why) {
		if err := s.endChunk(ctx, s.keys.prior); err != nil {
			return err
		}
	}
	if s.writer == nil {
		if err := s.beginChunk(ctx); err != nil {
			return err
		}
	}
	if why.reason == nil {
		why = s.checkID(row)
	}
	if why.reason != nil {
		return s.reject(row, why)
	}
	if err := s.writer.Append(s.keys.text, record); err != nil {
		return err
	}
	s.chunk.Rows++
	s.chunk.Bytes += int64(len(record))
	return nil
}

// isUnchanged reports whether a row need not be sent, and counts it.
func (s *stream) isUnchanged(ctx context.Context, record []byte, why wrong) (bool, error) {
	if s.query.spec.Unchanged == nil || why.reason != nil {
		return false, nil
	}
	unchanged, err := s.query.spec.Unchanged(ctx, s.keys.last, record)
	if unchanged {
		s.chunk.Unchanged++
	}
	return unchanged, err
}

// finish ends the last chunk. Rows after it that need not be sent make one without a record.
func (s *stream) finish(ctx context.Context) error {
	if s.writer == nil && s.chunk.Unchanged == 0 {
		return nil
	}
	if s.writer == nil {
		if err := s.beginChunk(ctx); err != nil {
			return err
		}
	}
	return s.endChunk(ctx, s.keys.last)
}

// isFull reports whether a row belongs into the next chunk. Rejected rows take no
// room in the CSV, but a chunk of nothing else must end too.
func (s *stream) isFull(record []byte, why wrong) bool {
	spec := &s.query.spec
	most := spec.MaxRows
	if spec.FirstRows > 0 && s.chunk.Seq == spec.FirstSeq {
		most = min(most, spec.FirstRows)
	}
	if why.reason != nil {
		return s.chunk.Rejected >= most
	}
	return s.chunk.Rows >= most ||
		(s.chunk.Rows > 0 && s.chunk.Bytes+int64(len(record)) > s.query.spec.MaxBytes)
}

func (s *stream) beginChunk(ctx context.Context) (err error) {
	if s.writer, err = s.begin(ctx, s.chunk.Seq); err != nil {
		return err
	}
	s.chunk.Bytes = int64(len(s.query.header))
	if s.ids != nil {
		s.ids.reset()
	}
	return nil
}

func (s *stream) endChunk(ctx context.Context, high [][]byte) error {
	done := s.chunk
	done.High = texts(high)
	s.writer = nil
	s.chunk = Chunk{Seq: done.Seq + 1, Low: done.High}
	return s.end(ctx, done)
}

// checkFits rejects a record that not even a chunk of its own could hold.
func (s *stream) checkFits(record []byte) wrong {
	size, limit := int64(len(s.query.header)+len(record)), s.query.spec.MaxBytes
	if size <= limit {
		return wrong{}
	}
	return wrong{&reason{codeRecordTooLarge, fmt.Sprintf("the record and the CSV's header have %d bytes, a chunk holds %d", size, limit)}, -1}
}

// checkID rejects a row whose external id is in the chunk already. Rows without
// one are Salesforce's to refuse.
func (s *stream) checkID(row [][]byte) wrong {
	if s.ids == nil {
		return wrong{}
	}
	spec := &s.query.spec
	c := &s.query.columns[spec.ExternalID]
	if row[c.Index] == nil {
		return wrong{}
	}
	s.id, _ = c.encode(s.id[:0], row[c.Index])
	if len(s.id) == 0 {
		return wrong{}
	}
	if taken, ok := s.ids.add(s.id, s.keys.text, spec.FoldExternalID); !ok {
		message := fmt.Sprintf("row %s has the same external id %q; one load can write a record once only", taken, s.id)
		return wrong{&reason{codeDuplicateExternalID, message}, spec.ExternalID}
	}
	return wrong{}
}

func (s *stream) reject(row [][]byte, why wrong) error {
	field := ""
	if why.column >= 0 {
		field = s.query.columns[why.column].Header
	}
	s.chunk.Rejected++
	return s.writer.Reject(string(s.keys.text), why.code, why.message, field, s.rows.payload(row, why))
}

// wrap says which step an error is of. Of an error that only follows from the end
// of ctx, it tells that.
func (s *stream) wrap(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", cause, err)
	}
	return fmt.Errorf("extract %q: %w", s.query.spec.Step, err)
}
