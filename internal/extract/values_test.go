package extract_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/extract"
)

const valueTypes = `
	CREATE EXTENSION IF NOT EXISTS citext;
	CREATE TYPE mood AS ENUM ('happy', 'so, so', 'it''s "fine"');
	CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
	CREATE DOMAIN work_email AS email;
	CREATE DOMAIN cents AS numeric(12, 2);
	CREATE TYPE pair AS (a int, b text)`

// TestValues reads one value of each kind. The cell is what a CSV reader sees; a
// code instead says that the row is rejected for it.
func TestValues(t *testing.T) {
	t.Parallel()
	conn := connect(t, valueTypes)
	for _, test := range []struct{ sql, want, code string }{
		{sql: `true`, want: "true"},
		{sql: `false`, want: "false"},
		{sql: `NULL::text`, want: "#N/A"},
		{sql: `NULL::int`, want: "#N/A"},

		{sql: `(-32768)::int2`, want: "-32768"},
		{sql: `32767::int2`, want: "32767"},
		{sql: `(-2147483648)::int4`, want: "-2147483648"},
		{sql: `2147483647::int4`, want: "2147483647"},
		{sql: `(-9223372036854775808)::int8`, want: "-9223372036854775808"},
		{sql: `9223372036854775807::int8`, want: "9223372036854775807"},
		{sql: `4294967295::oid`, want: "4294967295"},

		{sql: `0::numeric`, want: "0"},
		{sql: `0.000::numeric`, want: "0.000"},
		{sql: `1e-30::numeric`, want: "0." + strings.Repeat("0", 29) + "1"},
		{sql: `-1234567.89012::numeric`, want: "-1234567.89012"},
		{sql: `10000::numeric`, want: "10000"},
		{sql: `100000000.0001::numeric`, want: "100000000.0001"},
		{sql: `1e20::numeric`, want: "100000000000000000000"},
		{sql: `repeat('9', 1000)::numeric`, want: strings.Repeat("9", 1000)},
		{sql: `(repeat('9', 500) || '.' || repeat('1', 500))::numeric`, want: strings.Repeat("9", 500) + "." + strings.Repeat("1", 500)},
		{sql: `12.5::cents`, want: "12.50"},
		{sql: `'NaN'::numeric`, want: "NaN", code: "INVALID_NUMBER"},
		{sql: `'Infinity'::numeric`, want: "Infinity", code: "INVALID_NUMBER"},
		{sql: `'-Infinity'::numeric`, want: "-Infinity", code: "INVALID_NUMBER"},

		{sql: `0.1::float8`, want: "0.1"},
		{sql: `0.1::float4`, want: "0.1"},
		{sql: `'-0'::float8`, want: "0"},
		{sql: `1e21::float8`, want: "1000000000000000000000"},
		{sql: `-1.5e-7::float8`, want: "-0.00000015"},
		{sql: `5e-324::float8`, want: "0." + strings.Repeat("0", 323) + "5"},
		{sql: `1.7976931348623157e308::float8`, want: "17976931348623157" + strings.Repeat("0", 292)},
		{sql: `3.4028235e38::float4`, want: "34028235" + strings.Repeat("0", 31)},
		{sql: `'NaN'::float8`, want: "NaN", code: "INVALID_NUMBER"},
		{sql: `'Infinity'::float4`, want: "Infinity", code: "INVALID_NUMBER"},
		{sql: `'-Infinity'::float8`, want: "-Infinity", code: "INVALID_NUMBER"},

		{sql: `date '2024-02-29'`, want: "2024-02-29"},
		{sql: `date '1700-01-01'`, want: "1700-01-01"},
		{sql: `date '4000-12-31'`, want: "4000-12-31"},
		{sql: `date '1699-12-31'`, want: "1699-12-31", code: "INVALID_DATE"},
		{sql: `date '4001-01-01'`, want: "4001-01-01", code: "INVALID_DATE"},
		{sql: `date '5874897-12-31'`, want: "5874897-12-31", code: "INVALID_DATE"},
		{sql: `date '0044-03-15 BC'`, want: "0044-03-15 BC", code: "INVALID_DATE"},
		{sql: `date 'infinity'`, want: "infinity", code: "INVALID_DATE"},
		{sql: `date '-infinity'`, want: "-infinity", code: "INVALID_DATE"},

		{sql: `timestamp '2024-02-29 23:59:59'`, want: "2024-02-29T23:59:59Z"},
		{sql: `timestamp '2024-02-29 23:59:59.999999'`, want: "2024-02-29T23:59:59.999Z"},
		{sql: `timestamp '2024-02-29 23:59:59.0004'`, want: "2024-02-29T23:59:59Z"},
		{sql: `timestamp '1969-12-31 23:59:59.5'`, want: "1969-12-31T23:59:59.500Z"},
		{sql: `timestamp '1999-12-31 23:59:59.999999'`, want: "1999-12-31T23:59:59.999Z"},
		{sql: `timestamptz '2024-07-01 05:30:00+05:30'`, want: "2024-07-01T00:00:00Z"},
		{sql: `timestamptz '1700-01-01 00:00:00+00'`, want: "1700-01-01T00:00:00Z"},
		{sql: `timestamptz '1699-12-31 23:59:59+00'`, want: "1699-12-31 23:59:59+00", code: "INVALID_DATE"},
		{sql: `timestamptz '294276-12-31 23:59:59.5+00'`, want: "294276-12-31 23:59:59.500000+00", code: "INVALID_DATE"},
		{sql: `timestamp '4713-01-01 00:00:00 BC'`, want: "4713-01-01 00:00:00+00 BC", code: "INVALID_DATE"},
		{sql: `timestamptz 'infinity'`, want: "infinity", code: "INVALID_DATE"},
		{sql: `timestamp '-infinity'`, want: "-infinity", code: "INVALID_DATE"},

		{sql: `time '00:00:00'`, want: "00:00:00.000Z"},
		{sql: `time '23:59:59.999999'`, want: "23:59:59.999Z"},
		{sql: `time '24:00:00'`, want: "24:00:00", code: "INVALID_TIME"},

		{sql: `'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid`, want: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{sql: `''::bytea`, want: ""},
		{sql: `'\x00ff10'::bytea`, want: "AP8Q"},
		{sql: `'happy'::mood`, want: "happy"},
		{sql: `'it''s "fine"'::mood`, want: `it's "fine"`},
		{sql: `'a@b'::work_email`, want: "a@b"},
		{sql: `'MiXed'::citext`, want: "MiXed"},
		{sql: `'ab'::char(5)`, want: "ab"},
		{sql: `'x'::"char"`, want: "x"},
		{sql: `''::"char"`, want: ""},
		{sql: `'a name'::name`, want: "a name"},
		{sql: `'unknown'`, want: "unknown"},
		{sql: `'{"a": "\u00e9\n", "b":  1}'::json`, want: `{"a": "\u00e9\n", "b":  1}`},
		{sql: `'{"a": "\u00e9\n", "b":  1}'::jsonb`, want: `{"a": "é\n", "b": 1}`},
		{sql: "E'[1,\\r\\n2]'::json", want: "[1,\n2]"},
		{sql: `'<a b="c"/>'::xml`, want: `<a b="c"/>`},
		{sql: `'10.0.0.1/8'::inet`, want: "10.0.0.1/8"},
		{sql: `'10.0.0.0/8'::cidr`, want: "10.0.0.0/8"},
		{sql: `'08:00:2b:01:02:03'::macaddr`, want: "08:00:2b:01:02:03"},
		{sql: `interval '1 year 2 days 03:04:05.6'`, want: "1 year 2 days 03:04:05.6"},
		{sql: `'a fat cat'::tsvector`, want: "'a' 'cat' 'fat'"},

		{sql: `''`, want: ""},
		{sql: `' '`, want: " "},
		{sql: `' a '`, want: " a "},
		{sql: `'a,b'`, want: "a,b"},
		{sql: `'say "hi"'`, want: `say "hi"`},
		{sql: `'"'`, want: `"`},
		{sql: `E'a\nb'`, want: "a\nb"},
		{sql: `E'a\r\nb\rc\n\r\r\nd\r'`, want: "a\nb\nc\n\n\nd\n"},
		{sql: `E'\ttab\t'`, want: "\ttab\t"},
		{sql: `E'\uFEFFbom'`, want: "\uFEFFbom"},
		{sql: `'😀 naïve 漢字'`, want: "😀 naïve 漢字"},
		{sql: `'#N/A'`, want: "#N/A", code: "NULL_MARKER_TEXT"},
		{sql: `'#N/A'::char(9)`, want: "#N/A", code: "NULL_MARKER_TEXT"},
		{sql: `'#n/a'`, want: "#n/a"},
		{sql: `' #N/A'`, want: " #N/A"},
		{sql: `'#N/A,'`, want: "#N/A,"},

		{sql: `'{}'::text[]`, want: ""},
		{sql: `'{NULL}'::text[]`, want: ""},
		{sql: `'{a,NULL,"b c","",NULL,"say \"x\", ok"}'::text[]`, want: `a;b c;say "x", ok`},
		{sql: `'{"a;b",c}'::text[]`, want: "a;b", code: "INVALID_MULTISELECT"},
		{sql: `'{{a,b},{c,d}}'::text[]`, want: "", code: "INVALID_MULTISELECT"},
		{sql: `'{#N/A}'::text[]`, want: "#N/A", code: "NULL_MARKER_TEXT"},
		{sql: `'[5:6]={a,b}'::text[]`, want: "a;b"},
		{sql: `'{1,-2}'::int[]`, want: "1;-2"},
		{sql: `'{1.50,NaN}'::numeric[]`, want: "1.50;NaN", code: "INVALID_NUMBER"},
		{sql: `'{t,f}'::bool[]`, want: "true;false"},
		{sql: `'{happy,"so, so"}'::mood[]`, want: "happy;so, so"},
		{sql: `'{a@b,c@d}'::work_email[]`, want: "a@b;c@d"},
		{sql: `'{ab}'::char(5)[]`, want: "ab"},
		{sql: `'{2024-01-02}'::date[]`, want: "2024-01-02"},
		{sql: `'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'::uuid[]`, want: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
	} {
		chunks, err := stream(t.Context(), conn, spec("SELECT 1, "+test.sql, 1))
		if err != nil {
			t.Errorf("%s: %v", test.sql, err)
			continue
		}
		got, code := "", ""
		if len(chunks[0].rejected) > 0 {
			code = chunks[0].rejected[0].Code
			got = *chunks[0].rejected[0].Payload["F1"]
		} else {
			got = chunks[0].records(t)[0][0]
		}
		if got != test.want || code != test.code {
			t.Errorf("%s: got %q %s, want %q %s", test.sql, got, code, test.want, test.code)
		}
	}
}

// TestLines looks at the bytes: quotes only where needed, LF, nulls as told.
func TestLines(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	for _, test := range []struct {
		sql         string
		null, empty string
		fields      int
		want        string
	}{
		{`SELECT 1, 'a', 'b'`, "", "", 2, "a,b\n"},
		{`SELECT 1, ' a ', E'\t'`, "", "", 2, " a ,\t\n"},
		{`SELECT 1, 'a,b', 'c"d'`, "", "", 2, "\"a,b\",\"c\"\"d\"\n"},
		{`SELECT 1, E'a\r\nb', NULL`, "#N/A", "", 2, "\"a\nb\",#N/A\n"},
		{`SELECT 1, '', NULL`, "#N/A", "", 2, ",#N/A\n"},
		{`SELECT 1, '', NULL`, "", "#N/A", 2, "#N/A,\n"},
		{`SELECT 1, '', NULL`, "", "", 2, ",\n"},
		{`SELECT 1, NULL`, "", "", 1, "\"\"\n"},
		{`SELECT 1, '{}'::text[]`, "", "#N/A", 1, "#N/A\n"},
		{`SELECT 1, ''`, "#N/A", "", 1, "\"\"\n"},
	} {
		s := spec(test.sql, test.fields)
		s.Null, s.Empty = test.null, test.empty
		chunks, err := stream(t.Context(), conn, s)
		if err != nil {
			t.Errorf("%s: %v", test.sql, err)
			continue
		}
		if got := string(chunks[0].csv); got != test.want {
			t.Errorf("%s with %q, %q: %q, want %q", test.sql, test.null, test.empty, got, test.want)
		}
	}
}

func TestConstants(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	s := spec(`SELECT 1, 'x'`, 1)
	s.Empty = "#N/A"
	for _, c := range []extract.Column{
		{Header: "C1", Const: "Technology"},
		{Header: "C2", Const: "a \"b\", c\r\nd"},
		{Header: "C3"},
		{Header: "C4", ConstNull: true},
	} {
		c.Index = -1
		s.Columns = append(s.Columns, c)
	}
	chunks, err := stream(t.Context(), conn, s)
	if err != nil {
		t.Fatal(err)
	}
	want := "x,Technology,\"a \"\"b\"\", c\nd\",#N/A,#N/A\n"
	if got := string(chunks[0].csv); got != want {
		t.Errorf("record %q, want %q", got, want)
	}
	for constant, want := range map[string]string{
		"#N/A": `extract "things": field C1: constant "#N/A": text is exactly #N/A, which Salesforce takes for a null and not for a text`,
		"long": `extract "things": field C1: constant "long": value has 4 characters, the field holds 3`,
	} {
		s.Columns[1] = extract.Column{Header: "C1", Index: -1, Const: constant, MaxChars: 3}
		if constant == "#N/A" {
			s.Columns[1].MaxChars = 0
		}
		_, err := stream(t.Context(), conn, s)
		if err == nil || err.Error() != want {
			t.Errorf("constant %q: %v, want %s", constant, err, want)
		}
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	tx, err := extract.Begin(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	s := spec(`SELECT 1::bigint, 2, 3`, 2)
	s.Columns[0].Header = "Account.Legacy_Id__c"
	q, err := extract.Prepare(t.Context(), tx, s)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(q.Header()), "Account.Legacy_Id__c,F2\n"; got != want {
		t.Errorf("header %q, want %q", got, want)
	}
	if diff := cmp.Diff([]string{"bigint"}, q.KeyTypes()); diff != "" {
		t.Errorf("key types (-want +got):\n%s", diff)
	}
}
