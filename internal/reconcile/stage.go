package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Kind says why a record did not load.
type Kind string

// The kinds of record in etl.reconciliation.
const (
	KindFailed      Kind = "failed"      // Salesforce refused it
	KindUnprocessed Kind = "unprocessed" // Salesforce never got to it
	KindRejected    Kind = "rejected"    // refused before it was sent
	KindHeld        Kind = "held"        // its parent did not load
)

// The staging table is the session's own: COPY goes there, and one statement merges it. It outlives
// the transaction empty, so that a connection creates it once.
const createStage = `CREATE TEMP TABLE IF NOT EXISTS etl_stage (
	source_key text, row_id bigint, salesforce_id text, kind text, error_code text, error_message text,
	error_fields text[], payload jsonb, transient boolean) ON COMMIT DELETE ROWS`

func stageColumns() []string {
	return []string{"source_key", "row_id", "salesforce_id", "kind", "error_code", "error_message", "error_fields", "payload", "transient"}
}

// stagedRow is one record on its way into the table.
type stagedRow struct {
	key          []byte // nil: nothing decides which record it was
	salesforceID string
	kind         Kind
	err          RowError
	payload      []byte
	transient    bool
}

// stage streams one of the job's results into the staging table.
func (s *settler) stage(ctx context.Context, tx pgx.Tx, kind Kind, download func(context.Context) (Results, error)) error {
	results, err := download(ctx)
	if err != nil {
		return fmt.Errorf("%s results: %w", kind, err)
	}
	defer results.Close()
	if !results.Next() {
		if err := results.Err(); err != nil {
			return fmt.Errorf("%s results: %w", kind, err)
		}
		return nil // most chunks end here
	}
	source := &resultRows{settler: s, kind: kind, results: results, ahead: true}
	if err := s.copyIn(ctx, tx, source); err != nil {
		return fmt.Errorf("%s results: %w", kind, err)
	}
	return nil
}

// stageRest stages the records that no result took: those that the job ended before.
func (s *settler) stageRest(ctx context.Context, tx pgx.Tx) error {
	if err := s.copyIn(ctx, tx, &restRows{settler: s}); err != nil {
		return fmt.Errorf("unprocessed records: %w", err)
	}
	return nil
}

// rowSource yields staged rows; row is valid until next.
type rowSource interface {
	next() (stagedRow, bool, error)
}

func (s *settler) copyIn(ctx context.Context, tx pgx.Tx, source rowSource) error {
	if !s.staged {
		if _, err := tx.Exec(ctx, createStage); err != nil {
			return fmt.Errorf("create the staging table: %w", err)
		}
		s.staged = true
	}
	columns := stageColumns()
	values := make([]any, len(columns))
	return copyRows(ctx, tx, "etl_stage", columns, func() ([]any, error) {
		row, ok, err := source.next()
		if err != nil || !ok {
			return nil, err
		}
		s.count(row)
		return s.values(values, row)
	})
}

// copyRows copies what next yields, until it yields nothing, into a temporary table. An error of next
// comes back as it is: Postgres would turn it into text.
func copyRows(ctx context.Context, tx pgx.Tx, table string, columns []string, next func() ([]any, error)) error {
	var cause error
	_, err := tx.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		var row []any
		row, cause = next()
		return row, cause
	}))
	if cause != nil {
		return cause
	}
	return err
}

func (s *settler) count(row stagedRow) {
	switch row.kind {
	case KindFailed:
		s.failed++
	case KindUnprocessed:
		s.unprocessed++
	case KindRejected, KindHeld:
	}
	if row.key == nil {
		s.unmatched++
	}
}

func (s *settler) values(values []any, row stagedRow) ([]any, error) {
	var key, rowID any
	switch {
	case row.key == nil:
	case s.chunk.ByRow:
		id, err := strconv.ParseInt(string(row.key), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the chunk's key %q is no reconciliation row", row.key)
		}
		rowID = id
	default:
		key = row.key
	}
	fields := row.err.Fields
	if fields == nil {
		fields = []string{}
	}
	values = append(values[:0], key, rowID, nullable(row.salesforceID), string(row.kind),
		clean(row.err.Code), clean(row.err.Message), fields, row.payload, row.transient)
	return values, nil
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// clean drops what Postgres' text cannot hold.
func clean(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
}

// resultRows turns a download into staged rows.
type resultRows struct {
	settler *settler
	kind    Kind
	results Results

	ahead         bool // the first row has been read
	started       bool
	errorAt, idAt int
	header        []string // of the uploaded columns
	columns       []int
	values        []string
	payload       []byte
}

func (r *resultRows) next() (stagedRow, bool, error) {
	if !r.ahead && !r.results.Next() {
		return stagedRow{}, false, r.results.Err()
	}
	r.ahead = false
	if !r.started {
		if err := r.start(); err != nil {
			return stagedRow{}, false, err
		}
	}
	record := r.results.Record()
	row := stagedRow{kind: r.kind, salesforceID: at(record, r.idAt)}
	if r.kind == KindFailed {
		row.err = r.settler.options.Parse(at(record, r.errorAt))
	} else {
		row.err = jobError(r.settler.chunk.Job)
	}
	if t := r.settler.options.Transient; t != nil {
		row.transient = t(r.kind, row.err)
	}
	err := r.identify(&row, record)
	return row, true, err
}

// identify finds the record that was sent; where nothing decides, the row keeps what the result says.
func (r *resultRows) identify(row *stagedRow, record []string) error {
	s := r.settler
	if s.matcher != nil {
		i, ok, err := s.matcher.match(record)
		if err != nil {
			return err
		}
		if ok {
			s.refused[i] = true
			row.key = s.matcher.key(i)
			row.payload, err = s.payloadOf(r.payload[:0], i)
			r.payload = row.payload
			return err
		}
		if s.chunk.Whole && s.matcher.repeated(record) {
			s.repeated++
		}
	}
	r.values = r.values[:0]
	for _, column := range r.columns {
		r.values = append(r.values, at(record, column))
	}
	r.payload = appendPayload(r.payload[:0], r.header, r.values)
	row.payload = r.payload
	return nil
}

func (r *resultRows) start() error {
	r.started, r.errorAt, r.idAt = true, -1, -1
	for i, name := range r.results.Header() {
		switch strings.ToLower(name) {
		case "sf__error":
			r.errorAt = i
		case "sf__id":
			r.idAt = i
		default:
			r.header, r.columns = append(r.header, name), append(r.columns, i)
		}
	}
	return r.settler.index(r.results.Header())
}

func at(record []string, i int) string {
	if i < 0 || i >= len(record) {
		return ""
	}
	return record[i]
}

// restRows yields the records that no result row took.
type restRows struct {
	settler *settler
	record  int
	payload []byte
}

func (r *restRows) next() (stagedRow, bool, error) {
	s := r.settler
	if r.record = s.matcher.free(r.record); r.record < 0 {
		return stagedRow{}, false, nil
	}
	row := stagedRow{kind: KindUnprocessed, key: s.matcher.key(r.record), err: jobError(s.chunk.Job)}
	if t := s.options.Transient; t != nil {
		row.transient = t(row.kind, row.err)
	}
	var err error
	r.payload, err = s.payloadOf(r.payload[:0], r.record)
	row.payload = r.payload
	s.matcher.taken[r.record], s.refused[r.record] = true, true
	return row, true, err
}

func (s *settler) payloadOf(dst []byte, record int) ([]byte, error) {
	raw, err := s.matcher.raw(record)
	if err != nil {
		return nil, err
	}
	return appendPayload(dst, s.chunk.Sent.Header, s.matcher.split.split(raw)), nil
}

// jobError is the reason of a record that was not processed: the job's own message, or how it ended.
func jobError(job Job) RowError {
	e := RowError{Code: job.ErrorCode, Message: job.ErrorMessage}
	if e.Code == "" {
		e.Code = "NOT_PROCESSED"
	}
	if e.Message == "" {
		e.Message = fmt.Sprintf("the job ended as %s before this record was processed", job.State)
	}
	return e
}

// free returns the first record at or after i that no result took, or -1.
func (m *matcher) free(i int) int {
	if i >= len(m.taken) {
		return -1
	}
	if n := slices.Index(m.taken[i:], false); n >= 0 {
		return i + n
	}
	return -1
}
