// Package propose looks at the tables of a source and the objects of an org and
// writes a pipeline for a person to correct: which table goes into which object,
// and which column into which field, as far as names and types tell. It must
// never be believed without that person: nothing runs what it wrote by itself.
package propose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"
)

// Table is a table of the source.
type Table struct {
	Schema  string   `json:"schema"`
	Name    string   `json:"table"`
	Rows    int64    `json:"rows"` // as the database guesses; -1 where it was never counted
	Columns []Column `json:"columns"`
	Key     []string `json:"key"` // the primary key; empty without one
	Parents []Parent `json:"parents"`
}

// Column is a column of a Table.
type Column struct {
	Name string `json:"column"`
	Type string `json:"type"` // SQL type, such as character varying(80)
}

// Parent is a foreign key of one column.
type Parent struct {
	Column string `json:"column"`
	Schema string `json:"schema"`
	Table  string `json:"table"`
}

// Tables lists the tables, and the views, that our role may read, with those of
// the system and of etl's own state left out, and what has a name that cannot be
// written down. Parents are only those whose key
// is one column.
func Tables(ctx context.Context, conn *pgx.Conn) ([]Table, error) {
	const query = `
		SELECT n.nspname, c.relname, c.reltuples::bigint,
			(SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
			(SELECT array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
			coalesce((SELECT array_agg(a.attname::text ORDER BY k.place)
				FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (attnum, place), pg_attribute a
				WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum), '{}'),
			coalesce((SELECT array_agg(ARRAY[a.attname::text, pn.nspname::text, p.relname::text] ORDER BY a.attnum)
				FROM pg_constraint f JOIN pg_class p ON p.oid = f.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
				JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = f.conkey[1]
				WHERE f.conrelid = c.oid AND f.contype = 'f' AND cardinality(f.conkey) = 1), '{}')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'etl')
			AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
		ORDER BY n.nspname, c.relname`
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list the tables of the source: %w", err)
	}
	tables, err := pgx.CollectRows(rows, scanTable)
	if err != nil {
		return nil, fmt.Errorf("list the tables of the source: %w", err)
	}
	return slices.DeleteFunc(tables, func(t Table) bool { return !writable(t.Schema) || !writable(t.Name) }), nil
}

func scanTable(row pgx.CollectableRow) (Table, error) {
	t := Table{Columns: []Column{}, Parents: []Parent{}}
	var names, types []string
	var parents [][]string
	if err := row.Scan(&t.Schema, &t.Name, &t.Rows, &names, &types, &t.Key, &parents); err != nil {
		return t, err
	}
	for i, name := range names {
		if writable(name) {
			t.Columns = append(t.Columns, Column{name, types[i]})
		}
	}
	if slices.ContainsFunc(t.Key, func(name string) bool { return !writable(name) }) {
		t.Key = []string{}
	}
	for _, p := range parents {
		t.Parents = append(t.Parents, Parent{p[0], p[1], p[2]})
	}
	return t, nil
}

// writable says whether a name can stand in a pipeline: it has letters, and no
// line breaks.
func writable(name string) bool {
	return strings.TrimSpace(name) != "" && !strings.ContainsFunc(name, unicode.IsControl)
}
