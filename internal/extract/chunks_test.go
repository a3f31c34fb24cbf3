package extract_test

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"bulkhead/internal/extract"
)

// keyKind is a kind of key, and how to draw one.
type keyKind struct {
	name, types string
	exprs       []string // of the key
	draw        func(t *rapid.T) []string
	table       string
}

// String is what rapid prints of a kind.
func (k keyKind) String() string { return k.name }

// awkward are letters and signs that an ICU collation sorts unlike their bytes.
var awkward = rapid.StringOfN(rapid.SampledFrom([]rune("aAbBzZäÄéEe-_ .,\"'\\1290\n\r\t日😀")), 0, 6, -1)

func keyKinds() []keyKind {
	number := func(t *rapid.T) string { return fmt.Sprint(rapid.Int64().Draw(t, "number")) }
	small := func(t *rapid.T) string { return fmt.Sprint(rapid.IntRange(-3, 3).Draw(t, "small")) }
	instant := func(t *rapid.T) string {
		return fmt.Sprintf("%s %d microseconds", rapid.SampledFrom([]string{"2000-01-01", "1969-12-31", "0044-03-15 BC"}).Draw(t, "day"),
			rapid.Int64Range(-3, 3).Draw(t, "micros"))
	}
	return []keyKind{
		{name: "bigint", types: "bigint", exprs: []string{"k1"}, draw: func(t *rapid.T) []string { return []string{number(t)} }},
		{name: "text", types: "text", exprs: []string{"k1"}, draw: func(t *rapid.T) []string { return []string{awkward.Draw(t, "text")} }},
		{name: "text C", types: `text COLLATE "C"`, exprs: []string{"k1"}, draw: func(t *rapid.T) []string { return []string{awkward.Draw(t, "text")} }},
		{name: "char(8)", types: "char(8)", exprs: []string{"k1"}, draw: func(t *rapid.T) []string { return []string{awkward.Draw(t, "text")} }},
		{name: "numeric", types: "numeric", exprs: []string{"k1"}, draw: func(t *rapid.T) []string {
			return []string{rapid.SampledFrom([]string{small(t), "0." + number(t)[1:], "NaN", "-Infinity", number(t) + "e-30"}).Draw(t, "numeric")}
		}},
		{name: "float8", types: "float8", exprs: []string{"k1"}, draw: func(t *rapid.T) []string {
			return []string{fmt.Sprint(rapid.Float64().Draw(t, "float"))}
		}},
		{name: "bool, uuid", types: "bool,uuid", exprs: []string{"k1", "k2"}, draw: func(t *rapid.T) []string {
			return []string{fmt.Sprint(rapid.Bool().Draw(t, "bool")), fmt.Sprintf("%032x", rapid.Uint64().Draw(t, "uuid"))}
		}},
		{name: "int, text", types: "int,text", exprs: []string{"k1", "k2"}, draw: func(t *rapid.T) []string { return []string{small(t), awkward.Draw(t, "text")} }},
		{name: "timestamptz, date", types: "timestamptz,date", exprs: []string{"k1", "k2"}, draw: func(t *rapid.T) []string {
			return []string{instant(t), rapid.SampledFrom([]string{"infinity", "-infinity", "2024-02-29", "0044-03-15 BC"}).Draw(t, "date")}
		}},
		{name: "timestamp, time", types: "timestamp,time", exprs: []string{"k1", "k2"}, draw: func(t *rapid.T) []string {
			return []string{rapid.SampledFrom([]string{"infinity", "2024-02-29 12:00:00.000001"}).Draw(t, "at"), fmt.Sprintf("%02d:00:00.5", rapid.IntRange(0, 23).Draw(t, "hour"))}
		}},
	}
}

// TestChunksCoverTheRows cuts random tables into chunks of random limits, and
// reads each chunk again by its key range.
func TestChunksCoverTheRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, chunksCoverTheRows(t))
}

// FuzzChunksCoverTheRows looks for such tables by what they reach of the cutter.
func FuzzChunksCoverTheRows(f *testing.F) { f.Fuzz(rapid.MakeFuzz(chunksCoverTheRows(f))) }

func chunksCoverTheRows(tb testing.TB) func(*rapid.T) {
	tb.Helper()
	kinds := keyKinds()
	var tables strings.Builder
	for i := range kinds {
		kinds[i].table = fmt.Sprintf("things%d", i)
		tables.WriteString(kinds[i].createTable())
	}
	conn := connect(tb, tables.String())
	return func(t *rapid.T) {
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		kind.fill(t, conn)
		s := kind.spec("")
		s.MaxRows = rapid.Int64Range(1, 12).Draw(t, "max rows")
		s.MaxBytes = rapid.Int64Range(20, 200).Draw(t, "max bytes")
		chunks, err := stream(t.Context(), conn, s)
		if err != nil {
			t.Fatal(err)
		}
		checkChunks(t, s, chunks)
		kind.checkAll(t, conn, chunks)
		for _, c := range chunks {
			kind.checkAgain(t, conn, s, c)
		}
	}
}

// createTable makes a table with the key's columns and a body, which is rejected
// now and then.
func (k keyKind) createTable() string {
	var columns []string
	for i, typ := range strings.Split(k.types, ",") {
		columns = append(columns, fmt.Sprintf("k%d %s NOT NULL", i+1, typ))
	}
	return fmt.Sprintf("CREATE TABLE %s (%s, body text, PRIMARY KEY (%s));", k.table, strings.Join(columns, ", "), strings.Join(k.exprs, ", "))
}

// fill replaces the rows of the table.
func (k keyKind) fill(t *rapid.T, conn *pgx.Conn) {
	t.Helper()
	insert := "INSERT INTO " + k.table + " SELECT "
	for i, typ := range strings.Split(k.types, ",") {
		value := fmt.Sprintf("$%d::text", i+1)
		if typ == "timestamptz" { // a date and a span, as text has no microseconds before Christ
			value = fmt.Sprintf("regexp_replace(%[1]s, ' \\S+ micro.*', '')::timestamptz + substring(%[1]s from '\\S+ micro.*')::interval", value)
		}
		typ, _, _ = strings.Cut(typ, " COLLATE")
		insert += fmt.Sprintf("(%s)::%s, ", value, typ)
	}
	insert += fmt.Sprintf("$%d::text ON CONFLICT DO NOTHING", len(k.exprs)+1)
	batch := &pgx.Batch{}
	batch.Queue("TRUNCATE " + k.table)
	for range rapid.IntRange(0, 40).Draw(t, "rows") {
		var args []any
		for _, value := range k.draw(t) {
			args = append(args, value)
		}
		body := rapid.SampledFrom([]string{"x", "#N/A", "longer than most", strings.Repeat("y", 300)}).Draw(t, "body")
		batch.Queue(insert, append(args, body)...)
	}
	if err := conn.SendBatch(t.Context(), batch).Close(); err != nil {
		t.Fatal(err)
	}
}

// spec reads the rows of a condition: the key's columns as text, and the body.
func (k keyKind) spec(where string, args ...any) extract.Spec {
	if where != "" {
		where = " WHERE " + where
	}
	keys := strings.Join(k.exprs, ", ")
	s := spec(fmt.Sprintf("SELECT %s, body FROM %s%s ORDER BY %s", keys, k.table, where, keys), 0)
	s.Args = args
	s.Columns = []extract.Column{{Header: "B", Index: len(k.exprs)}}
	s.Key, s.KeyNames = nil, k.exprs
	for i := range k.exprs {
		s.Key = append(s.Key, i)
	}
	return s
}

// sqlTypes are the key's types less their collations.
func (k keyKind) sqlTypes() []string {
	types := strings.Split(k.types, ",")
	for i := range types {
		types[i], _, _ = strings.Cut(types[i], " COLLATE")
	}
	return types
}

// checkChunks checks limits, numbers, counts and that the ranges join.
func checkChunks(t *rapid.T, s extract.Spec, chunks []*chunk) {
	t.Helper()
	var low []string
	for i, c := range chunks {
		if !c.ended || c.Seq != i {
			t.Errorf("chunk %d has number %d, ended %v", i, c.Seq, c.ended)
		}
		if diff := cmp.Diff(low, c.Low); diff != "" {
			t.Errorf("chunk %d does not begin where the last ended (-want +got):\n%s", i, diff)
		}
		low = c.High
		last := c.order[len(c.order)-1]
		if got := extract.EncodeKey(c.High); got != last {
			t.Errorf("chunk %d ends at %q, its last key is %q", i, got, last)
		}
		if c.Rows != int64(len(c.records(t))) || c.Rows != int64(len(c.keys)) || c.Rejected != int64(len(c.rejected)) {
			t.Errorf("chunk %d counts %d rows, %d rejected; it has %d and %d", i, c.Rows, c.Rejected, len(c.keys), len(c.rejected))
		}
		if c.Bytes != int64(len("B\n")+len(c.csv)) {
			t.Errorf("chunk %d counts %d bytes, it has %d", i, c.Bytes, len("B\n")+len(c.csv))
		}
		if c.Rows > s.MaxRows || c.Rejected > s.MaxRows || c.Bytes > s.MaxBytes || c.Rows+c.Rejected == 0 {
			t.Errorf("chunk %d of %d rows, %d rejected, %d bytes is outside the limits", i, c.Rows, c.Rejected, c.Bytes)
		}
	}
}

// checkAll wants each row of the table once, in order.
func (k keyKind) checkAll(t *rapid.T, conn *pgx.Conn, chunks []*chunk) {
	t.Helper()
	var got []string
	for _, c := range chunks {
		got = append(got, c.order...)
	}
	rows, err := conn.Query(t.Context(), "SELECT count(*) FROM "+k.table)
	if err != nil {
		t.Fatal(err)
	}
	count, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	if unique := slices.Compact(slices.Sorted(slices.Values(got))); len(got) != count || len(unique) != count {
		t.Errorf("%d keys, %d different, of %d rows", len(got), len(unique), count)
	}
}

// checkAgain reads a chunk by its range, and by its keys.
func (k keyKind) checkAgain(t *rapid.T, conn *pgx.Conn, s extract.Spec, c *chunk) {
	t.Helper()
	where, args := extract.KeyCondition(k.exprs, k.sqlTypes(), c.Low, c.High, 1)
	k.checkSame(t, conn, s, c, where, args)
	var keys [][]string
	for _, text := range c.order {
		key, err := extract.DecodeKey(text, len(k.exprs))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	where, args = extract.KeyIn(k.exprs, k.sqlTypes(), keys, 1)
	k.checkSame(t, conn, s, c, where, args)
}

func (k keyKind) checkSame(t *rapid.T, conn *pgx.Conn, s extract.Spec, c *chunk, where string, args []any) {
	t.Helper()
	again := k.spec(where, args...)
	again.MaxRows, again.MaxBytes = s.MaxRows, s.MaxBytes
	again.After, again.FirstSeq = c.Low, c.Seq
	chunks, err := stream(t.Context(), conn, again)
	if err != nil {
		t.Fatal(err)
	}
	if len(chunks) != 1 {
		t.Fatalf("chunk %d read again %s is %d chunks", c.Seq, where, len(chunks))
	}
	if diff := cmp.Diff(c, chunks[0], cmp.AllowUnexported(chunk{})); diff != "" {
		t.Errorf("chunk %d read again %s %v (-first +again):\n%s", c.Seq, where, args, diff)
	}
}

func TestNoRowsNoChunk(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	chunks, err := stream(t.Context(), conn, spec("SELECT 1, 'a' WHERE false", 1))
	if err != nil || len(chunks) != 0 {
		t.Errorf("%d chunks, %v", len(chunks), err)
	}
}

func TestAfterAndFirstSeq(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	s := spec("SELECT i, i FROM generate_series(11, 15) i", 1)
	s.After, s.FirstSeq, s.MaxRows = []string{"10"}, 7, 3
	chunks, err := stream(t.Context(), conn, s)
	if err != nil {
		t.Fatal(err)
	}
	var got []extract.Chunk
	for _, c := range chunks {
		got = append(got, c.Chunk)
	}
	want := []extract.Chunk{
		{Seq: 7, Low: []string{"10"}, High: []string{"13"}, Rows: 3, Bytes: 12},
		{Seq: 8, Low: []string{"13"}, High: []string{"15"}, Rows: 2, Bytes: 9},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("chunks (-want +got):\n%s", diff)
	}
}

func TestKeyConditionText(t *testing.T) {
	t.Parallel()
	one, two := []string{`s."id"`}, []string{`s."a"`, `s."b"`}
	for _, test := range []struct {
		exprs, types, low, high []string
		want                    string
		args                    []any
	}{
		{one, []string{"bigint"}, nil, nil, "", nil},
		{one, []string{"bigint"}, nil, []string{"7"}, `s."id" <= $3::text::bigint`, []any{"7"}},
		{one, []string{"bigint"}, []string{"5"}, nil, `s."id" > $3::text::bigint`, []any{"5"}},
		{
			two,
			[]string{"int", "text"},
			[]string{"1", "x"},
			[]string{"2", "y"},
			`(s."a", s."b") > ($3::text::int, $4::text::text) AND (s."a", s."b") <= ($5::text::int, $6::text::text)`,
			[]any{"1", "x", "2", "y"},
		},
	} {
		sql, args := extract.KeyCondition(test.exprs, test.types, test.low, test.high, 3)
		if sql != test.want || !cmp.Equal(args, test.args) {
			t.Errorf("KeyCondition(%v, %v): %s %v, want %s %v", test.low, test.high, sql, args, test.want, test.args)
		}
	}
}

func TestKeyRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.String(), 1, 4).Draw(t, "parts")
		got, err := extract.DecodeKey(extract.EncodeKey(parts), len(parts))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(parts, got); diff != "" {
			t.Errorf("key (-want +got):\n%s", diff)
		}
	})
	for text, n := range map[string]int{"a": 2, "[1,2]": 2, `["a"]`: 2, `["a","b"`: 2} {
		if got, err := extract.DecodeKey(text, n); err == nil {
			t.Errorf("DecodeKey(%q, %d) = %q", text, n, got)
		}
	}
}

// FuzzText puts any text into the middle of a record and reads it back.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "a", ",", `"`, "\n", "\r\n", "\r", "\x00", "\xff", "#N/A", "1234567,", "12345678\"", "äöü", "\uFEFF"} {
		f.Add(seed)
	}
	s := spec("", 3)
	f.Fuzz(func(t *testing.T, text string) {
		encoder, err := extract.NewRowEncoder(s, 25, 25, 25, 25)
		if err != nil {
			t.Fatal(err)
		}
		record, key, code, err := encoder.Encode([][]byte{[]byte("key"), []byte("before"), []byte(text), []byte("after")})
		if err != nil || (code == "" && string(key) != "key") {
			t.Fatalf("key %q: %v", key, err)
		}
		wantCode, want := sendable(text)
		if code != wantCode {
			t.Fatalf("code %q, want %q", code, wantCode)
		}
		if code != "" {
			return
		}
		if strings.Contains(string(record), "\r") {
			t.Errorf("record %q holds a CR", record)
		}
		got, err := csv.NewReader(strings.NewReader(string(record))).ReadAll()
		if err != nil {
			t.Fatalf("record %q: %v", record, err)
		}
		if diff := cmp.Diff([][]string{{"before", want, "after"}}, got); diff != "" {
			t.Errorf("record %q (-want +got):\n%s", record, diff)
		}
	})
}

// sendable says in other words what may be sent, and as what.
func sendable(text string) (code, want string) {
	want = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	switch {
	case strings.ContainsRune(want, 0), strings.ToValidUTF8(want, "?") != want:
		return "INVALID_TEXT", ""
	case want == "#N/A":
		return "NULL_MARKER_TEXT", ""
	}
	return "", want
}
