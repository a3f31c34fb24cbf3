package bench_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/bench"
)

// TestMeasuresEverything runs all items with hardly any rows. What they take is of
// no interest; that each load is complete, the items check themselves.
func TestMeasuresEverything(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	report, err := bench.Run(t.Context(), bench.Config{Etl: build(t), Rows: 300, LongRows: 900, Rounds: 1, BatchTime: time.Millisecond, CallTime: time.Millisecond, Log: &log})
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	var items []string
	for _, f := range report.Figures {
		items = append(items, f.Item)
	}
	want := []string{"extract", "load", "slow", "cost", "wire", "failures", "wide", "settings"}
	if diff := cmp.Diff(want, slices.Compact(items)); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	for _, f := range report.Figures {
		if f.Item == "cost" && !f.Met() {
			t.Errorf("%s: %v, the floor is %v", f.What, f.Value, f.Floor)
		}
	}
	checkPage(t, report)
}

// build makes the program that is measured.
func build(t *testing.T) string {
	t.Helper()
	etl := filepath.Join(t.TempDir(), "etl")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", etl, "../../cmd/etl").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return etl
}

// checkPage writes the report in every form and reads it again.
func checkPage(t *testing.T, report *bench.Report) {
	t.Helper()
	page := filepath.Join(t.TempDir(), "performance.md")
	if err := report.WritePage(page); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := report.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Figures {
		if !strings.Contains(string(text), "| "+f.What+" |") || !strings.Contains(table.String(), f.What) {
			t.Errorf("%q is missing in\n%s\n%s", f.What, text, &table)
		}
	}
	plot, err := os.Open(filepath.Join(filepath.Dir(page), "performance-long.svg"))
	if err != nil {
		t.Fatal(err)
	}
	defer plot.Close()
	for decoder := xml.NewDecoder(plot); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the plot is no XML: %v", err)
		}
	}
	raw, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var again bench.Report
	if err := json.Unmarshal(raw, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*report, again); diff != "" {
		t.Errorf("the report as JSON (-wrote +read):\n%s", diff)
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		figure bench.Figure
		want   bool
	}{
		"none":                {bench.Figure{Value: 5}, true},
		"at most, reached":    {bench.Figure{Value: 5, Target: &bench.Target{Bound: 5, How: bench.AtMost}}, true},
		"at most, missed":     {bench.Figure{Value: 5.1, Target: &bench.Target{Bound: 5, How: bench.AtMost}}, false},
		"at least, missed":    {bench.Figure{Value: 4, Target: &bench.Target{Bound: 5, How: bench.AtLeast}}, false},
		"of a floor, reached": {bench.Figure{Value: 8, Floor: 10, Target: &bench.Target{Bound: 0.8, How: bench.AtMost}}, true},
		"of a floor, missed":  {bench.Figure{Value: 9, Floor: 10, Target: &bench.Target{Bound: 0.8, How: bench.AtMost}}, false},
		"exactly, missed":     {bench.Figure{Value: 9, Floor: 10, Target: &bench.Target{Bound: 1, How: bench.Exactly}}, false},
	} {
		if got := c.figure.Met(); got != c.want {
			t.Errorf("%s: met is %v", name, got)
		}
	}
}

func TestRefusesWhatItCannotMeasure(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]bench.Config{
		`there is no item "laod"`: {Only: []string{"laod"}},
		"must be positive":        {Rows: -1},
	} {
		if _, err := bench.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
