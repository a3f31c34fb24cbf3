package pipeline_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"bulkhead/internal/pgtest"
	"bulkhead/internal/pipeline"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestColumnsAreQuoted lets Postgres itself read columns whose names would be SQL if they were not quoted.
func TestColumnsAreQuoted(t *testing.T) {
	t.Parallel()
	conn := pgtest.Conn(t, pgtest.Empty(t))
	if _, err := conn.Exec(t.Context(), `CREATE TABLE x (id int); INSERT INTO x VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.OneOf(
			rapid.SampledFrom([]string{
				`a"; DROP TABLE x; --`, `a"`, `"`, `""`, `'`, `";--`, `$1`, `$$`, `\`, `/*`, `--`, `SELECT`, `source`, `a.b`, ` `, "a\nb",
				`U&"\0061"`, `é`, `%s`, `?`, `:name`, `a)) AS source; DELETE FROM x; --`,
			}),
			rapid.StringMatching(`[a-zA-Z"';$\\/*. ()-]{1,20}`),
		), 2, 4, rapid.ID[string]).Draw(rt, "names")
		step := &pipeline.Step{Key: names[:1]}
		var columns []string
		for i, name := range names {
			columns = append(columns, fmt.Sprintf("'value %d'::text AS %s", i, pgx.Identifier{name}.Sanitize()))
			step.Fields = append(step.Fields, pipeline.Field{Target: fmt.Sprintf("F%d__c", i), Column: name})
		}
		step.Query = "SELECT " + strings.Join(columns, ", ")
		p := step.Compile()
		for _, sql := range []string{p.SQL("", 0), p.SQL(p.KeyExpr(0)+" > ''", 7)} {
			got, err := readRow(t, conn, sql)
			if err != nil {
				rt.Fatalf("%q: %v\nin %s", names, err, sql)
			}
			for i, f := range p.Fields {
				if want := fmt.Sprintf("value %d", i); got[f.Index] != want {
					rt.Fatalf("column %q holds %v, want %q\nin %s", names[i], got[f.Index], want, sql)
				}
			}
		}
	})
	var rows int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM x`).Scan(&rows); err != nil || rows != 1 {
		t.Errorf("the table that was attacked has %d rows: %v", rows, err)
	}
}

// readRow runs sql as text, which would let several statements through.
func readRow(t *testing.T, conn *pgx.Conn, sql string) ([]any, error) {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, err
	}
	return pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
}

// TestNamesThatGoFurtherAreRefused: the names of pipelines and steps become folders, arguments and labels; those of
// objects and fields become parts of addresses and the header of a CSV.
func TestNamesThatGoFurtherAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"../../x", "..", ".", "/etc/passwd", `a\b`, "a/b", "-rf", "a b", "a;b", "a'b", `a"b`, "a$b", "a`b", "é", "a\u202eb", "a,b", "=a", strings.Repeat("a", 64),
	} {
		quoted := fmt.Sprintf("%q", name)
		for what, text := range map[string]string{
			"pipeline": strings.Replace(step(), "name: p", "name: "+quoted, 1),
			"step":     strings.Replace(step(), "name: s", "name: "+quoted, 1),
			"object":   strings.Replace(step(), "object: Account", "object: "+quoted, 1),
			"field":    strings.Replace(step(), "Name: name", quoted+": name", 1),
		} {
			if what == "field" && name == strings.Repeat("a", 64) || what == "object" && name == strings.Repeat("a", 64) {
				continue // long, but a name
			}
			if text == step() {
				t.Fatalf("the %s was not replaced", what)
			}
			if _, err := pipeline.Parse("f.yaml", []byte(text)); err == nil {
				t.Errorf("%s %q is taken", what, name)
			}
		}
	}
}
