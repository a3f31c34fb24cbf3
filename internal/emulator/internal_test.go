package emulator

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bulkhead/testdata/describe"
)

func FuzzSOQL(f *testing.F) {
	for _, q := range []string{
		"SELECT Id FROM Account", "SELECT COUNT() FROM Contact WHERE Account.Name LIKE 'a\\%%' AND NOT (Email = null OR LastName IN ('x','y'))",
		"SELECT COUNT(Id) n FROM Lead", "SELECT Id FROM Account WHERE CreatedDate > 2020-01-01T00:00:00Z ORDER BY Name DESC NULLS LAST LIMIT 5 OFFSET 1",
		"SELECT Id FROM Account WHERE Name = 'ä\\'' ", "SELECT Who.Name FROM Task WHERE What.Name != 'x'", "((((", "SELECT \xff",
	} {
		f.Add(q)
	}
	schema, err := loadSchema(describe.Files(), false)
	if err != nil {
		f.Fatal(err)
	}
	store := newStore(schema)
	f.Fuzz(func(_ *testing.T, text string) {
		q, err := parseSOQL(text)
		if err != nil {
			return
		}
		p, err := store.bind(q, false)
		if err != nil {
			return
		}
		p.render(p.run(), "/services/data/v66.0")
	})
}

// readRecords reads a CSV to its end, and tells whether its quotes are right.
func readRecords(t *testing.T, content []byte, delimiter byte) (rows [][]string, fine bool) {
	r := newCSVReader(iotest.OneByteReader(bytes.NewReader(content)), 0)
	offset := int64(0)
	for fine = true; ; {
		raw, err := r.next()
		if errors.Is(err, io.EOF) {
			if offset = r.offset; offset != int64(len(content)) {
				t.Fatalf("ends at %d of %d", offset, len(content))
			}
			return rows, fine
		}
		if err != nil && !errors.Is(err, errOpenQuote) {
			t.Fatal(err)
		}
		if r.offset <= offset {
			t.Fatalf("offset %d after %d", r.offset, offset)
		}
		offset = r.offset
		text, ends, quotes := split(nil, nil, raw, delimiter)
		fine = fine && quotes == quotesFine && err == nil
		if len(raw) > 0 {
			rows = append(rows, cells(string(text), ends))
		}
	}
}

func FuzzCSV(f *testing.F) {
	for _, c := range []string{"a,b\n1,2\n", "\"a\"\"b\",\n", "a\n\"x\ny\"", "\"", "a, \"b\"\n", "\ufeff\"a\"\n", "\n\n,"} {
		f.Add([]byte(c))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		rows, fine := readRecords(t, content, ',')
		if !fine || bytes.IndexByte(content, '\r') >= 0 {
			return
		}
		// What has no fault reads as the standard library reads it.
		reader := csv.NewReader(bytes.NewReader(content))
		reader.FieldsPerRecord = -1
		want, err := reader.ReadAll()
		if err != nil {
			t.Fatalf("%v in %q, read as %q", err, content, rows)
		}
		if len(want) != len(rows) || len(want) > 0 && !cmp.Equal(rows, want) {
			t.Fatal(cmp.Diff(want, rows))
		}
	})
}

func TestCSVReaderReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		width := rapid.IntRange(2, 4).Draw(r, "width")
		value := rapid.StringOfN(rapid.SampledFrom([]rune("ab,\"\n ä;")), 0, 6, -1)
		rows := rapid.SliceOfN(rapid.SliceOfN(value, width, width), 0, 8).Draw(r, "rows")
		var content bytes.Buffer
		w := csv.NewWriter(&content)
		if err := w.WriteAll(rows); err != nil {
			r.Fatal(err)
		}
		got, fine := readRecords(t, content.Bytes(), ',')
		if !fine || len(got) != len(rows) || len(rows) > 0 && !cmp.Equal(got, rows) {
			r.Fatalf("got %q of %q", got, content.Bytes())
		}
	})
}

func TestIDs(t *testing.T) {
	t.Parallel()
	// A pair on record: Salesforce's own example of the two forms.
	if got, ok := canonicalID("001A0000006Vm9r"); !ok || got != "001A0000006Vm9rIAC" {
		t.Errorf("got %q", got)
	}
	if got, ok := canonicalID("001a0000006vm9rIAC"); !ok || got != "001A0000006Vm9rIAC" {
		t.Errorf("folded: got %q", got)
	}
	for _, bad := range []string{"", "001A0000006Vm9", "001A0000006Vm9rIA!", "001A0000006Vm9-", "0010000006Vm9rIACx", "001A0000006Vm9r999"} {
		if got, ok := canonicalID(bad); ok {
			t.Errorf("%q is taken for %q", bad, got)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		seq := rapid.Int64Range(1, 1<<40).Draw(r, "seq")
		id := makeID("001", seq)
		for _, form := range []string{id, id[:15], strings.ToLower(id[:15]) + id[15:]} {
			full, ok := canonicalID(form)
			back, known := idSequence(full)
			if !ok || !known || back != seq {
				r.Fatalf("%q is %q, the %d-th", form, full, back)
			}
		}
	})
}

func TestJavaDoubles(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0.0", 1: "1.0", 12.5: "12.5", 912260031: "9.12260031E8", 9999999: "9999999.0", 1e7: "1.0E7",
		0.001: "0.001", 0.0001: "1.0E-4", -1234.25: "-1234.25", 1.5e21: "1.5E21",
	} {
		if got := string(appendJavaDouble(nil, v)); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

func TestNumbersAreRoundedToTheirScale(t *testing.T) {
	t.Parallel()
	f := &field{Scale: 2}
	for v, want := range map[float64]string{1.005: "1.01", 9.999: "10", 0.994: "0.99", -9.995: "-10", -0.001: "0", 5: "5", 2.5: "2.5", 2.50001: "2.5"} {
		if got := f.decimal(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
	if got := (&field{}).decimal(99.5); got != "100" {
		t.Errorf("without places: %q", got)
	}
}

func TestLike(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		s, pattern string
		want       bool
	}{
		{"acme", "ac%", true},
		{"acme", "%m_", true},
		{"acme", "a_m", false},
		{"", "%", true},
		{"", "_", false},
		{"50%", `50\%`, true},
		{"50x", `50\%`, false},
		{"aXbXc", "a%X%c", true},
		{"aab", "%ab", true},
		{"äö", "__", true},
	} {
		if got := like(tc.s, tc.pattern); got != tc.want {
			t.Errorf("%q LIKE %q is %v", tc.s, tc.pattern, got)
		}
	}
}
