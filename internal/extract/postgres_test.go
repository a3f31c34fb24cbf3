package extract_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

// comparison is a type, how to draw its values, and how Postgres itself writes
// them as Salesforce wants them; %s is the column.
type comparison struct {
	typ, expected string
	draw          *rapid.Generator[string]
	floatBits     int // of a float; 0: not one
}

func comparisons() []comparison {
	printable := func(v any) string { return fmt.Sprint(v) }
	numeric := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("%d%s", rapid.Int64().Draw(t, "digits"),
			rapid.StringMatching(`([0-9]{0,40}\.[0-9]{1,60}|e-[1-9][0-9]{0,2}|e[1-9][0-9]?)?`).Draw(t, "rest"))
	})
	// What Salesforce stores, less a day at each end for the time zones.
	first, last := time.Date(1700, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(4000, 12, 30, 0, 0, 0, 0, time.UTC)
	instant := rapid.Map(rapid.Int64Range(first.UnixMicro(), last.UnixMicro()), func(micros int64) string {
		return fmt.Sprintf("epoch %d", micros)
	})
	return []comparison{
		{"bool", "%s::text", rapid.Map(rapid.Bool(), func(b bool) string { return printable(b) }), 0},
		{"smallint", "%s::text", rapid.Map(rapid.Int16(), func(n int16) string { return printable(n) }), 0},
		{"integer", "%s::text", rapid.Map(rapid.Int32(), func(n int32) string { return printable(n) }), 0},
		{"bigint", "%s::text", rapid.Map(rapid.Int64(), func(n int64) string { return printable(n) }), 0},
		{"numeric", "%s::text", numeric, 0},
		{"numeric(30,7)", "%s::text", rapid.Map(rapid.Int64(), func(n int64) string { return printable(n) + ".0625" }), 0},
		// Postgres writes floats with an exponent; a numeric of that text has none.
		{"real", "trim_scale(%s::text::numeric)::text", rapid.Map(rapid.Float32(), func(f float32) string { return printable(f) }), 32},
		{"double precision", "trim_scale(%s::text::numeric)::text", rapid.Map(rapid.Float64(), func(f float64) string { return printable(f) }), 64},
		{"date", "to_char(%s, 'YYYY-MM-DD')", instant, 0},
		{"timestamp", "replace(to_char(%s, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), '.000Z', 'Z')", instant, 0},
		{"timestamptz", "replace(to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), '.000Z', 'Z')", instant, 0},
		{"time", "to_char(%s, 'HH24:MI:SS.MS\"Z\"')", instant, 0},
		{"uuid", "%s::text", rapid.Map(rapid.Uint64(), func(n uint64) string { return fmt.Sprintf("%016x%016x", n, n/3) }), 0},
		{"bytea", "translate(encode(%s, 'base64'), E'\\n', '')", rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return fmt.Sprintf(`\x%x`, b) }), 0},
		{"text", `regexp_replace(%s, E'\r\n?', E'\n', 'g')`, awkward, 0},
		{"char(8)", `regexp_replace(%s::text, E'\r\n?', E'\n', 'g')`, awkward, 0},
		{"jsonb", "%s::text", rapid.Map(rapid.Int64(), func(n int64) string { return fmt.Sprintf(`{"n": %d, "s": "\u00e9\"\n"}`, n) }), 0},
		{"bigint[]", "array_to_string(%s, ';')", rapid.Map(rapid.SliceOf(rapid.Int64()), func(n []int64) string {
			return "{" + strings.Trim(strings.ReplaceAll(fmt.Sprint(n), " ", ","), "[]") + "}"
		}), 0},
	}
}

// TestSameAsPostgres compares random rows with what Postgres makes of them with
// to_char, encode, casts and COPY.
func TestSameAsPostgres(t *testing.T) {
	t.Parallel()
	rapid.Check(t, sameAsPostgres(t))
}

// FuzzSameAsPostgres looks for such rows by what they reach of the encoders.
func FuzzSameAsPostgres(f *testing.F) { f.Fuzz(rapid.MakeFuzz(sameAsPostgres(f))) }

func sameAsPostgres(tb testing.TB) func(*rapid.T) {
	tb.Helper()
	types := comparisons()
	var columns, names, expected []string
	for i, c := range types {
		name := fmt.Sprintf("c%d", i)
		names = append(names, name)
		columns = append(columns, name+" "+c.typ)
		// A null stands apart from an empty text by its marker.
		expected = append(expected, fmt.Sprintf("COALESCE("+c.expected+", '#N/A')", name))
	}
	conn := connect(tb, "CREATE TABLE things (id bigint PRIMARY KEY, "+strings.Join(columns, ", ")+")")
	read := "SELECT id, " + strings.Join(names, ", ") + " FROM things ORDER BY id"
	wanted := "COPY (SELECT " + strings.Join(expected, ", ") + " FROM things ORDER BY id) TO STDOUT (FORMAT csv)"
	return func(t *rapid.T) {
		insertRandom(t, conn, types)
		chunks, err := stream(t.Context(), conn, spec(read, len(types)))
		if err != nil {
			t.Fatal(err)
		}
		if len(chunks) != 1 || len(chunks[0].rejected) > 0 {
			t.Fatalf("%d chunks, rejected: %+v", len(chunks), chunks[0].rejected)
		}
		var copied bytes.Buffer
		if _, err := conn.PgConn().CopyTo(t.Context(), &copied, wanted); err != nil {
			t.Fatal(err)
		}
		want, err := csv.NewReader(&copied).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		got := chunks[0].records(t)
		readFloats(t, types, want)
		readFloats(t, types, got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("records (-postgres +extract):\n%s", diff)
		}
	}
}

// readFloats replaces floats by what they read back as. Of decimals of the same
// length that read back as the same float, Postgres takes none that lies half way
// to the next float, and Go does: 33554450 for 33554448 as a real.
func readFloats(t *rapid.T, types []comparison, records [][]string) {
	t.Helper()
	for _, record := range records {
		for i, c := range types {
			if c.floatBits == 0 || record[i] == "#N/A" {
				continue
			}
			f, err := strconv.ParseFloat(record[i], c.floatBits)
			if err != nil || strings.Contains(record[i], "e") {
				t.Fatalf("float %q: %v", record[i], err)
			}
			record[i] = strconv.FormatFloat(f, 'g', -1, c.floatBits)
		}
	}
}

// insertRandom replaces the rows.
func insertRandom(t *rapid.T, conn *pgx.Conn, types []comparison) {
	t.Helper()
	insert := "INSERT INTO things VALUES ($1::bigint"
	for i, c := range types {
		param := fmt.Sprintf("$%d::text", i+2)
		value := fmt.Sprintf("%s::%s", param, c.typ)
		switch c.typ {
		case "date", "timestamp", "timestamptz", "time":
			value = fmt.Sprintf("(timestamptz 'epoch' + substring(%s from 7)::bigint * interval '1 microsecond')::%s", param, c.typ)
		}
		insert += ", " + value
	}
	insert += ")"
	batch := &pgx.Batch{}
	batch.Queue("TRUNCATE things")
	for id := range rapid.IntRange(1, 5).Draw(t, "rows") {
		args := []any{id}
		for _, c := range types {
			args = append(args, rapid.Ptr(c.draw, true).Draw(t, c.typ))
		}
		batch.Queue(insert, args...)
	}
	if err := conn.SendBatch(t.Context(), batch).Close(); err != nil {
		t.Fatal(err)
	}
}
