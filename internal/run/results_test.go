package run_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// mangler is a way to the org on which the failed results change.
type mangler func(rows [][]string) [][]string

func (m mangler) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(req.URL.Path, "/failedResults") {
		return http.DefaultTransport.RoundTrip(req)
	}
	req = req.Clone(req.Context())
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	rows, err := csv.NewReader(resp.Body).ReadAll()
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	if err := csv.NewWriter(&body).WriteAll(append(rows[:1:1], m(rows[1:])...)); err != nil {
		return nil, err
	}
	resp.Body, resp.ContentLength = io.NopCloser(&body), int64(body.Len())
	resp.Header.Del("Content-Length")
	return resp, nil
}

// refusable fills the table people with 50 rows, every fifth of which the org refuses.
func (b *bundle) refusable(t *testing.T) {
	t.Helper()
	b.people(t, 50)
	b.exec(t, `UPDATE people SET name = '' WHERE id % 5 = 0`)
}

// mustHaveRefused checks that the refused records, and only those, wait under their keys.
func (b *bundle) mustHaveRefused(t *testing.T, s *run.Summary) {
	t.Helper()
	var keys []string
	for _, row := range b.open(t) {
		if row.SourceKey == nil || row.ErrorCode != "REQUIRED_FIELD_MISSING" {
			t.Errorf("open: %+v", row)
			continue
		}
		keys = append(keys, *row.SourceKey)
	}
	slices.Sort(keys)
	if want := []string{"10", "15", "20", "25", "30", "35", "40", "45", "5", "50"}; !slices.Equal(keys, want) {
		t.Errorf("open %v, want %v", keys, want)
	}
	if n := b.count(t, "FROM Account"); n != 40 || s.Loaded != 40 || s.Failed != 10 {
		t.Errorf("the org has %d, run %s", n, s.Counts)
	}
}

// TestResultsInAnotherShapeFindTheirRecords reads results in another order and with values as an org may
// write them.
func TestResultsInAnotherShapeFindTheirRecords(t *testing.T) {
	t.Parallel()
	for name, mangle := range map[string]mangler{
		"another order": func(rows [][]string) [][]string { slices.Reverse(rows); return rows },
		"normalised values": func(rows [][]string) [][]string {
			for _, row := range rows {
				for i := 2; i < len(row); i++ {
					row[i] = " " + strings.ToUpper(row[i]) + "  "
				}
			}
			return rows
		},
	} {
		for _, operation := range []string{"insert", "upsert"} {
			t.Run(name+", "+operation, func(t *testing.T) {
				t.Parallel()
				b := setup(t, emulator.Config{})
				b.refusable(t)
				b.loginBy(t, b.server.URL(), mangle)
				s, err := b.engine(t, accounts(operation, "")).Run(t.Context(), run.Options{})
				b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
				b.mustHaveRefused(t, s)
			})
		}
	}
}

// TestResultsThatLeaveOutOrRepeatARecordAreNotBelieved lets the results lie: the run says that the books
// do not balance, and settles the job once they tell the truth.
func TestResultsThatLeaveOutOrRepeatARecordAreNotBelieved(t *testing.T) {
	t.Parallel()
	for _, lie := range []struct {
		name, operation string
		mangle          mangler
	}{
		{"one is missing", "insert", func(rows [][]string) [][]string { return rows[1:] }},
		{"all are missing", "upsert", func([][]string) [][]string { return nil }},
		{"one is there twice", "insert", func(rows [][]string) [][]string { return append(rows, rows[0]) }},
		{"one is there instead of another", "insert", func(rows [][]string) [][]string { return append(rows[1:], rows[1]) }},
		{"one is there instead of another", "upsert", func(rows [][]string) [][]string { return append(rows[1:], rows[1]) }},
	} {
		t.Run(lie.name+", "+lie.operation, func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{})
			b.refusable(t)
			b.loginBy(t, b.server.URL(), lie.mangle)
			yaml := accounts(lie.operation, "")
			s, err := b.engine(t, yaml).Run(t.Context(), run.Options{})
			if !errors.Is(err, run.ErrIncomplete) || s.State != state.RunInconsistent || !s.Unfinished || !strings.Contains(s.Error, "chunk 1") || len(b.open(t)) != 0 {
				t.Fatalf("got %v, %+v", err, s)
			}
			b.login(t, b.server.URL())
			s, err = b.engine(t, yaml).Resume(t.Context(), s.ID)
			b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
			b.mustHaveRefused(t, s)
		})
	}
}

// TestEveryRecordFails lets the org refuse all records of every job, for good or for a reason that passes
// too late.
func TestEveryRecordFails(t *testing.T) {
	t.Parallel()
	for code, attempts := range map[string]int{"FIELD_CUSTOM_VALIDATION_EXCEPTION": 1, "UNABLE_TO_LOCK_ROW": 4} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{BatchSize: 10})
			b.people(t, 60)
			refusal := b.fault(t, emulator.Fault{On: emulator.OnRow, Code: code, Message: "no"})
			engine := b.engine(t, accounts("insert", "    chunk: { rows: 20, parallel: 2 }\n"))
			s, err := engine.Run(t.Context(), run.Options{})
			b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
			rows := b.open(t)
			if n := b.count(t, "FROM Account"); n != 0 || s.Failed != 60 || s.Loaded != 0 || len(rows) != 60 {
				t.Fatalf("the org has %d, run %s, %d open", n, s.Counts, len(rows))
			}
			for _, row := range rows {
				if row.SourceKey == nil || row.ErrorCode != code || row.Attempts != attempts {
					t.Errorf("open: %+v", row)
				}
			}
			b.server.RemoveFault(refusal.ID)
			s, err = engine.Retry(t.Context(), run.RetryOptions{})
			b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
			if n := b.count(t, "FROM Account"); n != 60 || len(b.open(t)) != 0 {
				t.Errorf("the org has %d, open %d", n, len(b.open(t)))
			}
		})
	}
}
