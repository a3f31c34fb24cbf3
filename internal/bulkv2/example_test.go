package bulkv2_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"bulkhead/internal/bulkv2"
)

// exampleOrg is a server that plays one job of three records, one of which it refuses.
func exampleOrg() *httptest.Server {
	const job = `{"id":"7508d00000Xy1zAAAR","object":"Contact","operation":"upsert","state":%q,"numberRecordsProcessed":3,"numberRecordsFailed":1}`
	mux := http.NewServeMux()
	answer := func(pattern string, status int, body string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
	const root = "/services/data/v66.0/jobs/ingest"
	answer("POST "+root, 200, fmt.Sprintf(job, "Open"))
	answer("PUT "+root+"/{id}/batches", 201, "")
	answer("PATCH "+root+"/{id}", 200, fmt.Sprintf(job, "UploadComplete"))
	answer("GET "+root+"/{id}", 200, fmt.Sprintf(job, "JobComplete"))
	answer("GET "+root+"/{id}/failedResults", 200,
		"\"sf__Id\",\"sf__Error\",Legacy_Id__c,LastName\n"+
			"\"\",\"REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --\",\"2\",\"\"\n")
	return httptest.NewServer(mux)
}

// A job from beginning to end: create, upload, close, wait, and read what was refused.
func Example() {
	org := exampleOrg()
	defer org.Close()
	ctx := context.Background()
	client, err := bulkv2.New(bulkv2.Config{
		HTTP:        org.Client(), // in earnest: a client that adds the session, such as x/oauth2 makes
		InstanceURL: org.URL,
		APIVersion:  "66.0",
	})
	if err != nil {
		log.Fatal(err)
	}

	job, err := client.Create(ctx, bulkv2.JobSpec{Object: "Contact", Operation: bulkv2.Upsert, ExternalIDField: "Legacy_Id__c"})
	if err != nil {
		log.Fatal(err)
	}
	csv := bulkv2.Bytes("Legacy_Id__c,LastName\n1,Lovelace\n2,\n3,Hopper\n")
	if err := client.Upload(ctx, job.ID, csv); err != nil {
		log.Fatal(err)
	}
	if _, err := client.Close(ctx, job.ID); err != nil {
		log.Fatal(err)
	}
	job, err = client.Wait(ctx, job.ID, bulkv2.WaitOptions{Rows: 3, Limit: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %d processed, %d failed\n", job.State, job.RecordsProcessed, job.RecordsFailed)

	failed, err := client.FailedResults(ctx, job.ID)
	if err != nil {
		log.Fatal(err)
	}
	defer failed.Close()
	key, reason := failed.Column("Legacy_Id__c"), failed.Column(bulkv2.ColumnError)
	for failed.Next() {
		e := bulkv2.ParseRecordError(failed.Record()[reason])
		fmt.Printf("record %s: %s: %s\n", failed.Record()[key], e.Code, e.Message)
	}
	if err := failed.Err(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// JobComplete: 3 processed, 1 failed
	// record 2: REQUIRED_FIELD_MISSING: Required fields are missing: [LastName]
}

// After a failed upload the caller asks one question: can anything have arrived?
func ExampleNothingAccepted() {
	org := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer org.Close()
	client, err := bulkv2.New(bulkv2.Config{HTTP: org.Client(), InstanceURL: org.URL})
	if err != nil {
		log.Fatal(err)
	}

	err = client.Upload(context.Background(), "7508d00000Xy1zAAAR", bulkv2.Bytes("Name\nAcme\n"))
	switch {
	case err == nil:
		fmt.Println("uploaded")
	case bulkv2.NothingAccepted(err):
		fmt.Println("upload it again, into the same job")
	default:
		fmt.Println("abort the job, see that it is Aborted, and create another")
	}
	// Output: abort the job, see that it is Aborted, and create another
}

// Running out of patience is no failure of the job, which goes on.
func ExampleClient_Wait() {
	org := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"id":"7508d00000Xy1zAAAR","state":"InProgress","numberRecordsProcessed":20000,"numberRecordsFailed":0}`)
	}))
	defer org.Close()
	client, err := bulkv2.New(bulkv2.Config{HTTP: org.Client(), InstanceURL: org.URL})
	if err != nil {
		log.Fatal(err)
	}

	_, err = client.Wait(context.Background(), "7508d00000Xy1zAAAR", bulkv2.WaitOptions{Limit: time.Millisecond})
	var still *bulkv2.StillRunningError
	if errors.As(err, &still) {
		fmt.Printf("%s, %d records so far\n", still.Job.State, still.Job.RecordsProcessed)
	}
	// Output: InProgress, 20000 records so far
}

// Results that were saved to a file are read in the same way.
func ExampleReadResults() {
	saved := strings.NewReader("\"sf__Id\",\"sf__Created\",Name\n\"0018d00000AbCdEAAV\",\"true\",\"Acme \"\"Blue\"\"\"\n")
	results := bulkv2.ReadResults(saved, bulkv2.ResultsOptions{})
	for results.Next() {
		fmt.Println(results.Record()[0], results.Record()[2])
	}
	if err := results.Err(); err != nil {
		log.Fatal(err)
	}
	// Output: 0018d00000AbCdEAAV Acme "Blue"
}
