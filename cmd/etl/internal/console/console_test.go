package console_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/cmd/etl/internal/console"
)

func TestNumbers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ got, want string }{
		{console.Count(0), "0"},
		{console.Count(999), "999"},
		{console.Count(-1234567), "-1,234,567"},
		{console.Count(100000), "100,000"},
		{console.Plural(1, "batch"), "1 batch"},
		{console.Plural(2, "batch"), "2 batches"},
		{console.Plural(1500, "row"), "1,500 rows"},
		{console.Bytes(0), "0 B"},
		{console.Bytes(999), "999 B"},
		{console.Bytes(98_400_000), "98.4 MB"},
		{console.Bytes(999_999_999), "1.0 GB"},
		{console.Duration(-time.Second), "0.0s"},
		{console.Duration(1234 * time.Millisecond), "1.2s"},
		{console.Duration(59*time.Second + 700*time.Millisecond), "1m 00s"},
		{console.Duration(12 * time.Second), "12s"},
		{console.Duration(185 * time.Second), "3m 05s"},
		{console.Duration(130 * time.Minute), "2h 10m"},
		{console.Duration(76 * time.Hour), "3d 4h"},
		{console.Time(nil), ""},
		{console.Shorten("naïveté", 7), "naïveté"},
		{console.Shorten("naïvetés", 7), "naïvet…"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	table := console.NewTable(console.Left("step"), console.Right("rows"), console.Cut("message", 10))
	table.Row("accounts", int64(1234567), "one\ntwo three")
	table.Row("c", 7, "\x1b[31mred\x1b[0m\u009b")
	var out bytes.Buffer
	table.Render(&out)
	want := "STEP           ROWS  MESSAGE\n" +
		"accounts  1,234,567  one two t…\n" +
		"c                 7  [31mred[0m\n"
	if out.String() != want {
		t.Errorf("got\n%q\nwant\n%q", out.String(), want)
	}
}

// TestTableFits: only columns that allow it are squeezed, and not to nothing.
func TestTableFits(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 150)
	for _, test := range []struct {
		name    string
		columns []console.Column
		cells   []any
		want    []int // characters of each cell
	}{
		{"as long as it is", []console.Column{console.Left("a"), console.Fit("b", 24, 100)}, []any{"a", long[:90]}, []int{1, 90}},
		{"the last gives way", []console.Column{console.Fit("a", 12, 40), console.Fit("b", 24, 100)}, []any{long, long}, []int{40, 58}},
		{"then the one before", []console.Column{console.Left("a"), console.Fit("b", 12, 40), console.Fit("c", 24, 100)}, []any{long[:50], long, long}, []int{50, 22, 24}},
		{"at least so much is left", []console.Column{console.Left("a"), console.Fit("b", 12, 40), console.Fit("c", 24, 100)}, []any{long, long, long}, []int{150, 12, 24}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			table := console.NewTable(test.columns...)
			table.Row(test.cells...)
			var out bytes.Buffer
			table.Render(&out)
			_, row, _ := strings.Cut(out.String(), "\n")
			var got []int
			for _, cell := range strings.Fields(row) {
				got = append(got, len([]rune(cell)))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("cells have %v characters, want %v\n%s", got, test.want, out.String())
			}
		})
	}
}

func TestPaint(t *testing.T) {
	t.Parallel()
	if got := (console.Paint{}).Bad("x"); got != "x" {
		t.Errorf("without colours got %q", got)
	}
	if got := (console.Paint{On: true}).Bad("x"); !strings.HasPrefix(got, "\x1b[") || !strings.HasSuffix(got, "\x1b[0m") {
		t.Errorf("with colours got %q", got)
	}
	if _, ok := console.Width(&bytes.Buffer{}); ok {
		t.Error("a buffer is taken for a terminal")
	}
}
