package bulkv2_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/bulkv2"
)

// The answers of a live job, Bulk API 2.0 guide and a printed session of version 52.
const (
	liveCreated = `{"id":"7508d00000Xy1zAAAR","operation":"upsert","object":"Contact","createdById":"0058d000003UeFSAA0",
"createdDate":"2022-01-02T21:33:43.000+0000","systemModstamp":"2022-01-02T21:33:44.000+0000","state":"Open",
"externalIdFieldName":"Legacy_Id__c","concurrencyMode":"Parallel","contentType":"CSV","apiVersion":52.0,
"contentUrl":"services/data/v52.0/jobs/ingest/7508d00000Xy1zAAAR/batches","lineEnding":"LF","columnDelimiter":"COMMA"}`
	liveFailed = `{"id":"7508d00000Xy1zAAAR","operation":"upsert","object":"Contact","state":"Failed","jobType":"V2Ingest",
"apiVersion":52.0,"numberRecordsProcessed":2600,"numberRecordsFailed":"4","retries":1,"totalProcessingTime":4000,
"apiActiveProcessingTime":3347,"apexProcessingTime":12,"errorMessage":"InvalidBatch : Field name not found : Foo__c","later":{"x":[1]}}`
)

func TestCreateSendsTheSpecAndReadsTheJob(t *testing.T) {
	t.Parallel()
	c, srv := serve(t, reply(200, liveCreated))
	got, err := c.Create(t.Context(), bulkv2.JobSpec{Object: "Contact", Operation: bulkv2.Upsert, ExternalIDField: "Legacy_Id__c"})
	if err != nil {
		t.Fatal(err)
	}
	want := bulkv2.Job{
		ID: jobID, Object: "Contact", Operation: bulkv2.Upsert, State: bulkv2.Open, ExternalIDField: "Legacy_Id__c",
		LineEnding: "LF", ColumnDelimiter: "COMMA", APIVersion: "52.0", CreatedByID: "0058d000003UeFSAA0",
		CreatedAt:      time.Date(2022, 1, 2, 21, 33, 43, 0, time.UTC),
		SystemModstamp: time.Date(2022, 1, 2, 21, 33, 44, 0, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
	}
	r := srv.request(0)
	const body = `{"object":"Contact","operation":"upsert","externalIdFieldName":"Legacy_Id__c","contentType":"CSV","lineEnding":"LF","columnDelimiter":"COMMA"}`
	if r.Method != "POST" || r.URI != "/services/data/v66.0/jobs/ingest" || r.Body != body || r.Length != int64(len(body)) {
		t.Errorf("sent %s %s, %d bytes: %s", r.Method, r.URI, r.Length, r.Body)
	}
}

func TestInfoReadsCountersAndTimes(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, reply(200, liveFailed))
	got, err := c.Info(t.Context(), jobID)
	if err != nil {
		t.Fatal(err)
	}
	want := bulkv2.Job{
		ID: jobID, Object: "Contact", Operation: bulkv2.Upsert, State: bulkv2.Failed, JobType: "V2Ingest", APIVersion: "52.0",
		CountersKnown: true, RecordsProcessed: 2600, RecordsFailed: 4, Retries: 1, TotalProcessing: 4 * time.Second,
		APIActive: 3347 * time.Millisecond, Apex: 12 * time.Millisecond, ErrorMessage: "InvalidBatch : Field name not found : Foo__c",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
	}
	if code, message := got.Failure(); code != "InvalidBatch" || message != "Field name not found : Foo__c" {
		t.Errorf("Failure() = %q, %q", code, message)
	}
}

func TestUploadSendsAllBytesWithTheirLength(t *testing.T) {
	t.Parallel()
	s := &script{steps: []http.HandlerFunc{reply(201, "")}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	c := newClient(t, bulkv2.Config{HTTP: srv.Client(), InstanceURL: srv.URL + "/", APIVersion: "v60.0", ClientName: "loader"})
	csv := "Name\nŽofia\n"
	if err := c.Upload(t.Context(), jobID, bulkv2.Bytes(csv)); err != nil {
		t.Fatal(err)
	}
	r := s.request(0)
	got := []any{r.Method, r.URI, r.Body, r.Length, r.Header.Get("Content-Type"), r.Header.Get("Sforce-Call-Options")}
	want := []any{"PUT", "/services/data/v60.0/jobs/ingest/" + jobID + "/batches", csv, int64(len(csv)), "text/csv", "client=loader"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestUploadTakesNothingBut201ForSuccess(t *testing.T) {
	t.Parallel()
	c, srv := serve(t, reply(200, ""))
	err := c.Upload(t.Context(), jobID, bulkv2.Bytes("Name\nx\n"))
	if err == nil || bulkv2.NothingAccepted(err) || bulkv2.Retryable(err) {
		t.Errorf("got %v, want an error of unknown outcome", err)
	}
	if diff := cmp.Diff([]string{"PUT batches"}, srv.seen()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestArgumentsAreCheckedBeforeAnyRequest(t *testing.T) {
	t.Parallel()
	c, srv := serve(t, reply(500, ""))
	create := func(s bulkv2.JobSpec) func(context.Context) error {
		return func(ctx context.Context) error { _, err := c.Create(ctx, s); return err }
	}
	for name, f := range map[string]func(context.Context) error{
		"no object":        create(bulkv2.JobSpec{Operation: bulkv2.Insert}),
		"no operation":     create(bulkv2.JobSpec{Object: "Account"}),
		"no external id":   create(bulkv2.JobSpec{Object: "Account", Operation: bulkv2.Upsert}),
		"stray externalid": create(bulkv2.JobSpec{Object: "Account", Operation: bulkv2.Insert, ExternalIDField: "X__c"}),
		"delimiter":        create(bulkv2.JobSpec{Object: "Account", Operation: bulkv2.Insert, ColumnDelimiter: ","}),
		"empty id":         func(ctx context.Context) error { _, err := c.Info(ctx, ""); return err },
		"id with a path":   func(ctx context.Context) error { _, err := c.Close(ctx, "750/../x"); return err },
		"empty body":       func(ctx context.Context) error { return c.Upload(ctx, jobID, bulkv2.Bytes(nil)) },
		"huge body":        func(ctx context.Context) error { return c.Upload(ctx, jobID, huge{}) },
		"results of what":  func(ctx context.Context) error { _, err := c.FailedResults(ctx, "?"); return err },
	} {
		err := f(t.Context())
		if err == nil || !bulkv2.NothingAccepted(err) || bulkv2.Retryable(err) {
			t.Errorf("%s: got %v, want an error that says that nothing was sent", name, err)
		}
	}
	if n := len(srv.seen()); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

type huge struct{ bulkv2.Bytes }

func (huge) Size() int64 { return bulkv2.MaxUploadBytes + 1 }

func TestCloseAndAbortSettleWhatIsUnclear(t *testing.T) {
	t.Parallel()
	illegal := refuse(400, "INVALIDJOBSTATE", "Closing already Completed Job not allowed")
	const patch, get = "PATCH {id}", "GET {id}"
	for _, tt := range []struct {
		name  string
		abort bool
		steps []http.HandlerFunc
		state bulkv2.State // "" when an error is wanted
		seen  []string
	}{
		{"closed", false, steps(jobIn("UploadComplete")), "UploadComplete", []string{patch}},
		{"closed, lost answer", false, steps(reset, jobIn("UploadComplete")), "UploadComplete", []string{patch, get}},
		{"lost answer, already running", false, steps(reset, jobIn("InProgress")), "InProgress", []string{patch, get}},
		{"lost request, still open", false, steps(reset, jobIn("Open"), jobIn("UploadComplete")), "UploadComplete", []string{patch, get, patch}},
		{"502, still open", false, steps(reply(502, "<html>"), jobIn("Open"), jobIn("UploadComplete")), "UploadComplete", []string{patch, get, patch}},
		{"answer cut short", false, steps(cut(200, `{"id`), jobIn("JobComplete")), "JobComplete", []string{patch, get}},
		{"answer without id", false, steps(reply(200, `{"state":"UploadComplete"}`), jobIn("InProgress")), "InProgress", []string{patch, get}},
		{"answer still open", false, steps(jobIn("Open"), jobIn("Open"), jobIn("UploadComplete")), "UploadComplete", []string{patch, get, patch}},
		{"closed before", false, steps(illegal, jobIn("JobComplete")), "JobComplete", []string{patch, get}},
		{"failed since", false, steps(illegal, jobIn("Failed")), "Failed", []string{patch, get}},
		{"state of a later release", false, steps(illegal, jobIn("Queued")), "Queued", []string{patch, get}},
		{"aborted before", false, steps(illegal, jobIn("Aborted")), "", []string{patch, get}},
		{"refused while open", false, steps(illegal, jobIn("Open")), "", []string{patch, get}},
		{"limit reached, then closed", false, steps(refuse(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), jobIn("UploadComplete")), "UploadComplete", []string{patch, patch}},
		{"not ours", false, steps(refuse(403, "INVALIDUSER", "x")), "", []string{patch}},
		{"gone", false, steps(refuse(404, "NOT_FOUND", "x")), "", []string{patch}},
		{"gone after a lost answer", false, steps(reset, refuse(404, "NOT_FOUND", "x")), "", []string{patch, get}},
		{"aborted", true, steps(jobIn("Aborted")), "Aborted", []string{patch}},
		{"aborted, lost answer", true, steps(reset, jobIn("Aborted")), "Aborted", []string{patch, get}},
		{"abort lost on the way", true, steps(reset, jobIn("InProgress"), jobIn("Aborted")), "Aborted", []string{patch, get, patch}},
		{"abort of an aborted job", true, steps(illegal, jobIn("Aborted")), "Aborted", []string{patch, get}},
		{"abort of a complete job", true, steps(illegal, jobIn("JobComplete")), "", []string{patch, get}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, srv := serve(t, tt.steps...)
			change := c.Close
			if tt.abort {
				change = c.Abort
			}
			job, err := change(t.Context(), jobID)
			if tt.state == "" && err == nil || tt.state != "" && (err != nil || job.State != tt.state) {
				t.Errorf("got %q, %v, want %q", job.State, err, tt.state)
			}
			if diff := cmp.Diff(tt.seen, srv.seen()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func steps(s ...http.HandlerFunc) []http.HandlerFunc { return s }

func TestCloseMayBeMadeAgainAfterAnyTrouble(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]http.HandlerFunc{
		"all lost":              steps(reset),
		"close lost, info lost": steps(reset, reply(502, "")),
		"never closed":          steps(reply(502, ""), jobIn("Open"), reply(502, ""), jobIn("Open"), reply(502, ""), jobIn("Open")),
	} {
		c, _ := serve(t, steps...)
		if _, err := c.Close(t.Context(), jobID); err == nil || !bulkv2.Retryable(err) || bulkv2.NothingAccepted(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAbortOfAnEndedJobReturnsItsStateAndTheRefusal(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, refuse(400, "INVALIDJOBSTATE", "Aborting already Completed Job not allowed"), jobIn("JobComplete"))
	job, err := c.Abort(t.Context(), jobID)
	if job.State != bulkv2.JobComplete || err == nil {
		t.Fatalf("got %q, %v", job.State, err)
	}
	const want = "job " + jobID + ": abort: salesforce 400 INVALIDJOBSTATE: Aborting already Completed Job not allowed"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestDeleteIsRepeatedAndTakesAMissingJobForSuccess(t *testing.T) {
	t.Parallel()
	c, srv := serve(t, reset, refuse(404, "NOT_FOUND", "The requested resource does not exist"))
	if err := c.Delete(t.Context(), jobID); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"DELETE {id}", "DELETE {id}"}, srv.seen()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	ok := bulkv2.Config{HTTP: http.DefaultClient, InstanceURL: "https://acme.my.salesforce.com"}
	for name, change := range map[string]func(*bulkv2.Config){
		"no client":      func(c *bulkv2.Config) { c.HTTP = nil },
		"no instance":    func(c *bulkv2.Config) { c.InstanceURL = "" },
		"no scheme":      func(c *bulkv2.Config) { c.InstanceURL = "acme.my.salesforce.com" },
		"with a path":    func(c *bulkv2.Config) { c.InstanceURL += "/services" },
		"with a user":    func(c *bulkv2.Config) { c.InstanceURL = "https://u:p@acme.my.salesforce.com" },
		"version":        func(c *bulkv2.Config) { c.APIVersion = "latest" },
		"version digits": func(c *bulkv2.Config) { c.APIVersion = "66" },
		"idle":           func(c *bulkv2.Config) { c.IdleTimeout = -1 },
		"tries":          func(c *bulkv2.Config) { c.Retry.MaxTries = -1 },
	} {
		cfg := ok
		change(&cfg)
		if _, err := bulkv2.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := bulkv2.New(ok); err != nil {
		t.Error(err)
	}
}
