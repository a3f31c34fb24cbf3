package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"bulkhead/internal/emulator"
)

func (o *org) fault(f emulator.Fault) emulator.Fault {
	o.tb.Helper()
	added, err := o.server.AddFault(f)
	if err != nil {
		o.tb.Fatal(err)
	}
	return added
}

func TestStatusFaults(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	for _, tc := range []struct {
		fault emulator.Fault
		body  string
		name  string
		value string
	}{
		{emulator.Fault{Status: 401}, `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`, "Www-Authenticate", "Token"},
		{emulator.Fault{Status: 403}, `[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`, "", ""},
		{emulator.Fault{Status: 420}, "<html>", "Content-Type", "text/html;charset=UTF-8"},
		{emulator.Fault{Status: 429, RetryAfter: 7}, `[{"message"`, "Retry-After", "7"},
		{emulator.Fault{Status: 500}, `"UNKNOWN_EXCEPTION"`, "", ""},
		{emulator.Fault{Status: 502}, "<html>", "Content-Type", "text/html;charset=UTF-8"},
		{emulator.Fault{Status: 503}, `"SERVER_UNAVAILABLE"`, "Content-Type", "application/json;charset=UTF-8"},
		{emulator.Fault{Status: 400, Code: "TXN_SECURITY_METERING_ERROR", Message: "slow"}, `[{"message":"slow","errorCode":"TXN_SECURITY_METERING_ERROR"}]`, "", ""},
		{emulator.Fault{Status: 503, Body: "", Headers: map[string]string{"X-Edge": "1"}}, "SERVER", "X-Edge", "1"},
	} {
		tc.fault.Times = 1
		o.fault(tc.fault)
		a := o.get("limits")
		if a.status != tc.fault.Status || !strings.Contains(string(a.body), tc.body) {
			t.Errorf("%d: got %d %q", tc.fault.Status, a.status, a.body)
		}
		if tc.name != "" && a.header.Get(tc.name) != tc.value {
			t.Errorf("%d: %s is %q", tc.fault.Status, tc.name, a.header.Get(tc.name))
		}
		if a := o.get("limits"); a.status != http.StatusOK {
			t.Errorf("%d strikes twice: %d", tc.fault.Status, a.status)
		}
	}
}

func TestFaultsChooseTheirRequests(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	f := o.fault(emulator.Fault{Method: "put", Path: "/BATCHES", Skip: 1, Times: 1, Status: 503})
	ids := []string{o.create(insertAccounts), o.create(insertAccounts), o.create(insertAccounts)}
	var got []int
	for _, id := range ids {
		got = append(got, o.put(id, "Name\nAcme\n").status)
	}
	if want := []int{201, 503, 201}; !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	if all := o.server.Faults(); len(all) != 1 || all[0].ID != f.ID || all[0].Struck != 1 {
		t.Errorf("faults %+v", all)
	}
	if !o.server.RemoveFault(f.ID) || o.server.RemoveFault(f.ID) {
		t.Error("a fault is not removed once")
	}
}

func TestProbabilityFollowsTheSeed(t *testing.T) {
	t.Parallel()
	strikes := func() (got []int) {
		o := start(t, emulator.Config{Seed: 3})
		o.fault(emulator.Fault{Status: 500, Probability: 0.5})
		for range 40 {
			got = append(got, o.get("limits").status)
		}
		return got
	}
	first, second := strikes(), strikes()
	if !cmp.Equal(first, second) {
		t.Error("the same seed strikes elsewhere")
	}
	n := strings.Count(fmt.Sprint(first), "500")
	if n < 5 || n > 35 {
		t.Errorf("struck %d of 40 times", n)
	}
}

func TestCutConnections(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	for _, tc := range []struct {
		do    emulator.FaultDo
		saved int
	}{{emulator.DoCutBefore, 0}, {emulator.DoCutAfter, 1}} {
		o.fault(emulator.Fault{Do: tc.do, Method: "POST", Path: "/jobs/ingest", Times: 1})
		if a, err := o.try(http.MethodPost, "jobs/ingest", strings.NewReader(insertAccounts), "Content-Type", "application/json"); err == nil {
			t.Errorf("%s: answered %d", tc.do, a.status)
		}
		if st := o.server.State(); st.Jobs["Open"] != tc.saved {
			t.Errorf("%s: %d jobs", tc.do, st.Jobs["Open"])
		}
	}
	for _, after := range []int{0, 10, 1 << 20} {
		o.fault(emulator.Fault{Do: emulator.DoCutBody, Path: "/limits", After: after, Times: 1})
		a, err := o.try(http.MethodGet, "limits", nil)
		if err != nil || a.status != http.StatusOK || a.err == nil || after < 1<<20 && len(a.body) != after {
			t.Errorf("cut after %d: %v, %d, %d bytes, %v", after, err, a.status, len(a.body), a.err)
		}
	}
	for _, after := range []int{0, 10} {
		o.fault(emulator.Fault{Do: emulator.DoTruncate, Path: "/limits", After: after, Times: 1})
		if a := o.get("limits"); a.status != http.StatusOK || a.err != nil || len(a.body) != after {
			t.Errorf("truncated after %d: %d, %d bytes, %v", after, a.status, len(a.body), a.err)
		}
	}
}

func TestHangingRequestGoesOnWhenReleased(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	f := o.fault(emulator.Fault{Do: emulator.DoHang, Path: "/limits"})
	answered := make(chan int)
	go func() {
		a, err := o.try(http.MethodGet, "limits", nil)
		if err != nil {
			t.Error(err)
		}
		answered <- a.status
	}()
	for o.server.Faults()[0].Struck == 0 {
		o.get("/services/data") // somebody else is served meanwhile
	}
	o.server.RemoveFault(f.ID)
	for released := false; !released; {
		// The request may not have reached the gate when it is first opened.
		o.server.Release()
		select {
		case status := <-answered:
			released = true
			if status != http.StatusOK {
				t.Errorf("released to %d", status)
			}
		default:
		}
	}
}

func TestCloseEndsWhatHangs(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	o.fault(emulator.Fault{Do: emulator.DoHang, Path: "/limits"})
	o.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick})
	id := o.create(insertAccounts)
	o.put(id, "Name\nAcme\n")
	o.patch(id, "UploadComplete")
	o.until(id, "InProgress")
	answered := make(chan error)
	go func() {
		_, err := o.try(http.MethodGet, "limits", nil)
		answered <- err
	}()
	for o.server.Faults()[0].Struck == 0 {
		o.get("jobs/ingest/" + id)
	}
	if err := o.server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-answered; err == nil {
		t.Error("the hanging request was answered")
	}
}

func TestRowFaults(t *testing.T) {
	t.Parallel()
	content := func(n int) string {
		var b strings.Builder
		b.WriteString("Legacy_Id__c,Name\n")
		for i := range n {
			fmt.Fprintf(&b, "%d,n\n", i)
		}
		return b.String()
	}
	t.Run("keys, so many times", func(t *testing.T) {
		t.Parallel()
		o := start(t, emulator.Config{})
		o.fault(emulator.Fault{On: emulator.OnRow, Object: "account", Field: "Legacy_Id__c", Keys: []string{"3", "5"}, Times: 2})
		info := o.run(upsertAccounts, content(10))
		_, rows := o.results(info["id"].(string), "failedResults")
		for _, r := range rows {
			if r[1] != "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--" {
				t.Errorf("row %v", r)
			}
		}
		if len(rows) != 2 {
			t.Errorf("%d rows failed", len(rows))
		}
		if info := o.run(upsertAccounts, content(10)); info["numberRecordsFailed"] != 0.0 {
			t.Errorf("it strikes again: %v", info)
		}
	})
	t.Run("every", func(t *testing.T) {
		t.Parallel()
		o := start(t, emulator.Config{BatchSize: 300})
		o.fault(emulator.Fault{On: emulator.OnRow, Every: 100, Code: "X_Y", Message: "m", Fields: []string{"Name"}})
		info := o.run(upsertAccounts, content(1000))
		_, rows := o.results(info["id"].(string), "failedResults")
		if len(rows) != 10 || rows[0][1] != "X_Y:m:Name --" {
			t.Errorf("%d rows failed: %v", len(rows), rows)
		}
	})
	t.Run("cascade", func(t *testing.T) {
		t.Parallel()
		o := start(t, emulator.Config{})
		o.fault(emulator.Fault{On: emulator.OnRow, Do: emulator.DoRowCascade, Field: "Legacy_Id__c", Keys: []string{"250"}})
		info := o.run(upsertAccounts, content(600))
		if info["numberRecordsFailed"] != 200.0 {
			t.Fatalf("failed %v, want the chunk of 200", info["numberRecordsFailed"])
		}
		_, rows := o.results(info["id"].(string), "failedResults")
		cascaded := 0
		for _, r := range rows {
			if strings.HasPrefix(r[1], "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Too many retries of batch save in the presence of Apex triggers with failures: ") {
				cascaded++
			}
		}
		if cascaded != 199 {
			t.Errorf("%d rows went along, want 199", cascaded)
		}
	})
}

func TestJobFaults(t *testing.T) {
	t.Parallel()
	const content = "Legacy_Id__c,Name\n1,a\n2,b\n3,c\n4,d\n5,e\n"
	cfg := emulator.Config{BatchSize: 2, BatchParallel: 1}
	for _, tc := range []struct {
		name    string
		fault   emulator.Fault
		state   string
		message any
	}{
		{"fails half way", emulator.Fault{Do: emulator.DoJobFail, Batches: 1, Message: "TooManyLockFailure : locked"}, "Failed", "TooManyLockFailure : locked"},
		{"aborted by an administrator", emulator.Fault{Do: emulator.DoJobAbort, Batches: 1}, "Aborted", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := start(t, cfg)
			tc.fault.On = emulator.OnJob
			o.fault(tc.fault)
			info := o.run(upsertAccounts, content)
			if info["state"] != tc.state || info["errorMessage"] != tc.message || info["numberRecordsProcessed"] != 2.0 {
				t.Errorf("job %v", info)
			}
			id := info["id"].(string)
			_, saved := o.results(id, "successfulResults")
			_, unprocessed := o.results(id, "unprocessedRecords")
			if len(saved) != 2 || len(unprocessed) != 3 {
				t.Errorf("%d saved, %d unprocessed, want 2 and 3", len(saved), len(unprocessed))
			}
		})
	}
	t.Run("stuck until released", func(t *testing.T) {
		t.Parallel()
		o := start(t, cfg)
		o.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick, Batches: 2})
		id := o.create(upsertAccounts)
		o.put(id, content)
		o.patch(id, "UploadComplete")
		for o.get("jobs/ingest/" + id).object()["numberRecordsProcessed"] != 4.0 {
		}
		if _, rows := o.results(id, "successfulResults"); len(rows) != 4 {
			t.Errorf("%d partial results", len(rows))
		}
		if _, rows := o.results(id, "unprocessedRecords"); len(rows) != 0 {
			t.Errorf("%d unprocessed while in progress", len(rows))
		}
		for o.get("jobs/ingest/" + id).object()["state"] == "InProgress" {
			o.server.Release()
		}
		if info := o.wait(id); info["state"] != "JobComplete" || info["numberRecordsProcessed"] != 5.0 {
			t.Errorf("job %v", info)
		}
	})
	t.Run("results and counters lag", func(t *testing.T) {
		t.Parallel()
		o := start(t, cfg)
		o.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoLagResults, After: 1})
		o.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoLagCounters, After: 1})
		info := o.run(upsertAccounts, content)
		id := info["id"].(string)
		if info["numberRecordsProcessed"] != 0.0 || o.wait(id)["numberRecordsProcessed"] != 5.0 {
			t.Error("the counters do not lag by one read")
		}
		for i, want := range []int{0, 5} {
			if _, rows := o.results(id, "successfulResults"); len(rows) != want {
				t.Errorf("read %d: %d rows, want %d", i, len(rows), want)
			}
		}
	})
	t.Run("early results refused", func(t *testing.T) {
		t.Parallel()
		o := start(t, emulator.Config{Modes: emulator.Modes{EarlyResults: emulator.EarlyResultsRefused}})
		o.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick})
		id := o.create(upsertAccounts)
		o.put(id, content)
		o.patch(id, "UploadComplete")
		o.until(id, "InProgress")
		if code, _ := o.get("jobs/ingest/" + id + "/failedResults").refusal(); code != "INVALIDJOBSTATE" {
			t.Errorf("early results: %s", code)
		}
	})
}

// TestAbortedJobKeepsItsBooks aborts while batches run: what is not saved is
// unprocessed, whenever the abort comes.
func TestAbortedJobKeepsItsBooks(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{BatchSize: 500, BatchParallel: 2})
	var content strings.Builder
	content.WriteString("Name\n")
	const n = 50_000
	for i := range n {
		fmt.Fprintf(&content, "n%d\n", i)
	}
	id := o.create(insertAccounts)
	o.put(id, content.String())
	o.patch(id, "UploadComplete")
	for o.get("jobs/ingest/" + id).object()["numberRecordsProcessed"] == 0.0 {
	}
	o.patch(id, "Aborted")
	info := o.get("jobs/ingest/" + id).object()
	_, saved := o.results(id, "successfulResults")
	_, rest := o.results(id, "unprocessedRecords")
	if len(saved)+len(rest) != n || float64(len(saved)) != info["numberRecordsProcessed"] {
		t.Errorf("%d saved and %d unprocessed of %d, processed %v", len(saved), len(rest), n, info["numberRecordsProcessed"])
	}
}

func TestFaultsAreChecked(t *testing.T) {
	t.Parallel()
	for _, f := range []emulator.Fault{
		{On: "moon"}, {Do: "explode"}, {On: emulator.OnRow, Do: emulator.DoHang}, {Status: 99}, {Status: 500, Probability: 2},
	} {
		if server, err := emulator.Start(t.Context(), emulator.Config{Faults: []emulator.Fault{f}}); err == nil {
			t.Errorf("%+v is taken", f)
			server.Close()
		}
	}
}

func TestControlEndpoints(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	o.run(insertAccounts, "Name\nAcme\n")
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "faults", `{"path":"/limits","status":503,"times":1}`, 200, `"id":"f1"`},
		{"POST", "faults", `[{"on":"job","do":"job-fail"},{"on":"row"}]`, 200, `"id":"f3"`},
		{"POST", "faults", `{"pth":"/limits"}`, 400, `unknown field`},
		{"GET", "faults", "", 200, `"status":503`},
		{"DELETE", "faults/f2", "", 200, `true`},
		{"DELETE", "faults/f2", "", 400, `there is none`},
		{"DELETE", "faults", "", 200, `true`},
		{"GET", "state", "", 200, `"Account":1`},
		{"POST", "limits", `{"DailyApiRequests":{"Max":5,"Remaining":0}}`, 200, `"Remaining":0`},
		{"POST", "limits", `{"Luck":{"Max":5}}`, 400, `unknown`},
		{"POST", "clock/advance", `{"by":"24h"}`, 200, `now`},
		{"POST", "clock/advance", `{"by":"soon"}`, 400, `invalid duration`},
		{"POST", "tokens/expire", "", 200, `true`},
		{"POST", "release", "", 200, `true`},
		{"DELETE", "records/Account", "", 200, `true`},
		{"DELETE", "records/User", "", 400, `log in`},
		{"POST", "jobs/750Em0000000001/fail", `{"message":"X : y"}`, 400, `is over already`},
		{"POST", "jobs/750Em0000000009/abort", "", 400, `there is none`},
		{"GET", "nowhere", "", 400, `no such endpoint`},
		{"POST", "reset", "", 200, `true`},
	} {
		a := o.do(tc.method, "/emulator/"+tc.path, strings.NewReader(tc.body))
		if a.status != tc.status || !strings.Contains(string(a.body), tc.want) {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, a.status, a.body)
		}
	}
	if st := o.server.State(); st.Records["Account"] != 0 || st.Records["User"] != 1 || len(st.Jobs) != 0 || st.Calls != 0 {
		t.Errorf("after reset: %+v", st)
	}
	o.login()
	id := o.create(insertAccounts)
	if a := o.do("POST", "/emulator/jobs/"+id+"/fail", strings.NewReader(`{"message":"X : y"}`)); a.object()["errorMessage"] != "X : y" {
		t.Errorf("fail: %s", a.body)
	}
}

func TestEveryRequestIsLogged(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.DebugLevel)
	o := start(t, emulator.Config{Logger: zap.New(core)})
	o.fault(emulator.Fault{Path: "/limits", Status: 503})
	o.get("limits")
	if err := o.server.Close(); err != nil {
		t.Fatal(err)
	}
	entries := logs.FilterMessage("request").All()
	if len(entries) != 2 {
		t.Fatalf("%d lines for 2 requests", len(entries))
	}
	got := entries[1].ContextMap()
	if got["method"] != "GET" || got["path"] != "/services/data/v66.0/limits" || got["status"] != int64(503) || got["fault"] != "f1" {
		t.Errorf("line %v", got)
	}
}
