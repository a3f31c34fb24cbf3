package extract

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ColumnInfo is a column of a query's result.
type ColumnInfo struct {
	Name     string
	Type     uint32 // OID; of a domain, that of its base type
	TypeName string // as SQL writes it, such as "character varying(80)"
}

// QueryError is a mistake in a user's query.
type QueryError struct {
	Line, Column int // where, in characters from 1; 0 when the server does not say
	Err          error
}

func (e *QueryError) Error() string {
	if e.Line == 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("line %d, column %d: %v", e.Line, e.Column, e.Err)
}

func (e *QueryError) Unwrap() error { return e.Err }

// A user's query is read as a table, so that is how it is described: what works
// alone but not inside, such as a semicolon at its end, shows here.
const (
	beforeQuery = "SELECT * FROM (\n"
	afterQuery  = "\n) AS source"
)

// Describe returns the columns of a user's query without running it. A mistake in
// the query is a *QueryError that says where in the query it is.
func Describe(ctx context.Context, conn *pgx.Conn, sql string) ([]ColumnInfo, error) {
	description, err := conn.Prepare(ctx, "", beforeQuery+sql+afterQuery)
	if err == nil {
		return columnInfos(ctx, conn, description.Fields)
	}
	mistake, inside := queryError(sql, len(beforeQuery), err)
	if !inside {
		// The server lost its way after the query, such as in "SELEC 1", which
		// could be the name of a table in there. Alone, it may say more.
		if _, alone := conn.Prepare(ctx, "", sql); alone != nil {
			mistake, _ = queryError(sql, 0, alone)
		}
	}
	return nil, mistake
}

// columnInfos adds the names of types to what the server told.
func columnInfos(ctx context.Context, conn *pgx.Conn, fields []pgconn.FieldDescription) ([]ColumnInfo, error) {
	oids, modifiers := make([]uint32, len(fields)), make([]int32, len(fields))
	for i, field := range fields {
		oids[i], modifiers[i] = field.DataTypeOID, field.TypeModifier
	}
	rows, err := conn.Query(ctx, `
		SELECT format_type(type, modifier)
		FROM unnest($1::oid[], $2::int[]) WITH ORDINALITY AS t (type, modifier, i)
		ORDER BY i`, oids, modifiers)
	if err != nil {
		return nil, fmt.Errorf("read the names of types: %w", plain(err))
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the names of types: %w", plain(err))
	}
	infos := make([]ColumnInfo, len(fields))
	for i, field := range fields {
		infos[i] = ColumnInfo{Name: field.Name, Type: field.DataTypeOID, TypeName: names[i]}
	}
	return infos, nil
}

// queryError places a server's error in the query it is about, which stood after
// so many characters of what was sent; inside is false when it is elsewhere.
func queryError(sql string, before int, err error) (mistake error, inside bool) {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return fmt.Errorf("describe the query: %w", err), true
	}
	if pgErr.Position == 0 {
		return &QueryError{Err: plain(err)}, true
	}
	offset := int(pgErr.Position) - 1 - before
	placed := &QueryError{Err: plain(err)}
	placed.Line, placed.Column = place(sql, offset)
	return placed, offset >= 0 && offset < utf8.RuneCountInString(sql)
}

// place returns the line and column of the character at an offset, counted from
// 0; one outside the text is moved to its nearest end.
func place(text string, offset int) (line, column int) {
	line, column = 1, 1
	for _, r := range text {
		if offset <= 0 {
			break
		}
		offset--
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return line, column
}

// serverError is a server's error in words for people: without "ERROR:", with the
// server's detail and hint.
type serverError struct{ *pgconn.PgError }

func (e serverError) Error() string {
	text := e.Message
	for _, more := range []string{e.Detail, e.Hint} {
		if more != "" {
			text += "; " + lowerFirst(more)
		}
	}
	return fmt.Sprintf("%s (SQLSTATE %s)", text, e.Code)
}

func (e serverError) Unwrap() error { return e.PgError }

// plain returns err with the text of serverError if a server said it.
func plain(err error) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return serverError{pgErr}
	}
	return err
}

// lowerFirst fits a sentence of the server into one of ours.
func lowerFirst(sentence string) string {
	if r, size := utf8.DecodeRuneInString(sentence); r >= 'A' && r <= 'Z' {
		sentence = string(r+'a'-'A') + sentence[size:]
	}
	if n := len(sentence); n > 0 && sentence[n-1] == '.' {
		sentence = sentence[:n-1]
	}
	return sentence
}
