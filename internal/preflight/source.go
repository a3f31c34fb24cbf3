package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"bulkhead/internal/extract"
	"bulkhead/internal/nearest"
	"bulkhead/internal/pipeline"
)

// most is how many columns a message lists.
const most = 30

// checkSource checks what the step reads: the query, the columns it must have,
// the expressions over them, and at last whether their types can be written.
func (s *stepCheck) checkSource(ctx context.Context) error {
	columns, err := extract.Describe(ctx, s.conn, s.projection.Query)
	if err != nil {
		return s.queryFault(err)
	}
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = column.Name
	}
	sound := s.checkColumns(names)
	if sound {
		s.checkWatermark(columns)
	}
	if sound {
		selected, err := extract.Describe(ctx, s.conn, s.plan.SQL)
		if err == nil && len(selected) == len(s.projection.Select) {
			s.noteTypes(selected)
			return s.checkReadable(ctx)
		}
		if err != nil && !errors.As(err, new(*extract.QueryError)) {
			return err
		}
	}
	expressionsSound, err := s.checkExpressions(ctx)
	if err != nil || !sound || !expressionsSound {
		return err
	}
	return s.checkKey(ctx)
}

// queryFault records a mistake in the query at its place in the file. Any other
// error, such as a lost connection, is returned.
func (s *stepCheck) queryFault(err error) error {
	var mistake *extract.QueryError
	if !errors.As(err, &mistake) {
		return err
	}
	at := s.step.QueryPos
	if mistake.Line > 0 {
		at = s.step.QueryAt(mistake.Line, mistake.Column)
	}
	s.fault(at, "", fmt.Sprintf("Postgres cannot run the query: %v", mistake.Err), "correct the query")
	return nil
}

// checkColumns checks that the query has each column that is referred to, and
// has it once.
func (s *stepCheck) checkColumns(names []string) (sound bool) {
	sound = true
	check := func(column string, at pipeline.Pos, field, use string) {
		if column == "" {
			return
		}
		message, fix := lookUp(column, names)
		if message == "" {
			return
		}
		sound = false
		s.fault(at, field, use+message, fix)
	}
	for _, column := range s.step.Key {
		check(column, s.step.KeyPos, "", "key: ")
	}
	for _, f := range s.step.Fields {
		check(f.Column, f.From, f.Target, "")
	}
	if s.step.Changes != nil {
		check(s.step.Changes.By, s.step.ChangesPos, "", "changes: ")
	}
	return sound
}

// lookUp says what is wrong with a reference to a column, and what helps.
func lookUp(column string, names []string) (message, fix string) {
	count := 0
	for _, name := range names {
		if name == column {
			count++
		}
	}
	switch {
	case count == 1:
		return "", ""
	case count > 1:
		return fmt.Sprintf("the query has %d columns named %q", count, column), fmt.Sprintf("give each its own name, such as %s AS other_%s", column, column)
	}
	message = fmt.Sprintf("the query has no column %q", column)
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if near, ok := nearest.Name(column, names); ok {
		return message, fmt.Sprintf("did you mean %q?", near)
	}
	if len(names) > most {
		return message, fmt.Sprintf("it has %s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return message, "it has " + strings.Join(names, ", ")
}

// checkExpressions finds out which of the expressions do not work.
func (s *stepCheck) checkExpressions(ctx context.Context) (sound bool, err error) {
	sound = true
	for i, f := range s.step.Fields {
		if f.SQL == "" {
			continue
		}
		columns, err := extract.Describe(ctx, s.conn, s.projection.Only(s.projection.Fields[i].Index))
		var mistake *extract.QueryError
		switch {
		case errors.As(err, &mistake):
			s.fault(f.From, f.Target, fmt.Sprintf("Postgres cannot work out the expression: %v", mistake.Err), "correct it: it can use the columns of the query, and each bracket and quote must be closed")
		case err != nil:
			return false, err
		case len(columns) != 1:
			s.fault(f.From, f.Target, fmt.Sprintf("the expression gives %d values instead of one", len(columns)), "look for a comma outside brackets")
		default:
			continue
		}
		sound = false
	}
	return sound, nil
}

// checkKey records why the rows cannot be read in the order of the key, when
// the query and all expressions work.
func (s *stepCheck) checkKey(ctx context.Context) error {
	_, err := extract.Describe(ctx, s.conn, s.plan.SQL)
	var mistake *extract.QueryError
	if !errors.As(err, &mistake) {
		return err
	}
	s.fault(s.step.KeyPos, "", fmt.Sprintf("the rows cannot be read in the order of the key (%s): %v", strings.Join(s.step.Key, ", "), mistake.Err),
		"take a key of a type that sorts, or cast it in the query")
	return nil
}

// noteTypes keeps the types of what is selected.
func (s *stepCheck) noteTypes(selected []extract.ColumnInfo) {
	s.sound = true
	for i, f := range s.projection.Fields {
		if f.Index >= 0 {
			s.plan.Columns[i].SourceType = selected[f.Index].TypeName
		}
	}
	for _, i := range s.projection.Key {
		s.plan.KeyTypes = append(s.plan.KeyTypes, selected[i].TypeName)
	}
}

// checkReadable checks that the rows may be read, and that each of their types
// can be written.
func (s *stepCheck) checkReadable(ctx context.Context) error {
	if err := s.checkPermission(ctx); err != nil {
		return err
	}
	types, err := s.prepare(ctx, s.columns(0, len(s.step.Fields)))
	if err == nil {
		s.plan.KeyTypes = types
		return nil
	}
	// Something cannot be read: the key, which needs no field to be tried, or
	// some of the fields.
	if _, err := s.prepare(ctx, []extract.Column{{Header: "Key", Index: -1}}); err != nil {
		return s.typeFault(ctx, s.step.KeyPos, "", err)
	}
	for i, f := range s.step.Fields {
		if _, err := s.prepare(ctx, s.columns(i, i+1)); err != nil {
			if err := s.typeFault(ctx, f.From, f.Target, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// typeFault records why extract cannot read a column. An error that is about
// the connection instead is returned.
func (s *stepCheck) typeFault(ctx context.Context, at pipeline.Pos, field string, err error) error {
	if s.conn.IsClosed() || ctx.Err() != nil {
		return err
	}
	// extract names the step and the field, which the finding does too.
	for range 2 {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner
		}
	}
	s.fault(at, field, err.Error(), "")
	return nil
}

// checkPermission asks for the plan of the statement: only that finds out
// whether our role may read the tables. It also tells how many rows there may be.
func (s *stepCheck) checkPermission(ctx context.Context) error {
	tx, err := extract.Begin(ctx, s.conn)
	if err != nil {
		return err
	}
	var explained []struct {
		Plan struct {
			Rows float64 `json:"Plan Rows"`
		}
	}
	err = tx.QueryRow(ctx, "EXPLAIN (FORMAT JSON) "+s.plan.SQL).Scan(&explained)
	if rollback := tx.Rollback(ctx); rollback != nil {
		return rollback
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		s.fault(s.step.QueryPos, "", fmt.Sprintf("Postgres will not run the query: %s (SQLSTATE %s)", refused.Message, refused.Code),
			"grant the database role what it lacks, such as SELECT on the tables")
		return nil
	}
	if len(explained) > 0 {
		s.plan.LikelyRows = int64(explained[0].Plan.Rows)
	}
	return err
}

// columns are some of the columns of what is uploaded, as extract wants them.
func (s *stepCheck) columns(from, to int) []extract.Column {
	var columns []extract.Column
	for i := from; i < to; i++ {
		f, plan := s.projection.Fields[i], s.plan.Columns[i]
		columns = append(columns, extract.Column{
			Header: plan.Target, Index: f.Index, Const: f.Const, ConstNull: f.ConstNull, MaxChars: plan.MaxChars,
		})
	}
	return columns
}

// prepare asks whether an extraction of these columns could begin, and returns
// the types of its key.
func (s *stepCheck) prepare(ctx context.Context, columns []extract.Column) ([]string, error) {
	tx, err := extract.Begin(ctx, s.conn)
	if err != nil {
		return nil, err
	}
	query, err := extract.Prepare(ctx, tx, extract.Spec{
		Step: s.step.Name, SQL: s.plan.SQL, Key: s.projection.Key, KeyNames: s.step.Key,
		Columns: columns, ExternalID: -1, MaxRows: 1, MaxBytes: pipeline.MaxBytes,
	})
	if rollback := tx.Rollback(ctx); rollback != nil {
		return nil, errors.Join(err, rollback)
	}
	if err != nil {
		return nil, err
	}
	return query.KeyTypes(), nil
}
