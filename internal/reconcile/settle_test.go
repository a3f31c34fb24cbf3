package reconcile_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"bulkhead/internal/reconcile"
)

var header = []string{"Legacy_Id__c", "LastName", "AnnualRevenue"}

func failed(rows ...[]string) [][]string {
	return append([][]string{append([]string{"sf__Id", "sf__Error"}, header...)}, rows...)
}

func plain(rows ...[]string) [][]string { return append([][]string{header}, rows...) }

func three(t *testing.T) *reconcile.Sent {
	return sentRecords(t, header,
		record{"1", []string{"a", "Ångström, \"Å\"", "912260031"}},
		record{"2", []string{"b", "Line\nbreak", "0.50"}},
		record{"3", []string{"c", "#N/A", ""}})
}

func TestFailedRecordsGetTheirKeyPayloadAndReason(t *testing.T) {
	t.Parallel()
	b := setup(t)
	j := job{failed: failed(
		[]string{"003X", "REQUIRED_FIELD_MISSING:Required fields are missing [LastName]:LastName --", "c", "#N/A", ""},
		[]string{"", "INVALID:bad:--", "a", "Ångström, \"Å\"", "9.12260031E8"},
	)}
	out := b.mustSettle(t, chunkOf(1, 3, "Legacy_Id__c", reconcile.Job{Processed: 3, Failed: 2}, three(t)), j, reconcile.Options{})
	if diff := cmp.Diff(reconcile.Outcome{Loaded: 1, Failed: 2}, out); diff != "" {
		t.Error(diff)
	}
	rows := b.rows(t, reconcile.Filter{})
	if len(rows) != 2 {
		t.Fatalf("%d rows", len(rows))
	}
	r := rows[1]
	if key(r) != "3" || r.ErrorCode != "REQUIRED_FIELD_MISSING" || r.ErrorFields[0] != "LastName" || *r.SalesforceID != "003X" ||
		string(r.Payload) != `{"LastName": null, "Legacy_Id__c": "c"}` || r.Status != "open" || r.Kind != "failed" || *r.JobID != "750A" {
		t.Errorf("row %+v, payload %s", r, r.Payload)
	}
	// The payload is what was sent, not what Salesforce made of it.
	if key(rows[0]) != "1" || !strings.Contains(string(rows[0].Payload), `"912260031"`) {
		t.Errorf("row %+v, payload %s", rows[0], rows[0].Payload)
	}
}

func TestResultsAreMatchedAsSalesforceComparesThem(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		header     []string
		externalID string
		sent       []record
		result     []string // behind sf__Id and sf__Error
		want       string
	}{
		"external id in another case": {header, "Legacy_Id__c", []record{{"1", []string{"Ab", "x", ""}}}, []string{"AB ", "x", ""}, "1"},
		"exact before folded":         {header, "Legacy_Id__c", []record{{"1", []string{"ab", "x", ""}}, {"2", []string{"AB", "x", ""}}}, []string{"AB", "x", ""}, "2"},
		"folded and ambiguous, until the other one is known to have loaded": {header, "Legacy_Id__c", []record{{"1", []string{"ab", "x", ""}}, {"2", []string{"AB", "x", ""}}}, []string{"aB", "x", ""}, "1"},
		"numeric external id": {header, "Legacy_Id__c", []record{{"1", []string{"912260031", "x", ""}}}, []string{"9.12260031E8", "x", ""}, "1"},
		"007 is not 07, until the other one is known to have loaded": {header, "Legacy_Id__c", []record{{"1", []string{"007", "x", ""}}, {"2", []string{"07", "x", ""}}}, []string{"7.0", "x", ""}, "1"},
		"whole content":                 {header, "", []record{{"1", []string{"a", "x", "1"}}, {"2", []string{"a", "x", "2"}}}, []string{"a", "x", "2"}, "2"},
		"whole content, normalised":     {header, "", []record{{"1", []string{"a", "x", "1"}}, {"2", []string{"a", "x", "2.50"}}}, []string{"a", "x", "2.5E0"}, "2"},
		"equal rows, either will do":    {header, "", []record{{"1", []string{"a", "x", "1"}}, {"2", []string{"a", "x", "1"}}}, []string{"a", "x", "1"}, "1"},
		"time with milliseconds":        {[]string{"T"}, "", []record{{"1", []string{"2024-01-31T10:00:00Z"}}}, []string{"2024-01-31T10:00:00.000Z"}, "1"},
		"line break as CRLF":            {[]string{"T"}, "", []record{{"1", []string{"a\nb"}}}, []string{"a\r\nb"}, "1"},
		"cleared field shown as empty":  {header, "", []record{{"1", []string{"a", "#N/A", ""}}}, []string{"a", "", ""}, "1"},
		"values blanked by Salesforce":  {header, "Legacy_Id__c", []record{{"1", []string{"a", "x", ""}}}, []string{"", "", ""}, "none"},
		"one column, empty":             {[]string{"T"}, "", []record{{"1", []string{""}}}, []string{""}, "1"},
		"quotes and commas":             {[]string{"T", "U"}, "", []record{{"1", []string{`a"b,"`, `"`}}}, []string{`a"b,"`, `"`}, "1"},
		"big integer that is a text id": {header, "Legacy_Id__c", []record{{"1", []string{"12345678901234567890", "", ""}}, {"2", []string{"12345678901234567891", "", ""}}}, []string{"12345678901234567891", "", ""}, "2"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			j := job{failed: [][]string{append([]string{"sf__Id", "sf__Error"}, c.header...), append([]string{"", "X:y:--"}, c.result...)}}
			n := int64(len(c.sent))
			out := b.mustSettle(t, chunkOf(1, n, c.externalID, reconcile.Job{Processed: n, Failed: 1}, sentRecords(t, c.header, c.sent...)), j, reconcile.Options{})
			if got := key(b.rows(t, reconcile.Filter{})[0]); got != c.want || (out.Unmatched == 1) != (c.want == "none") {
				t.Errorf("got key %q, outcome %+v, want %q", got, out, c.want)
			}
		})
	}
}

func TestColumnsInAnotherOrderOrMissing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	j := job{failed: [][]string{{"sf__Error", "lastname", "Legacy_Id__c"}, {"X:y:--", "Line\nbreak", "b"}}}
	b.mustSettle(t, chunkOf(1, 3, "", reconcile.Job{Processed: 3, Failed: 1}, three(t)), j, reconcile.Options{})
	if got := key(b.rows(t, reconcile.Filter{})[0]); got != "2" {
		t.Errorf("got %q", got)
	}
}

// TestResultsThatRepeatARecordAreNotBelieved: a repeated row makes up for one that is missing in every sum,
// and a record that loaded and failed did either.
func TestResultsThatRepeatARecordAreNotBelieved(t *testing.T) {
	t.Parallel()
	row := []string{"", "X:y:--", "a", "Ångström, \"Å\"", "912260031"}
	normalised := []string{"", "X:y:--", "A ", "ångström, \"å\"", "9.12260031E8"}
	for name, c := range map[string]struct {
		failed int64
		job    job
	}{
		"failed twice":                {2, job{failed: failed(row, row), successful: append(plain(), []string{"b", "", ""})}},
		"failed twice, as normalised": {2, job{failed: failed(row, normalised), successful: append(plain(), []string{"b", "", ""})}},
		"failed and loaded":           {1, job{failed: failed(row), successful: append(plain(), []string{"a", "", ""}, []string{"b", "", ""})}},
		"loaded twice":                {1, job{failed: failed(row), successful: append(plain(), []string{"b", "", ""}, []string{"b", "", ""})}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			chunk := chunkOf(1, 3, "Legacy_Id__c", reconcile.Job{Processed: 3, Failed: c.failed}, three(t))
			chunk.Whole = true
			_, err := b.settle(t, chunk, c.job, reconcile.Options{})
			var mismatch *reconcile.MismatchError
			if !errors.As(err, &mismatch) || mismatch.Repeated != 1 || mismatch.Unknown != 0 || !strings.Contains(err.Error(), "repeat") {
				t.Errorf("got %v", err)
			}
			if rows := b.rows(t, reconcile.Filter{}); len(rows) != 0 {
				t.Errorf("%d rows were written", len(rows))
			}
		})
	}
}

func TestSumsThatDifferAreRefusedAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	one := []string{"", "X:y:--", "a", "", ""}
	cases := map[string]struct {
		chunk reconcile.Job
		job   job
		whole bool
	}{
		"a failed record too few":        {reconcile.Job{Processed: 3, Failed: 2}, job{failed: failed(one)}, false},
		"processed too few":              {reconcile.Job{Processed: 2}, job{}, false},
		"record by record, one missing":  {reconcile.Job{Processed: 3, Failed: 1}, job{failed: failed(one), successful: append(plain(), []string{"b", "", ""})}, true},
		"record by record, one too many": {reconcile.Job{Processed: 3}, job{successful: append(plain(), []string{"a", "", ""}, []string{"b", "", ""}, []string{"c", "", ""}, []string{"c", "", ""})}, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			chunk := chunkOf(1, 3, "Legacy_Id__c", c.chunk, three(t))
			chunk.Whole = c.whole
			_, err := b.settle(t, chunk, c.job, reconcile.Options{})
			var mismatch *reconcile.MismatchError
			if !errors.As(err, &mismatch) || mismatch.Sent != 3 {
				t.Fatalf("got %v", err)
			}
			if rows := b.rows(t, reconcile.Filter{}); len(rows) != 0 {
				t.Errorf("%d rows were written", len(rows))
			}
		})
	}
}

func TestCountersThatLagAreSettledRecordByRecord(t *testing.T) {
	t.Parallel()
	b := setup(t)
	chunk := chunkOf(1, 3, "Legacy_Id__c", reconcile.Job{Processed: 0, Failed: 0}, three(t))
	chunk.Whole = true
	j := job{
		failed:     failed([]string{"", "X:y:--", "b", "", ""}),
		successful: append(plain(), []string{"a", "", ""}, []string{"c", "", ""}),
	}
	out := b.mustSettle(t, chunk, j, reconcile.Options{})
	if diff := cmp.Diff(reconcile.Outcome{Loaded: 2, Failed: 1}, out); diff != "" {
		t.Error(diff)
	}
}

func TestJobThatEndedEarly(t *testing.T) {
	t.Parallel()
	t.Run("its unprocessed records are listed", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		j := job{unprocessed: append(plain(), []string{"b", "", ""}, []string{"c", "", ""})}
		ended := reconcile.Job{State: "Failed", ErrorCode: "InvalidBatch", ErrorMessage: "Field name not found : X", Processed: 1}
		out := b.mustSettle(t, chunkOf(1, 3, "Legacy_Id__c", ended, three(t)), j, reconcile.Options{})
		rows := b.rows(t, reconcile.Filter{})
		if out.Loaded != 1 || out.Unprocessed != 2 || rows[0].Kind != "unprocessed" || rows[0].ErrorCode != "InvalidBatch" {
			t.Errorf("outcome %+v, row %+v", out, rows[0])
		}
	})
	t.Run("its results are empty", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		chunk := chunkOf(1, 3, "Legacy_Id__c", reconcile.Job{State: "Failed"}, three(t))
		chunk.Whole = true
		out := b.mustSettle(t, chunk, job{}, reconcile.Options{})
		if out.Unprocessed != 3 || len(b.rows(t, reconcile.Filter{})) != 3 {
			t.Errorf("outcome %+v", out)
		}
	})
}

func TestBrokenDownloadIsNotBelieved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.settle(t, chunkOf(1, 3, "Legacy_Id__c", reconcile.Job{Processed: 3, Failed: 1}, three(t)), job{failed: failed([]string{"", "X:y:--", "a", "", ""}), broken: errBroken}, reconcile.Options{})
	if !errors.Is(err, errBroken) || len(b.rows(t, reconcile.Filter{})) != 0 {
		t.Errorf("got %v", err)
	}
}

func TestFileGoneKeepsWhatTheResultsSay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	j := job{failed: failed([]string{"", "X:y:--", "a", "#N/A", ""})}
	b.mustSettle(t, chunkOf(1, 3, "Legacy_Id__c", reconcile.Job{Processed: 3, Failed: 1}, nil), j, reconcile.Options{})
	r := b.rows(t, reconcile.Filter{})[0]
	if key(r) != "none" || string(r.Payload) != `{"LastName": null, "Legacy_Id__c": "a"}` {
		t.Errorf("row %+v, payload %s", r, r.Payload)
	}
}

func failB(t *testing.T, b bundle, run int64) {
	t.Helper()
	b.mustSettle(t, chunkOf(run, 3, "Legacy_Id__c", reconcile.Job{Processed: 3, Failed: 1}, three(t)),
		job{failed: failed([]string{"", fmt.Sprintf("X:try %d:--", run), "b", "", ""})}, reconcile.Options{})
}

func TestRecordThatFailsAgainIsOneRowUntilItLoads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	failB(t, b, 1)
	failB(t, b, 2)
	rows := b.rows(t, reconcile.Filter{})
	if len(rows) != 1 || rows[0].Attempts != 2 || rows[0].RunID != 2 || rows[0].ErrorMessage != "try 2" {
		t.Fatalf("rows %+v", rows)
	}
	out := b.mustSettle(t, chunkOf(3, 3, "Legacy_Id__c", reconcile.Job{Processed: 3}, three(t)), job{}, reconcile.Options{})
	rows = b.rows(t, reconcile.Filter{})
	if out.Resolved != 1 || rows[0].Status != "resolved" || *rows[0].ResolvedRunID != 3 || rows[0].ResolvedAt == nil {
		t.Errorf("outcome %+v, row %+v", out, rows[0])
	}
	failB(t, b, 4)
	if rows = b.rows(t, reconcile.Filter{}); len(rows) != 2 || rows[1].Attempts != 1 {
		t.Errorf("rows %+v", rows)
	}
}

func TestIgnoredRecordStaysIgnored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	failB(t, b, 1)
	if n, err := b.store.Ignore(t.Context(), reconcile.Filter{Key: "2"}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	failB(t, b, 2)
	if rows := b.rows(t, reconcile.Filter{}); len(rows) != 1 || rows[0].Status != "ignored" || rows[0].Attempts != 2 {
		t.Errorf("rows %+v", rows)
	}
	if n, err := b.store.Reopen(t.Context(), reconcile.Filter{}); n != 1 || err != nil {
		t.Error(n, err)
	}
}

func TestTransientFailuresGoToALaterChunk(t *testing.T) {
	t.Parallel()
	b := setup(t)
	options := reconcile.Options{
		Transient: func(_ reconcile.Kind, e reconcile.RowError) bool { return e.Code == "LOCK" },
		Requeue:   func(pgx.Tx) (int64, error) { return 77, nil },
	}
	j := job{failed: failed([]string{"", "LOCK:l:--", "a", "", ""}, []string{"", "X:y:--", "b", "", ""})}
	out := b.mustSettle(t, chunkOf(1, 3, "Legacy_Id__c", reconcile.Job{Processed: 3, Failed: 2}, three(t)), j, options)
	if diff := cmp.Diff(reconcile.Outcome{Loaded: 1, Failed: 1, Requeued: 1}, out); diff != "" {
		t.Fatal(diff)
	}
	retrying := b.rows(t, reconcile.Filter{Statuses: []reconcile.Status{reconcile.StatusRetrying}})
	if len(retrying) != 1 || key(retrying[0]) != "1" {
		t.Fatalf("retrying %+v", retrying)
	}
	id := fmt.Sprint(retrying[0].ID)
	again := chunkOf(1, 1, "Legacy_Id__c", reconcile.Job{Processed: 1}, sentRecords(t, header, record{id, []string{"a", "x", ""}}))
	again.ID, again.ByRow = 77, true
	out = b.mustSettle(t, again, job{}, reconcile.Options{})
	if row, err := b.store.Row(t.Context(), retrying[0].ID); err != nil || row.Status != "resolved" || out.Resolved != 1 {
		t.Errorf("row %+v, outcome %+v, %v", row, out, err)
	}
}

func TestStoredPayloadThatFailsAgainKeepsItsRow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	failB(t, b, 1)
	id := b.rows(t, reconcile.Filter{})[0].ID
	b.claim(t, 9, false)
	again := chunkOf(2, 1, "Legacy_Id__c", reconcile.Job{Processed: 1, Failed: 1}, sentRecords(t, header, record{fmt.Sprint(id), []string{"b", "x", ""}}))
	again.ID, again.ByRow = 9, true
	b.mustSettle(t, again, job{failed: failed([]string{"", "Y:still:--", "b", "x", ""})}, reconcile.Options{})
	rows := b.rows(t, reconcile.Filter{})
	if len(rows) != 1 || rows[0].ID != id || rows[0].Status != "open" || rows[0].ErrorCode != "Y" || rows[0].Attempts != 2 || key(rows[0]) != "2" {
		t.Errorf("rows %+v", rows)
	}
}

// retryRun is the run that sends records again.
const retryRun = 99

func (b bundle) claim(t *testing.T, chunk int64, byKey bool) int64 {
	t.Helper()
	var n int64
	err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		var err error
		n, _, err = reconcile.Claim(t.Context(), tx, reconcile.Filter{Pipeline: "crm"}, reconcile.Claiming{RunID: retryRun, ChunkID: chunk, ByKey: byKey, Limit: 100})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRetryByKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	j := job{failed: failed([]string{"", "X:y:--", "a", "", ""}, []string{"", "X:y:--", "b", "", ""}, []string{"", "X:y:--", "c", "", ""})}
	b.mustSettle(t, chunkOf(1, 3, "Legacy_Id__c", reconcile.Job{Processed: 3, Failed: 3}, three(t)), j, reconcile.Options{})
	if n := b.claim(t, 5, true); n != 3 {
		t.Fatalf("claimed %d", n)
	}
	if n := b.claim(t, 6, true); n != 0 {
		t.Fatalf("claimed %d a second time", n)
	}
	keys, err := b.store.ClaimedKeys(t.Context(), 5)
	if err != nil || len(keys) != 3 {
		t.Fatal(keys, err)
	}
	// The source has lost row 3 since; 1 loads now, 2 fails again.
	again := chunkOf(5, 2, "Legacy_Id__c", reconcile.Job{Processed: 2, Failed: 1},
		sentRecords(t, header, record{"1", []string{"a", "x", ""}}, record{"2", []string{"b", "x", ""}}))
	again.RunID = retryRun
	out := b.mustSettle(t, again, job{failed: failed([]string{"", "Z:y:--", "b", "x", ""})}, reconcile.Options{})
	if diff := cmp.Diff(reconcile.Outcome{Loaded: 1, Failed: 1, Resolved: 1, Missing: 1}, out); diff != "" {
		t.Error(diff)
	}
	got := map[string]string{}
	for _, r := range b.rows(t, reconcile.Filter{}) {
		got[key(r)] = string(r.Status) + " " + r.ErrorCode
	}
	if diff := cmp.Diff(map[string]string{"1": "resolved X", "2": "open Z", "3": "open X"}, got); diff != "" {
		t.Error(diff)
	}
	// What failed again in this run is left to the next one.
	if n := b.claim(t, 7, true); n != 1 {
		t.Errorf("claimed %d, want only the row that was not sent", n)
	}
}

func TestBlankAndSharedExternalIdsAreToldApartByContent(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]string{"blank": "", "shared": "a"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			sent := sentRecords(t, header, record{"1", []string{id, "One", ""}}, record{"2", []string{id, "Two", ""}}, record{"3", []string{id, "Three", ""}})
			j := job{failed: failed([]string{"", "X:y:--", id, "Two", ""})}
			b.mustSettle(t, chunkOf(1, 3, "Legacy_Id__c", reconcile.Job{Processed: 3, Failed: 1}, sent), j, reconcile.Options{})
			if got := key(b.rows(t, reconcile.Filter{})[0]); got != "2" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestFailedCounterThatLagsIsNotBelieved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	chunk := chunkOf(1, 3, "Legacy_Id__c", reconcile.Job{Processed: 3, Failed: 0}, three(t))
	_, err := b.settle(t, chunk, job{failed: failed([]string{"", "X:y:--", "b", "", ""})}, reconcile.Options{})
	var mismatch *reconcile.MismatchError
	if !errors.As(err, &mismatch) || mismatch.Failed != 1 {
		t.Errorf("got %v", err)
	}
}

func TestIgnoredRecordIsNotSentAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	failB(t, b, 1)
	if _, err := b.store.Ignore(t.Context(), reconcile.Filter{}); err != nil {
		t.Fatal(err)
	}
	options := reconcile.Options{
		Transient: func(reconcile.Kind, reconcile.RowError) bool { return true },
		Requeue:   func(pgx.Tx) (int64, error) { return 77, nil },
	}
	out := b.mustSettle(t, chunkOf(2, 3, "Legacy_Id__c", reconcile.Job{Processed: 3, Failed: 1}, three(t)),
		job{failed: failed([]string{"", "LOCK:l:--", "b", "", ""})}, options)
	if r := b.rows(t, reconcile.Filter{})[0]; out.Requeued != 0 || out.Failed != 1 || r.Status != "ignored" {
		t.Errorf("outcome %+v, row %+v", out, r)
	}
}

func TestRowWithoutAKeyIsResolvedByItsExternalId(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustSettle(t, chunkOf(1, 3, "Legacy_Id__c", reconcile.Job{Processed: 3, Failed: 1}, nil),
		job{failed: failed([]string{"", "X:y:--", "B", "", ""})}, reconcile.Options{})
	out := b.mustSettle(t, chunkOf(2, 3, "Legacy_Id__c", reconcile.Job{Processed: 3}, three(t)), job{}, reconcile.Options{})
	if r := b.rows(t, reconcile.Filter{})[0]; out.Resolved != 1 || r.Status != "resolved" {
		t.Errorf("outcome %+v, row %+v", out, r)
	}
}

func TestUnmatchedFailureLeavesNoRowInLimbo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	j := job{failed: failed([]string{"", "X:y:--", "a", "", ""}, []string{"", "X:y:--", "b", "", ""}, []string{"", "X:y:--", "c", "", ""})}
	b.mustSettle(t, chunkOf(1, 3, "Legacy_Id__c", reconcile.Job{Processed: 3, Failed: 3}, three(t)), j, reconcile.Options{})
	b.claim(t, 5, true)
	again := chunkOf(5, 3, "Legacy_Id__c", reconcile.Job{Processed: 3, Failed: 1}, three(t))
	j = job{
		failed:     failed([]string{"", "X:y:--", "garbled", "", ""}),
		successful: append(plain(), []string{"a", "", ""}, []string{"c", "", ""}),
	}
	if _, err := b.settle(t, again, j, reconcile.Options{}); !errors.Is(err, reconcile.ErrUnmatched) {
		t.Fatalf("got %v", err)
	}
	again.Whole = true
	out := b.mustSettle(t, again, j, reconcile.Options{})
	if out.Loaded != 2 || out.Resolved != 2 || out.Unmatched != 1 {
		t.Errorf("outcome %+v", out)
	}
	got := map[string]int{}
	for _, r := range b.rows(t, reconcile.Filter{}) {
		got[key(r)+" "+string(r.Status)]++
	}
	if diff := cmp.Diff(map[string]int{"1 resolved": 1, "3 resolved": 1, "2 retrying": 1, "none open": 1}, got); diff != "" {
		t.Error(diff)
	}
	// Nobody can tell whether row 2 loaded; a person who knows opens it again.
	if n, err := b.store.Reopen(t.Context(), reconcile.Filter{Key: "2"}); n != 1 || err != nil {
		t.Error(n, err)
	}
}

func TestAllLoadedWithoutTheFileResolvesWhatWasClaimed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	failB(t, b, 1)
	b.claim(t, 5, true)
	out := b.mustSettle(t, chunkOf(5, 1, "Legacy_Id__c", reconcile.Job{Processed: 1}, nil), job{}, reconcile.Options{})
	if r := b.rows(t, reconcile.Filter{})[0]; out.Resolved != 1 || r.Status != "resolved" {
		t.Errorf("outcome %+v, row %+v", out, r)
	}
}
