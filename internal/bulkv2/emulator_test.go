package bulkv2_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/bulkv2"
	"bulkhead/internal/emulator"
	"bulkhead/internal/salesforce"
)

// theOrg is a client that is logged in to an emulated org.
type theOrg struct {
	*bulkv2.Client
	org    *salesforce.Org
	server *emulator.Server
}

func startOrg(t *testing.T, cfg emulator.Config) theOrg {
	t.Helper()
	srv, err := emulator.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	org, err := salesforce.Open(t.Context(), salesforce.Config{
		LoginURL: srv.URL(), ClientID: emulator.DefaultClientID, ClientSecret: emulator.DefaultClientSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, bulkv2.Config{
		HTTP: org.HTTPClient(), InstanceURL: org.InstanceURL(), APIVersion: org.APIVersion(), ClientName: "bulkhead", Retry: fastRetry(),
		AnswerTimeout: 2 * time.Second,
	})
	return theOrg{c, org, srv}
}

func (o theOrg) fault(t *testing.T, f emulator.Fault) {
	t.Helper()
	if _, err := o.server.AddFault(f); err != nil {
		t.Fatal(err)
	}
}

// contacts is a CSV of n contacts; those whose number is a multiple of ten lack the last name, which the org wants.
func contacts(n int) bulkv2.Bytes {
	var b bytes.Buffer
	b.WriteString("LastName,Description\n")
	for i := range n {
		name := fmt.Sprintf("Name %d", i)
		if i%10 == 0 {
			name = ""
		}
		fmt.Fprintf(&b, "%s,\"%d, \"\"quoted\"\"\nand a second line\"\n", name, i)
	}
	return b.Bytes()
}

var quickly = bulkv2.WaitOptions{MinInterval: time.Millisecond, MaxInterval: 20 * time.Millisecond, Limit: 30 * time.Second}

// load takes a job to its end.
func (o theOrg) load(t *testing.T, csv bulkv2.Bytes) bulkv2.Job {
	t.Helper()
	job, err := o.Create(t.Context(), bulkv2.JobSpec{Object: "Contact", Operation: bulkv2.Insert})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Upload(t.Context(), job.ID, csv); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Close(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	if job, err = o.Wait(t.Context(), job.ID, quickly); err != nil {
		t.Fatal(err)
	}
	return job
}

// results reads one of a job's results into a list of their values of one column, sorted.
func (o theOrg) results(t *testing.T, jobID string, kind bulkv2.ResultKind, column string) []string {
	t.Helper()
	res, err := o.Results(t.Context(), jobID, kind, bulkv2.ResultsOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Close()
	var values []string
	i := res.Column(column)
	for res.Next() {
		values = append(values, res.Record()[i])
	}
	if err := res.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(values)
	return values
}

func TestAJobInTheEmulator(t *testing.T) {
	t.Parallel()
	o := startOrg(t, emulator.Config{BatchSize: 100})
	job := o.load(t, contacts(1000))
	if job.State != bulkv2.JobComplete || !job.CountersKnown || job.RecordsProcessed != 1000 || job.RecordsFailed != 100 || job.JobType != "V2Ingest" || job.CreatedAt.IsZero() {
		t.Errorf("got %+v", job)
	}
	if job.CreatedByID != o.org.UserID() {
		t.Errorf("the job was created by %q, we are %q", job.CreatedByID, o.org.UserID())
	}
	for _, e := range o.results(t, job.ID, bulkv2.Refused, bulkv2.ColumnError) {
		want := bulkv2.RecordError{Code: "REQUIRED_FIELD_MISSING", Message: "Required fields are missing: [LastName]", Fields: []string{"LastName"}}
		if diff := cmp.Diff(want, bulkv2.ParseRecordError(e)); diff != "" {
			t.Fatalf("error %q (-want +got):\n%s", e, diff)
		}
	}
	failed, loaded := o.results(t, job.ID, bulkv2.Refused, "Description"), o.results(t, job.ID, bulkv2.Successful, "Description")
	if len(failed) != 100 || len(loaded) != 900 || !slices.Contains(loaded, "7, \"quoted\"\nand a second line") {
		t.Errorf("%d failed, %d loaded, such as %q", len(failed), len(loaded), loaded[0])
	}
	if left := o.results(t, job.ID, bulkv2.Unprocessed, "Description"); len(left) != 0 {
		t.Errorf("%d unprocessed", len(left))
	}

	var listed []string
	for j, err := range o.Jobs(t.Context(), bulkv2.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, j.ID)
	}
	if diff := cmp.Diff([]string{job.ID}, listed); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	if err := o.Delete(t.Context(), job.ID); err != nil {
		t.Error(err)
	}
	if err := o.Delete(t.Context(), job.ID); err != nil {
		t.Errorf("a job that is gone: %v", err)
	}
	if _, err := o.Info(t.Context(), job.ID); !bulkv2.NotFound(err) {
		t.Errorf("got %v", err)
	}
}

func TestChangesOfStateInTheEmulator(t *testing.T) {
	t.Parallel()
	o := startOrg(t, emulator.Config{})
	job := o.load(t, contacts(10))
	if again, err := o.Close(t.Context(), job.ID); err != nil || again.State != bulkv2.JobComplete {
		t.Errorf("close of a complete job: %q, %v", again.State, err)
	}
	if still, err := o.Abort(t.Context(), job.ID); err == nil || still.State != bulkv2.JobComplete {
		t.Errorf("abort of a complete job: %q, %v", still.State, err)
	}
	open, err := o.Create(t.Context(), bulkv2.JobSpec{Object: "Contact", Operation: bulkv2.Upsert, ExternalIDField: "Id"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if j, err := o.Abort(t.Context(), open.ID); err != nil || j.State != bulkv2.Aborted {
			t.Errorf("abort: %q, %v", j.State, err)
		}
	}
	if _, err := o.Close(t.Context(), open.ID); err == nil {
		t.Error("an aborted job was closed")
	}
}

// TestTroubleInTheEmulator takes a job to its end through each kind of trouble that may pass unnoticed.
func TestTroubleInTheEmulator(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]emulator.Fault{
		"create is refused":         {Method: http.MethodPost, Path: "/jobs/ingest", Do: emulator.DoStatus, Status: 503},
		"create meets the limit":    {Method: http.MethodPost, Path: "/jobs/ingest", Do: emulator.DoStatus, Status: 403, Code: "REQUEST_LIMIT_EXCEEDED"},
		"upload is throttled":       {Method: http.MethodPut, Do: emulator.DoStatus, Status: 429, RetryAfter: 1},
		"upload meets no route":     {Method: http.MethodPut, Do: emulator.DoStatus, Status: 420},
		"session ends at create":    {Method: http.MethodPost, Path: "/jobs/ingest", Do: emulator.DoStatus, Status: 401},
		"session ends at upload":    {Method: http.MethodPut, Do: emulator.DoStatus, Status: 401},
		"close is lost":             {Method: http.MethodPatch, Do: emulator.DoCutBefore},
		"answer to close is lost":   {Method: http.MethodPatch, Do: emulator.DoCutAfter},
		"answer to close is cut":    {Method: http.MethodPatch, Do: emulator.DoCutBody, After: 20},
		"answer to close is short":  {Method: http.MethodPatch, Do: emulator.DoTruncate, After: 20},
		"close meets a 502":         {Method: http.MethodPatch, Do: emulator.DoStatus, Status: 502},
		"a poll is lost":            {Method: http.MethodGet, Path: "/jobs/ingest/", Do: emulator.DoCutBefore},
		"a poll meets a 500":        {Method: http.MethodGet, Path: "/jobs/ingest/", Do: emulator.DoStatus, Status: 500},
		"a poll is cut":             {Method: http.MethodGet, Path: "/jobs/ingest/", Do: emulator.DoCutBody, After: 20},
		"results are not available": {Path: "/failedresults", Do: emulator.DoStatus, Status: 502},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := startOrg(t, emulator.Config{})
			fault.On, fault.Times = emulator.OnRequest, 1
			o.fault(t, fault)
			job := o.load(t, contacts(20))
			if job.State != bulkv2.JobComplete || job.RecordsProcessed != 20 || len(o.results(t, job.ID, bulkv2.Refused, "Description")) != 2 {
				t.Errorf("got %+v", job)
			}
			if n := o.server.State().Records["Contact"]; n != 18 {
				t.Errorf("the org holds %d contacts, want 18", n)
			}
			if f := o.server.Faults(); len(f) != 1 || f[0].Struck != 1 {
				t.Errorf("the fault: %+v", f)
			}
		})
	}
}

func TestALostUploadInTheEmulatorIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]emulator.FaultDo{"before": emulator.DoCutBefore, "after": emulator.DoCutAfter, "silence": emulator.DoHang} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := startOrg(t, emulator.Config{})
			o.fault(t, emulator.Fault{On: emulator.OnRequest, Method: http.MethodPut, Do: do, Times: 1})
			job, err := o.Create(t.Context(), bulkv2.JobSpec{Object: "Contact", Operation: bulkv2.Insert})
			if err != nil {
				t.Fatal(err)
			}
			err = o.Upload(t.Context(), job.ID, contacts(10))
			var lost *bulkv2.NetError
			if !errors.As(err, &lost) || bulkv2.NothingAccepted(err) || bulkv2.Retryable(err) {
				t.Fatalf("got %v", err)
			}
			o.server.Release()
			if j, err := o.Abort(t.Context(), job.ID); err != nil || j.State != bulkv2.Aborted {
				t.Errorf("abort: %q, %v", j.State, err)
			}
			if n := o.server.State().Records["Contact"]; n != 0 {
				t.Errorf("the org holds %d contacts", n)
			}
		})
	}
}

func TestAJobThatFailsInTheEmulator(t *testing.T) {
	t.Parallel()
	o := startOrg(t, emulator.Config{})
	job := o.load(t, bulkv2.Bytes("LastName,Nonsense__c\nLovelace,x\n"))
	code, message := job.Failure()
	if job.State != bulkv2.Failed || code != "InvalidBatch" || message != "Field name not found : Nonsense__c" || job.RecordsProcessed != 0 {
		t.Errorf("got %+v", job)
	}
}

func TestADownloadCutShortInTheEmulatorIsAnError(t *testing.T) {
	t.Parallel()
	o := startOrg(t, emulator.Config{})
	job := o.load(t, contacts(1000))
	o.fault(t, emulator.Fault{On: emulator.OnRequest, Path: "/successfulresults", Do: emulator.DoCutBody, After: 5000, Times: 1})
	res, err := o.SuccessfulResults(t.Context(), job.ID)
	for err == nil && res.Next() {
	}
	if err == nil {
		err = errors.Join(res.Err(), res.Close())
	}
	if err == nil || !bulkv2.Retryable(err) {
		t.Errorf("got %v", err)
	}
	if n := len(o.results(t, job.ID, bulkv2.Successful, "Description")); n != 900 {
		t.Errorf("%d records when downloaded again, want 900", n)
	}
}
