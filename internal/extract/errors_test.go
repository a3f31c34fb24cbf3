package extract_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"bulkhead/internal/extract"
	"bulkhead/internal/pgtest"
)

func TestBadKeys(t *testing.T) {
	t.Parallel()
	conn := connect(t, "CREATE EXTENSION citext")
	for name, test := range map[string]struct {
		sql, want string
		chunks    int // that were ended before
	}{
		"duplicate": {
			sql:  "VALUES (1, 'a'), (2, 'b'), (2, 'c')",
			want: `extract "things": key (id) = (2) is not unique: the query returns more than one row with it; a key must tell every row apart`,
		},
		"duplicate across chunks": {
			sql:    "VALUES (1, 'a'), (2, 'b'), (3, 'c'), (3, 'd')",
			want:   `extract "things": key (id) = (3) is not unique`,
			chunks: 0,
		},
		"duplicate later": {
			sql:    "VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (4, 'e')",
			want:   `extract "things": key (id) = (4) is not unique`,
			chunks: 1,
		},
		"null": {
			sql:  "VALUES (1, 'a'), (NULL, 'b')",
			want: `extract "things": key (id) = (NULL) has a NULL in it; a key must tell every row apart`,
		},
		"equal numerics": {
			sql:  "VALUES (1.0, 'a'), (1.00, 'b')",
			want: `extract "things": key (id) = (1.00) is not unique`,
		},
		"equal floats": {
			sql:  "VALUES (float8 '-0', 'a'), (float8 '0', 'b')",
			want: `extract "things": key (id) = (0) is not unique`,
		},
		"equal citext": {
			sql:  "VALUES ('a'::citext, 'a'), ('A'::citext, 'b')",
			want: `extract "things": key (id) = (A) is not unique`,
		},
		"different text": {sql: "VALUES ('a', 'a'), ('A', 'b')", chunks: 1},
	} {
		s := spec(test.sql, 1)
		s.MaxRows = 3
		chunks, err := stream(t.Context(), conn, s)
		if (err == nil) != (test.want == "") || (err != nil && !strings.HasPrefix(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
		ended := 0
		for _, c := range chunks {
			if c.ended {
				ended++
			}
		}
		if ended != test.chunks {
			t.Errorf("%s: %d chunks were ended, want %d", name, ended, test.chunks)
		}
	}
}

func TestBadCompositeKey(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	s := spec("VALUES ('a', 'bc', 1), ('ab', 'c', 1), ('ab', 'c', 2)", 0)
	s.Key, s.KeyNames = []int{0, 1}, []string{"account_id", "id"}
	s.Columns = []extract.Column{{Header: "F", Index: 2}}
	_, err := stream(t.Context(), conn, s)
	want := `extract "things": key (account_id, id) = (ab, c) is not unique`
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestErrorInTheMiddleNamesTheLastKey(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	for _, test := range []struct{ sql, want string }{
		{
			"SELECT i, 100 / (5000 - i) FROM generate_series(1, 10000) i",
			`extract "things": rows after id 4999: division by zero (SQLSTATE 22012)`,
		},
		{"SELECT 1, 1 / (random() < 0)::int", `extract "things": first rows: division by zero (SQLSTATE 22012)`},
	} {
		chunks, err := stream(t.Context(), conn, spec(test.sql, 1))
		if err == nil || err.Error() != test.want {
			t.Errorf("error %v, want %s", err, test.want)
		}
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) {
			t.Errorf("error %v is no PgError", err)
		}
		if n := len(chunks); n > 0 && (chunks[n-1].ended || !chunks[0].ended) {
			t.Errorf("first of %d chunks ended: %v; last: %v", n, chunks[0].ended, chunks[n-1].ended)
		}
	}
}

func TestStatementTimeout(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	pgtestSet(t, conn, "SET statement_timeout = '2s'")
	// The rows before the one that sleeps fill the server's send buffer many times.
	sql := "SELECT i, repeat('x', 1000), CASE WHEN i = 5000 THEN pg_sleep(600)::text END FROM generate_series(1, 5000) i"
	_, err := stream(t.Context(), conn, spec(sql, 2))
	if err == nil || !strings.HasPrefix(err.Error(), `extract "things": rows after id `) ||
		!strings.HasSuffix(err.Error(), ": canceling statement due to statement timeout (SQLSTATE 57014)") {
		t.Errorf("error %v", err)
	}
}

func TestLostConnection(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Empty(t)
	conn, killer := pgtest.Conn(t, dsn), pgtest.Conn(t, dsn)
	pid := conn.PgConn().PID()
	err := streamWith(t.Context(), conn, endless, func(ctx context.Context, _ int) (extract.Writer, error) {
		_, err := killer.Exec(ctx, "SELECT pg_terminate_backend($1)", int64(pid))
		return &chunk{}, err
	})
	if err == nil || !strings.HasPrefix(err.Error(), `extract "things": rows after id `) {
		t.Errorf("error %v", err)
	}
}

// endless is a query that would take hours. In the select list, because a function
// after FROM has to end before its first row comes.
const endless = "SELECT generate_series(1, 10000000000), 'text'"

func TestCancelEndsTheStream(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	err := streamWith(ctx, conn, endless, func(context.Context, int) (extract.Writer, error) {
		cancel()
		return &chunk{}, nil
	})
	if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), `extract "things": rows after id `) {
		t.Errorf("error %v", err)
	}
}

func TestCancelEndsASilentQuery(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := stream(ctx, conn, spec("SELECT 1, pg_sleep(600)::text", 1))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestCallersErrorEndsTheStream(t *testing.T) {
	t.Parallel()
	full := errors.New("the disk is full")
	for name, begin := range map[string]extract.BeginFunc{
		"begin":  func(context.Context, int) (extract.Writer, error) { return nil, full },
		"append": func(context.Context, int) (extract.Writer, error) { return failingWriter{full}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, "")
			err := streamWith(t.Context(), conn, endless, begin)
			if !errors.Is(err, full) || err.Error() != `extract "things": the disk is full` {
				t.Errorf("error %v", err)
			}
		})
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Append([]byte, []byte) error { return w.err }

func (w failingWriter) Reject(string, string, string, string, []byte) error { return w.err }

// streamWith runs a query of one field with begin.
func streamWith(ctx context.Context, conn *pgx.Conn, sql string, begin extract.BeginFunc) error {
	tx, err := extract.Begin(ctx, conn)
	if err != nil {
		return err
	}
	q, err := extract.Prepare(ctx, tx, spec(sql, 1))
	if err != nil {
		return err
	}
	return q.Stream(ctx, begin, func(context.Context, extract.Chunk) error { return nil })
}

func pgtestSet(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestUnsupportedTypes(t *testing.T) {
	t.Parallel()
	conn := connect(t, valueTypes)
	for expr, want := range map[string]string{
		`point '(1,2)'`:                `has type point, which has no form that Salesforce is sure to understand; cast it in the query, such as: "v"::text`,
		`12::money`:                    `has type money, which has no form that Salesforce is sure to understand; cast it in the query, such as: "v"::numeric`,
		`ROW(1, 'a')::pair`:            `has type pair, which has no form that Salesforce is sure to understand; cast it in the query, such as: ("v").field`,
		`int4range(1, 2)`:              `has type int4range, which has no form that Salesforce is sure to understand; cast it in the query, such as: lower("v")`,
		`time with time zone '12:00Z'`: `has type time with time zone, which has no form that Salesforce is sure to understand; cast it in the query, such as: ("v" AT TIME ZONE 'UTC')::time`,
		`'{1.2.3.4}'::inet[]`:          `has type inet[], which has no form that Salesforce is sure to understand; cast it in the query, such as: "v"::text[]`,
	} {
		_, err := stream(t.Context(), conn, spec("SELECT 1, "+expr+" AS v", 1))
		want = `extract "things": field F1: column "v" ` + want
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", expr, err, want)
		}
	}
	_, err := stream(t.Context(), conn, spec("SELECT '{a}'::text[] AS v, 1", 1))
	want := `extract "things": key id: column "v" has type text[], which cannot be a key; cast it in the query, such as: "v"::text`
	if err == nil || err.Error() != want {
		t.Errorf("array key: %v\nwant %s", err, want)
	}
}

func TestPrepareRefuses(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	for name, change := range map[string]func(*extract.Spec){
		"no field":            func(s *extract.Spec) { s.Columns = nil },
		"no key":              func(s *extract.Spec) { s.Key = nil },
		"nameless key":        func(s *extract.Spec) { s.KeyNames = nil },
		"after of two":        func(s *extract.Spec) { s.After = []string{"1", "2"} },
		"no rows":             func(s *extract.Spec) { s.MaxRows = 0 },
		"no bytes":            func(s *extract.Spec) { s.MaxBytes = 0 },
		"external id":         func(s *extract.Spec) { s.ExternalID = 1 },
		"null marker":         func(s *extract.Spec) { s.Null = "NULL" },
		"column out of range": func(s *extract.Spec) { s.Columns[0].Index = 9 },
		"key out of range":    func(s *extract.Spec) { s.Key = []int{9} },
		"no SQL":              func(s *extract.Spec) { s.SQL = "SELEC 1" },
	} {
		s := spec("SELECT 1, 'a'", 1)
		change(&s)
		if _, err := stream(t.Context(), conn, s); err == nil || !strings.HasPrefix(err.Error(), `extract "things": `) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	conn := connect(t, valueTypes)
	got, err := extract.Describe(t.Context(), conn, `
		SELECT 1::bigint AS id, 'x'::varchar(80) AS "Name", 'a@b'::work_email, 1.5::cents AS cents, 'happy'::mood AS mood,
			'{}'::text[] AS tags, 'a'::char(3) AS c -- no line end after this`)
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, c := range got {
		columns = append(columns, c.Name+" "+c.TypeName)
		if c.Type == 0 {
			t.Errorf("column %s has no type", c.Name)
		}
	}
	want := []string{
		"id bigint", "Name character varying(80)", "work_email text", "cents numeric(12,2)", "mood mood", "tags text[]", "c character(3)",
	}
	if diff := cmp.Diff(want, columns); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
}

func TestDescribePlacesMistakes(t *testing.T) {
	t.Parallel()
	conn := connect(t, "CREATE TABLE customers (id bigint, name text)")
	for _, test := range []struct {
		sql          string
		line, column int
		want         string
	}{
		{"SELECT id, nam FROM customers", 1, 12, `line 1, column 12: column "nam" does not exist; perhaps you meant to reference the column "customers.name" (SQLSTATE 42703)`},
		{"SELECT id,\n\t'é😀', nam\nFROM customers", 2, 8, ""},
		{"SELECT id\nFROM customer", 2, 6, `line 2, column 6: relation "customer" does not exist (SQLSTATE 42P01)`},
		{"SELEC id", 1, 1, `line 1, column 1: syntax error at or near "SELEC" (SQLSTATE 42601)`},
		{"SELECT 1;", 1, 9, `line 1, column 9: syntax error at or near ";" (SQLSTATE 42601)`},
		{"SELECT (1", 1, 10, ""}, // ends before the query does: at its end
		{"SELECT 'a", 1, 8, ""},
	} {
		_, err := extract.Describe(t.Context(), conn, test.sql)
		var mistake *extract.QueryError
		if !errors.As(err, &mistake) {
			t.Errorf("%q: %v, want a QueryError", test.sql, err)
			continue
		}
		if mistake.Line != test.line || mistake.Column != test.column || (test.want != "" && err.Error() != test.want) {
			t.Errorf("%q: %v, want line %d, column %d: %s", test.sql, err, test.line, test.column, test.want)
		}
	}
}

func TestDescribeRunsNothing(t *testing.T) {
	t.Parallel()
	conn := connect(t, "CREATE TABLE t (id int)")
	if _, err := extract.Describe(t.Context(), conn, "SELECT 1 / 0 FROM t"); err != nil {
		t.Error(err)
	}
	if _, err := extract.Describe(t.Context(), conn, "SELECT 1) AS a; DROP TABLE t; --"); err == nil {
		t.Error("two statements were described")
	}
	if _, err := extract.Describe(t.Context(), conn, "SELECT * FROM t"); err != nil {
		t.Error(err)
	}
}
