package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNotFound says that etl.reconciliation has no such row.
var ErrNotFound = errors.New("not found")

// Status says what is to become of a record that did not load.
type Status string

// The statuses of a row.
const (
	StatusOpen     Status = "open"
	StatusRetrying Status = "retrying"
	StatusResolved Status = "resolved"
	StatusIgnored  Status = "ignored"
)

// Row is one row of etl.reconciliation.
type Row struct {
	ID            int64           `json:"id"`
	RunID         int64           `json:"run_id"`
	Pipeline      string          `json:"pipeline"`
	Step          string          `json:"step"`
	Object        string          `json:"object"`
	Operation     string          `json:"operation"`
	SourceKey     *string         `json:"source_key"`
	SalesforceID  *string         `json:"salesforce_id"`
	JobID         *string         `json:"job_id"`
	Kind          Kind            `json:"kind"`
	ErrorCode     string          `json:"error_code"`
	ErrorMessage  string          `json:"error_message"`
	ErrorFields   []string        `json:"error_fields"`
	Payload       json.RawMessage `json:"payload"`
	Edited        bool            `json:"payload_edited"`
	Status        Status          `json:"status"`
	Attempts      int             `json:"attempts"`
	FirstFailedAt time.Time       `json:"first_failed_at"`
	LastFailedAt  time.Time       `json:"last_failed_at"`
	ResolvedAt    *time.Time      `json:"resolved_at"`
	ResolvedRunID *int64          `json:"resolved_run_id"`
}

const rowColumns = `id, run_id, pipeline, step, object, operation, source_key, salesforce_id, job_id, kind, error_code, error_message,
	error_fields, payload, payload_edited, status, attempts, first_failed_at, last_failed_at, resolved_at, resolved_run_id`

func scanRow(row pgx.CollectableRow) (Row, error) {
	var r Row
	err := row.Scan(&r.ID, &r.RunID, &r.Pipeline, &r.Step, &r.Object, &r.Operation, &r.SourceKey, &r.SalesforceID, &r.JobID, &r.Kind,
		&r.ErrorCode, &r.ErrorMessage, &r.ErrorFields, &r.Payload, &r.Edited, &r.Status, &r.Attempts,
		&r.FirstFailedAt, &r.LastFailedAt, &r.ResolvedAt, &r.ResolvedRunID)
	return r, err
}

// Filter selects rows. Zero values select everything.
type Filter struct {
	Pipeline string   `json:"pipeline,omitempty"`
	Step     string   `json:"step,omitempty"`
	RunID    int64    `json:"run_id,omitempty"`
	Code     string   `json:"code,omitempty"`
	Field    string   `json:"field,omitempty"`
	Key      string   `json:"key,omitempty"`
	ID       int64    `json:"id,omitempty"`
	Statuses []Status `json:"statuses,omitempty"`
}

// where returns the condition and its arguments, starting at $1.
func (f Filter) where() (string, []any) {
	statuses := make([]string, len(f.Statuses))
	for i, s := range f.Statuses {
		statuses[i] = string(s)
	}
	const condition = ` ($1 = '' OR pipeline = $1) AND ($2 = '' OR step = $2) AND ($3 = 0 OR run_id = $3)
		AND ($4 = '' OR error_code = $4) AND ($5 = '' OR $5 = ANY (error_fields)) AND ($6 = '' OR source_key = $6)
		AND ($7 = 0 OR id = $7) AND (cardinality($8::text[]) = 0 OR status = ANY ($8)) `
	return condition, []any{f.Pipeline, f.Step, f.RunID, f.Code, f.Field, f.Key, f.ID, statuses}
}

// Store reads and works etl.reconciliation. It is safe for concurrent use.
type Store struct {
	pool *pgxpool.Pool
}

// NewStore uses a pool on the state database, whose schema must be migrated. The pool stays the caller's.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool: pool} }

// Each calls fn for each row of the filter, in the order of ids; limit 0 means all. Rows are streamed.
func (s *Store) Each(ctx context.Context, f Filter, limit int, fn func(Row) error) error {
	where, args := f.where()
	rows, err := s.pool.Query(ctx, `SELECT `+rowColumns+` FROM etl.reconciliation WHERE`+where+`ORDER BY id LIMIT NULLIF($9, 0)`, append(args, limit)...)
	if err != nil {
		return fmt.Errorf("read the reconciliation table: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		row, err := scanRow(rows)
		if err != nil {
			return fmt.Errorf("read the reconciliation table: %w", err)
		}
		if err := fn(row); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the reconciliation table: %w", err)
	}
	return nil
}

// List returns up to limit rows of the filter; limit 0 means all.
func (s *Store) List(ctx context.Context, f Filter, limit int) ([]Row, error) {
	list := []Row{}
	err := s.Each(ctx, f, limit, func(row Row) error {
		list = append(list, row)
		return nil
	})
	return list, err
}

// Row returns one row by its id; ErrNotFound when there is none.
func (s *Store) Row(ctx context.Context, id int64) (Row, error) {
	list, err := s.List(ctx, Filter{ID: id}, 1)
	if err != nil {
		return Row{}, err
	}
	if len(list) == 0 {
		return Row{}, fmt.Errorf("reconciliation row %d: %w", id, ErrNotFound)
	}
	return list[0], nil
}

// Count counts the rows of the filter.
func (s *Store) Count(ctx context.Context, f Filter) (int64, error) {
	where, args := f.where()
	var n int64
	if err := s.pool.QueryRow(ctx, `SELECT count(*) FROM etl.reconciliation WHERE`+where, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count reconciliation rows: %w", err)
	}
	return n, nil
}

// CountUpTo counts the rows of the filter, but no more of them than most: counting a million takes seconds.
func (s *Store) CountUpTo(ctx context.Context, f Filter, most int64) (int64, error) {
	where, args := f.where()
	var n int64
	query := fmt.Sprintf(`SELECT count(*) FROM (SELECT FROM etl.reconciliation WHERE%s LIMIT %d) AS counted`, where, most)
	if err := s.pool.QueryRow(ctx, query, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count reconciliation rows: %w", err)
	}
	return n, nil
}

// Group is the rows of one step that failed with one code on one set of fields.
type Group struct {
	Pipeline  string   `json:"pipeline"`
	Step      string   `json:"step"`
	Kind      Kind     `json:"kind"`
	ErrorCode string   `json:"error_code"`
	Fields    []string `json:"error_fields"`
	Count     int64    `json:"count"`
	Message   string   `json:"example_message"`
	SourceKey *string  `json:"example_source_key"`
}

// Groups counts the rows of the filter by step, code and fields, the most frequent first.
func (s *Store) Groups(ctx context.Context, f Filter) ([]Group, error) {
	where, args := f.where()
	const head = `SELECT g.pipeline, g.step, g.kind, g.error_code, g.error_fields, g.n, r.error_message, r.source_key
		FROM (SELECT pipeline, step, kind, error_code, error_fields, count(*) AS n, min(id) AS first FROM etl.reconciliation WHERE`
	const tail = `GROUP BY 1, 2, 3, 4, 5) AS g JOIN etl.reconciliation r ON r.id = g.first ORDER BY g.n DESC, g.step, g.error_code, g.error_fields`
	rows, err := s.pool.Query(ctx, head+where+tail, args...)
	if err != nil {
		return nil, fmt.Errorf("group reconciliation rows: %w", err)
	}
	groups, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Group, error) {
		var g Group
		err := row.Scan(&g.Pipeline, &g.Step, &g.Kind, &g.ErrorCode, &g.Fields, &g.Count, &g.Message, &g.SourceKey)
		return g, err
	})
	if err != nil {
		return nil, fmt.Errorf("group reconciliation rows: %w", err)
	}
	return groups, nil
}

// ResolvedBy counts, for each step, the rows that a run resolved.
func (s *Store) ResolvedBy(ctx context.Context, runID int64) (map[string]int64, error) {
	rows, err := s.pool.Query(ctx, `SELECT step, count(*) FROM etl.reconciliation WHERE resolved_run_id = $1 GROUP BY step`, runID) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return nil, fmt.Errorf("count resolved rows: %w", err)
	}
	counts := map[string]int64{}
	var step string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&step, &n}, func() error {
		counts[step] = n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count resolved rows: %w", err)
	}
	return counts, nil
}

// Ignore marks open rows as ignored, and returns how many there were.
func (s *Store) Ignore(ctx context.Context, f Filter) (int64, error) {
	f.Statuses = []Status{StatusOpen}
	where, args := f.where()
	tag, err := s.pool.Exec(ctx, `UPDATE etl.reconciliation SET status = 'ignored' WHERE`+where, args...)
	if err != nil {
		return 0, fmt.Errorf("mark rows as ignored: %w", err)
	}
	return tag.RowsAffected(), nil
}

// OpenSteps lists the steps of a filter's open rows, and how many of their rows have a source key and
// how many have none.
func (s *Store) OpenSteps(ctx context.Context, f Filter) (steps []string, keyed, keyless int64, err error) {
	f.Statuses = []Status{StatusOpen}
	where, args := f.where()
	rows, err := s.pool.Query(ctx, `SELECT step, count(source_key), count(*) - count(source_key) FROM etl.reconciliation WHERE`+where+`GROUP BY step ORDER BY step`, args...) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return nil, 0, 0, fmt.Errorf("find the steps of open rows: %w", err)
	}
	var step string
	var with, without int64
	_, err = pgx.ForEachRow(rows, []any{&step, &with, &without}, func() error {
		steps, keyed, keyless = append(steps, step), keyed+with, keyless+without
		return nil
	})
	if err != nil {
		return nil, 0, 0, fmt.Errorf("find the steps of open rows: %w", err)
	}
	return steps, keyed, keyless, nil
}

// Reopen marks ignored rows as open again, and returns how many there were. It also opens rows that a
// retry left behind as retrying, because nobody could tell whether they loaded: the caller takes it
// upon himself that they did not.
func (s *Store) Reopen(ctx context.Context, f Filter) (int64, error) {
	f.Statuses = []Status{StatusIgnored, StatusRetrying}
	where, args := f.where()
	const left = `AND (status = 'ignored' OR NOT EXISTS (SELECT FROM etl.chunks c JOIN etl.runs u ON u.id = c.run_id
		WHERE c.id = retry_chunk_id AND c.state <> 'reconciled' AND u.abandoned_at IS NULL))`
	tag, err := s.pool.Exec(ctx, `UPDATE etl.reconciliation SET status = 'open', retry_chunk_id = NULL WHERE`+where+left, args...)
	if err != nil {
		return 0, fmt.Errorf("mark rows as open: %w", err)
	}
	return tag.RowsAffected(), nil
}
