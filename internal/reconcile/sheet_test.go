package reconcile_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/internal/reconcile"
)

// nasty is a payload that spreadsheets would love to break.
func nasty(t *testing.T, b bundle) {
	t.Helper()
	sent := sentRecords(t, []string{"Name", "Note"},
		record{"1", []string{"=1+1", "it's"}}, record{"2", []string{"-5", "'=x"}}, record{"3", []string{"#N/A", "a\n\"b\",c"}})
	j := job{failed: [][]string{
		{"sf__Id", "sf__Error", "Name", "Note"},
		{"", "X:=cmd:--", "=1+1", "it's"},
		{"", "X:m:--", "-5", "'=x"},
		{"", "Y:m:Name --", "#N/A", "a\n\"b\",c"},
	}}
	b.mustSettle(t, chunkOf(1, 3, "", reconcile.Job{Processed: 3, Failed: 3}, sent), j, reconcile.Options{})
}

func export(t *testing.T, b bundle, raw bool) [][]string {
	t.Helper()
	var out bytes.Buffer
	if _, err := b.store.Export(t.Context(), reconcile.Filter{}, raw, &out); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func write(lines [][]string) *bytes.Buffer {
	var out bytes.Buffer
	out.WriteString("\xEF\xBB\xBF") // as a spreadsheet saves it
	w := csv.NewWriter(&out)
	_ = w.WriteAll(lines)
	return &out
}

func TestExportIsSafeToOpenAndComesBackUnchanged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	nasty(t, b)
	for _, raw := range []bool{false, true} {
		lines := export(t, b, raw)
		if len(lines) != 4 || lines[0][0] != "etl_id" || lines[0][9] != "Name" {
			t.Fatalf("lines %q", lines)
		}
		if !raw && (lines[1][9] != "'=1+1" || lines[2][9] != "-5" || lines[2][10] != "''=x" || lines[1][6] != "'=cmd") {
			t.Errorf("not guarded: %q", lines)
		}
		got, err := b.store.Import(t.Context(), write(lines), raw)
		if err != nil || got != (reconcile.Imported{Rows: 3, Changed: 0}) {
			t.Errorf("raw %v: %+v, %v", raw, got, err)
		}
	}
}

func TestImportTakesEdits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	nasty(t, b)
	lines := export(t, b, false)
	lines[1][9], lines[1][10] = "Fixed", ""
	lines[3][9] = "O'Neil, \"é\"\r\nx"
	got, err := b.store.Import(t.Context(), write(lines), false)
	if err != nil || got.Changed != 2 {
		t.Fatal(got, err)
	}
	rows := b.rows(t, reconcile.Filter{})
	if string(rows[0].Payload) != `{"Name": "Fixed"}` || !rows[0].Edited || rows[1].Edited {
		t.Errorf("payload %s", rows[0].Payload)
	}
}

func TestImportIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	nasty(t, b)
	if _, err := b.store.Ignore(t.Context(), reconcile.Filter{Key: "2"}); err != nil {
		t.Fatal(err)
	}
	lines := export(t, b, false)
	lines[1][9] = "Fixed"
	lines = append(lines, append([]string(nil), lines[1]...), append([]string(nil), lines[1]...), append([]string(nil), lines[1]...))
	lines[5][0], lines[6][0] = "99999", "abc"
	_, err := b.store.Import(t.Context(), write(lines), false)
	var wrong *reconcile.ImportError
	if !errors.As(err, &wrong) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"line 3: row 2 is ignored, not open", "line 5: row 1 stands on line 2 already",
		"line 6: there is no reconciliation row 99999", `line 7: etl_id "abc" is not the number of a reconciliation row`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	if b.rows(t, reconcile.Filter{})[0].Edited {
		t.Error("a line was taken all the same")
	}
}

func TestImportOfSomethingElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for text, want := range map[string]string{
		"":                  "no lines",
		"etl_id,Name\n":     "no lines",
		"Id,Name\n1,x\n":    "no column etl_id",
		"etl_id,Name\n1\n":  "wrong number of fields",
		"etl_id\n\"1\n2\"x": "line",
	} {
		if _, err := b.store.Import(t.Context(), strings.NewReader(text), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestEmptyExportHasItsHeader(t *testing.T) {
	t.Parallel()
	if lines := export(t, setup(t), false); len(lines) != 1 || lines[0][0] != "etl_id" {
		t.Errorf("lines %q", lines)
	}
}

// Whatever was sent comes back from a guarded export and import as it was.
func TestAnyPayloadSurvivesTheSpreadsheet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	run := int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		run++
		value := rapid.StringMatching(`['=+\-@＝＋－＠0-9a-z"', .#éN/A\t\n]{1,12}`).Draw(rt, "value")
		sent := sentRecords(t, []string{"V", "W"}, record{fmt.Sprint(run), []string{value, "w"}})
		b.mustSettle(t, chunkOf(run, 1, "", reconcile.Job{Processed: 1, Failed: 1}, sent),
			job{failed: [][]string{{"sf__Error", "V", "W"}, {"X:y:--", value, "w"}}}, reconcile.Options{})
		var out bytes.Buffer
		if _, err := b.store.Export(t.Context(), reconcile.Filter{Key: fmt.Sprint(run)}, false, &out); err != nil {
			rt.Fatal(err)
		}
		if got, err := b.store.Import(t.Context(), &out, false); err != nil || got.Changed != 0 || got.Rows != 1 {
			rt.Fatalf("%q: %+v, %v", value, got, err)
		}
	})
}
