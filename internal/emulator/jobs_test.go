package emulator_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/emulator"
)

// keys lists the keys of a JSON object in their order.
func keys(t *testing.T, raw []byte) []string {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	var list []string
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, key.(string))
		var value any
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

func TestJobShowsItsKeysStageByStage(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	short := strings.Fields("id operation object createdById createdDate systemModstamp state externalIdFieldName concurrencyMode contentType apiVersion")
	full := func(between ...string) []string {
		list := append(slices.Clone(short), "jobType")
		return append(append(list, between...), strings.Fields("retries totalProcessingTime apiActiveProcessingTime apexProcessingTime")...)
	}
	check := func(stage string, a answer, want []string) {
		t.Helper()
		if got := keys(t, a.body); !cmp.Equal(got, want) {
			t.Errorf("%s:\n%s", stage, cmp.Diff(want, got))
		}
	}
	created := o.json(http.MethodPost, "jobs/ingest/", upsertAccounts)
	check("created", created, append(slices.Clone(short), "contentUrl", "lineEnding", "columnDelimiter"))
	info := created.object()
	id := info["id"].(string)
	check("open", o.get("jobs/ingest/"+id), full("contentUrl", "lineEnding", "columnDelimiter"))
	if a := o.put(id, "Legacy_Id__c,Name\nA-1,Acme\n"); a.status != http.StatusCreated || len(a.body) != 0 {
		t.Errorf("put: %d %q", a.status, a.body)
	}
	check("uploaded", o.get("jobs/ingest/"+id+"/"), full("contentUrl", "lineEnding", "columnDelimiter", "numberRecordsProcessed", "numberRecordsFailed"))
	check("closed", o.patch(id, "UploadComplete"), short)
	o.wait(id)
	check("complete", o.get("jobs/ingest/"+id), full("lineEnding", "columnDelimiter", "numberRecordsProcessed", "numberRecordsFailed"))

	if !strings.HasPrefix(id, "750") || len(id) != 18 {
		t.Errorf("id %q", id)
	}
	if want := "services/data/v66.0/jobs/ingest/" + id + "/batches"; info["contentUrl"] != want {
		t.Errorf("contentUrl %q, want %q", info["contentUrl"], want)
	}
	if !bytes.Contains(created.body, []byte(`"apiVersion":66.0`)) {
		t.Errorf("apiVersion is not the number 66.0: %s", created.body)
	}
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$`).MatchString(info["createdDate"].(string)) {
		t.Errorf("createdDate %q", info["createdDate"])
	}
}

func TestCreateRefusals(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	for _, tc := range []struct{ name, spec, code, message string }{
		{"unknown object", `{"object":"Blah","operation":"insert"}`, "INVALIDJOB", "InvalidJob : Unable to find object: Blah"},
		{"no object", `{"operation":"insert"}`, "INVALIDJOB", "InvalidJob : Unable to find object: "},
		{"no operation", `{"object":"Account"}`, "API_ERROR", "Invalid value: '' supplied for property: 'operation'"},
		{"operation in capitals", `{"object":"Account","operation":"INSERT"}`, "API_ERROR", "Invalid value: 'INSERT' supplied for property: 'operation'"},
		{"content type", `{"object":"Account","operation":"insert","contentType":"XML"}`, "API_ERROR", "Invalid value: 'XML' supplied for property: 'contentType'"},
		{"line ending", `{"object":"Account","operation":"insert","lineEnding":"CR"}`, "API_ERROR", "Invalid value: 'CR' supplied for property: 'lineEnding'"},
		{"delimiter", `{"object":"Account","operation":"insert","columnDelimiter":","}`, "API_ERROR", "Invalid value: ',' supplied for property: 'columnDelimiter'"},
		{"no key", `{"object":"Account","operation":"upsert"}`, "INVALIDJOB", "InvalidJob : External ID was blank for Account. An External ID must be specified for upsert."},
		{"blank key", `{"object":"Account","operation":"upsert","externalIdFieldName":""}`, "INVALIDJOB", "InvalidJob : Field name provided,  does not match an External ID for Account"},
		{"key that finds nothing", `{"object":"Account","operation":"upsert","externalIdFieldName":"Name"}`, "INVALIDJOB", "InvalidJob : Field name provided, Name does not match an External ID for Account"},
		{"assignment rule", `{"object":"Account","operation":"insert","assignmentRuleId":"01Q000000000001"}`, "API_ERROR", "Invalid value: '01Q000000000001' supplied for property: 'assignmentRuleId'"},
		{"no JSON", `{"object":`, "JSON_PARSER_ERROR", "unexpected end of JSON input"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := o.json(http.MethodPost, "jobs/ingest", tc.spec)
			if code, message := a.refusal(); a.status != http.StatusBadRequest || code != tc.code || message != tc.message {
				t.Errorf("got %d %s: %s\nwant 400 %s: %s", a.status, code, message, tc.code, tc.message)
			}
		})
	}
	if a := o.do(http.MethodPost, "jobs/ingest", strings.NewReader(insertAccounts), "Content-Type", "text/plain"); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("text/plain: %d", a.status)
	}
	if a := o.json(http.MethodPost, "/services/data/v40.0/jobs/ingest", insertAccounts); a.status != http.StatusNotFound {
		t.Errorf("v40: %d", a.status)
	}
	if a := o.do(http.MethodPut, "jobs/ingest", nil); a.status != http.StatusMethodNotAllowed {
		t.Errorf("PUT on the list: %d", a.status)
	}
}

// TestStateRefusals walks through what each state refuses.
func TestStateRefusals(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{Faults: []emulator.Fault{{On: emulator.OnJob, Do: emulator.DoJobStick, Object: "Contact"}}})
	refused := func(what string, a answer, want string) {
		t.Helper()
		code, message := a.refusal()
		if got := fmt.Sprintf("%d %s: %s", a.status, code, message); got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	const path = "jobs/ingest/"
	open := o.create(insertAccounts)
	refused("delete an open job", o.do(http.MethodDelete, path+open, nil), "400 INVALIDJOBSTATE: Deleting a job in state Open is not allowed")
	refused("results of an open job", o.get(path+open+"/failedResults"), "400 INVALIDJOBSTATE: Results of a job in state Open are not available")
	refused("unknown state", o.patch(open, "Closed"), "400 API_ERROR: Invalid value: 'Closed' supplied for property: 'state'")
	if a := o.put(open, "Name\nAcme\n"); a.status != http.StatusCreated {
		t.Fatal(a.status)
	}
	//nolint:misspell // Salesforce's own spelling
	refused("second upload", o.put(open, "Name\nAcme\n"), "400 BULK_API_ERROR: Found multipe contents for job: <"+open[:15]+
		">, please 'Close' / 'Abort' / 'Delete' the current Job then create a new Job and make sure you only do 'PUT' once on a given Job.")

	stuck := o.create(insertContacts)
	o.put(stuck, "LastName\nDoe\n")
	o.patch(stuck, "UploadComplete")
	o.until(stuck, "InProgress")
	refused("upload to a closed job", o.put(stuck, "LastName\nRoe\n"), "400 INVALIDJOBSTATE: Uploading data to a job in state InProgress is not allowed")
	refused("delete while in progress", o.do(http.MethodDelete, path+stuck, nil), "400 INVALIDJOBSTATE: Deleting a job in state InProgress is not allowed")
	refused("close again", o.patch(stuck, "UploadComplete"), "400 INVALIDJOBSTATE: Closing already Completed Job not allowed")
	if a := o.patch(stuck, "Aborted"); a.status != http.StatusOK || a.object()["state"] != "Aborted" {
		t.Errorf("abort: %d %s", a.status, a.body)
	}
	refused("abort again", o.patch(stuck, "Aborted"), "400 INVALIDJOBSTATE: Aborting already Aborted Job not allowed")

	done := o.run(insertAccounts, "Name\nAcme\n")["id"].(string)
	refused("abort what is complete", o.patch(done, "Aborted"), "400 INVALIDJOBSTATE: Aborting already Completed Job not allowed")
	refused("close what is complete", o.patch(done, "UploadComplete"), "400 INVALIDJOBSTATE: Closing already Completed Job not allowed")
	if a := o.do(http.MethodDelete, path+done+"/", nil); a.status != http.StatusNoContent || len(a.body) != 0 {
		t.Errorf("delete: %d %q", a.status, a.body)
	}
	refused("deleted", o.get(path+done), "404 NOT_FOUND: The requested resource does not exist")
	if a := o.do(http.MethodPut, path+open+"/batches", strings.NewReader("x"), "Content-Type", "application/json"); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("content type of the upload: %d", a.status)
	}
}

func TestSecondPutCanBeRefusedLate(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{Modes: emulator.Modes{SecondPut: emulator.SecondPutFailsLate}})
	id := o.create(insertAccounts)
	for range 2 {
		if a := o.put(id, "Name\nAcme\n"); a.status != http.StatusCreated {
			t.Fatal(a.status)
		}
	}
	if code, _ := o.patch(id, "UploadComplete").refusal(); code != "INVALIDJOB" {
		t.Errorf("close: %s", code)
	}
}

// TestJobFailures holds what fails a whole job against its message.
func TestJobFailures(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	const crlf = `{"object":"Contact","operation":"insert","lineEnding":"CRLF"}`
	const task = `{"object":"Task","operation":"insert"}`
	for _, tc := range []struct{ name, spec, content, want string }{
		{"CRLF in an LF job", insertContacts, "LastName\r\nDoe\r\n", "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF"},
		{"CR inside quotes", insertContacts, "LastName\n\"Doe\rRoe\"\n", "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF"},
		{"LF in a CRLF job", crlf, "LastName\nDoe\n", "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is CRLF"},
		{"LF inside quotes of a CRLF job", crlf, "LastName\r\n\"Doe\nRoe\"\r\n", "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is CRLF"},
		{"unknown field", insertContacts, "LastName,Nickname\nDoe,Jo\n", "InvalidBatch : Field name not found : Nickname"},
		{"byte order mark", insertContacts, "\ufeffLastName\nDoe\n", "InvalidBatch : Field name not found : \ufeffLastName"},
		{"byte order mark before a quote", insertContacts, "\ufeff\"LastName\"\nDoe\n", "InvalidBatch : Failed to parse CSV. Found unescaped quote"},
		{"quote inside", insertContacts, "LastName\nDo\"e\n", "InvalidBatch : Failed to parse CSV. Found unescaped quote"},
		{"text after a quote", insertContacts, "LastName\n\"Do\"e\n", "InvalidBatch : Failed to parse CSV. Found unescaped quote"},
		{"open quote", insertContacts, "LastName\n\"Doe\n", "InvalidBatch : Failed to parse CSV. Found unescaped quote"},
		{"prefix where none belongs", insertContacts, "LastName,Account:Account.Legacy_Id__c\nDoe,A\n", "InvalidBatch : type is not needed for non polymorphic foreign key references: Account"},
		{"type and relationship mixed up", insertAccounts, "Name,Parent:Account.Legacy_Id__c\nX,A\n", "InvalidBatch : Unable to find relationship: Account"},
		{"prefix that is missing", task, "Subject,Who.Email\nCall,a@b.example\n", "InvalidBatch : type is needed for polymorphic foreign key references: Who"},
		{"unknown relationship", insertContacts, "LastName,Firm.Legacy_Id__c\nDoe,A\n", "InvalidBatch : Field name not found : Firm.Legacy_Id__c"},
		{"parent field that finds nothing", insertContacts, "LastName,Account.Name\nDoe,A\n", "InvalidBatch : Field name not found : Account.Name"},
		{"two levels", insertContacts, "LastName,Account.Owner.Username\nDoe,A\n", "InvalidBatch : Field name not found : Account.Owner.Username"},
		{"same column twice", insertContacts, "LastName,lastname\nDoe,Roe\n", "InvalidBatch : Duplicate field name found : lastname"},
		{"nothing", insertContacts, "", "InvalidBatch : Records not found"},
		{"long header", insertContacts, "LastName" + strings.Repeat(" ", 32_000) + "\nDoe\n", "ClientInputError : Header row exceeds the maximum of 32000 characters"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := *o
			o.tb = t
			info := o.run(tc.spec, tc.content)
			if info["state"] != "Failed" || info["errorMessage"] != tc.want {
				t.Errorf("%v: %q, want %q", info["state"], info["errorMessage"], tc.want)
			}
			if info["numberRecordsProcessed"] != 0.0 || info["numberRecordsFailed"] != 0.0 {
				t.Errorf("counters %v/%v, want 0/0", info["numberRecordsProcessed"], info["numberRecordsFailed"])
			}
		})
	}
	if n := o.count("SELECT COUNT() FROM Contact"); n != 0 {
		t.Errorf("%d contacts were saved", n)
	}
}

func TestCloseWithoutUploadFails(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	id := o.create(insertAccounts)
	o.patch(id, "UploadComplete")
	if info := o.wait(id); info["state"] != "Failed" || info["numberRecordsProcessed"] != 0.0 {
		t.Errorf("job %v", info)
	}
}

func TestResultsEchoTheHeaderAndQuoteEverything(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{Modes: emulator.Modes{KeepOrder: true}})
	id := o.run(insertAccounts, "\"Name\",website,NumberOfEmployees\n\"Say \"\"hi\"\"\",https://x.example,5\n")["id"].(string)
	record := o.query("SELECT Id FROM Account").object()["records"].([]any)[0].(map[string]any)["Id"].(string)
	for kind, want := range map[string]string{
		"successfulResults":  "\"sf__Id\",\"sf__Created\",\"Name\",website,NumberOfEmployees\n\"" + record + "\",\"true\",\"Say \"\"hi\"\"\",\"\",\"5\"\n",
		"failedResults":      "\"sf__Id\",\"sf__Error\",\"Name\",website,NumberOfEmployees\n",
		"unprocessedrecords": "\"Name\",website,NumberOfEmployees\n",
		"unprocessedRecords": "\"Name\",website,NumberOfEmployees\n",
	} {
		a := o.get("jobs/ingest/" + id + "/" + kind + "/")
		if string(a.body) != want || !strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") {
			t.Errorf("%s:\n got %q\nwant %q", kind, a.body, want)
		}
	}
	zipped := o.get("jobs/ingest/"+id+"/failedResults", "Accept-Encoding", "gzip")
	if zipped.header.Get("Content-Encoding") != "gzip" {
		t.Fatal("not compressed")
	}
	z, err := gzip.NewReader(bytes.NewReader(zipped.body))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); err != nil || !strings.HasPrefix(string(plain), `"sf__Id"`) {
		t.Errorf("compressed: %v %q", err, plain)
	}
}

func TestDelimitersAndLineEnds(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	for name, sign := range map[string]string{"COMMA": ",", "BACKQUOTE": "`", "CARET": "^", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"} {
		spec := `{"object":"Contact","operation":"insert","lineEnding":"CRLF","columnDelimiter":"` + name + `"}`
		content := strings.ReplaceAll("LastName|FirstName\r\n\"D|e\"|\"two\r\nlines\"\r\n", "|", sign)
		id := o.run(spec, content)["id"].(string)
		a := o.get("jobs/ingest/" + id + "/successfulResults")
		want := strings.ReplaceAll("\"true\"|\"D|e\"|\"two\r\nlines\"\r\n", "|", sign)
		if !strings.HasSuffix(string(a.body), want) {
			t.Errorf("%s: %q does not end in %q", name, a.body, want)
		}
	}
}

func TestMultipartCreatesUploadsAndCloses(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{Limits: emulator.Limits{MultipartChars: 1000}})
	send := func(content string) answer {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for _, p := range [][3]string{{"job", "application/json", insertAccounts}, {"content", "text/csv", content}} {
			part, err := w.CreatePart(textproto.MIMEHeader{
				"Content-Type":        {p[1]},
				"Content-Disposition": {`form-data; name="` + p[0] + `"; filename="` + p[0] + `"`},
			})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(part, p[2])
		}
		w.Close()
		return o.do(http.MethodPost, "jobs/ingest", &body, "Content-Type", w.FormDataContentType())
	}
	info := send("Name\nAcme\n").object()
	if info["state"] != "UploadComplete" || info["contentUrl"] != nil {
		t.Errorf("created %v", info)
	}
	if info = o.wait(info["id"].(string)); info["numberRecordsProcessed"] != 1.0 {
		t.Errorf("ended %v", info)
	}
	if code, _ := send("Name\n" + strings.Repeat("x", 1000)).refusal(); code != "CLIENTINPUTERROR" {
		t.Errorf("too long: %s", code)
	}
	if st := o.server.State(); st.Jobs["JobComplete"] != 1 || len(st.Jobs) != 1 {
		t.Errorf("jobs %v", st.Jobs)
	}
}

func TestUploadIsLimitedAfterBase64(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{Limits: emulator.Limits{ContentBytes: 400}})
	id := o.create(insertAccounts)
	if code, _ := o.put(id, "Name\n"+strings.Repeat("x", 296)).refusal(); code != "CLIENTINPUTERROR" {
		t.Errorf("301 bytes: %s", code)
	}
	if a := o.put(id, "Name\n"+strings.Repeat("x", 295)); a.status != http.StatusCreated {
		t.Errorf("300 bytes: %d", a.status)
	}
}

func TestCompressedUpload(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	id := o.create(insertAccounts)
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	_, _ = io.WriteString(z, "Name\nAcme\n")
	z.Close()
	if a := o.do(http.MethodPut, "jobs/ingest/"+id+"/batches", &body, "Content-Type", "text/csv", "Content-Encoding", "gzip"); a.status != http.StatusCreated {
		t.Fatal(a.status)
	}
	o.patch(id, "UploadComplete")
	if info := o.wait(id); info["numberRecordsProcessed"] != 1.0 {
		t.Errorf("job %v", info)
	}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	const n = 1005
	for range n {
		o.create(insertAccounts)
	}
	seen := map[string]bool{}
	pages := 0
	for path := "jobs/ingest?jobType=V2Ingest"; path != ""; pages++ {
		page := o.get(path).object()
		for _, r := range page["records"].([]any) {
			seen[r.(map[string]any)["id"].(string)] = true
		}
		path, _ = page["nextRecordsUrl"].(string)
		if (path == "") != page["done"].(bool) {
			t.Errorf("done is %v with %q", page["done"], path)
		}
	}
	if len(seen) != n || pages != 2 {
		t.Errorf("%d jobs on %d pages", len(seen), pages)
	}
}

func TestJobsAge(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{Session: 1000 * time.Hour})
	open := o.create(insertAccounts)
	done := o.run(insertAccounts, "Name\nAcme\n")["id"].(string)
	o.server.Advance(25 * time.Hour)
	if info := o.get("jobs/ingest/" + open).object(); info["state"] != "Failed" {
		t.Errorf("after a day the open job is %v", info["state"])
	}
	o.server.Advance(6 * 24 * time.Hour)
	if a := o.get("jobs/ingest/" + done); a.status != http.StatusNotFound {
		t.Errorf("after a week the finished job is %d", a.status)
	}
}

func TestBatchesCountAgainstTheDay(t *testing.T) {
	t.Parallel()
	for recorded, want := range map[bool][][]string{false: {}, true: {{"e"}}} {
		o := start(t, emulator.Config{
			BatchSize: 2, BatchParallel: 1, Limits: emulator.Limits{DailyBatches: 2},
			Modes: emulator.Modes{RecordBeyondQuota: recorded},
		})
		info := o.run(insertAccounts, "Name\na\nb\nc\nd\ne\n")
		if info["state"] != "Failed" || info["numberRecordsProcessed"] != 4.0 || !strings.HasPrefix(info["errorMessage"].(string), "ExceededQuota : ") {
			t.Errorf("job %v", info)
		}
		if _, rows := o.results(info["id"].(string), "unprocessedrecords"); !cmp.Equal(rows, want) {
			t.Error(cmp.Diff(want, rows))
		}
	}
}

func TestResultsAreShuffledTheSameWay(t *testing.T) {
	t.Parallel()
	var content strings.Builder
	content.WriteString("Legacy_Id__c,Name\n")
	for i := range 1000 {
		fmt.Fprintf(&content, "%d,n\n", i)
	}
	order := func(cfg emulator.Config) (list []string) {
		cfg.BatchSize = 300
		o := start(t, cfg)
		_, rows := o.results(o.run(upsertAccounts, content.String())["id"].(string), "successfulResults")
		for _, r := range rows {
			list = append(list, r[2])
		}
		return list
	}
	first, second := order(emulator.Config{Seed: 7}), order(emulator.Config{Seed: 7})
	if !cmp.Equal(first, second) {
		t.Error("the same seed gives another order")
	}
	if first[0] == "0" && first[1] == "1" && first[2] == "2" {
		t.Error("rows come in the order of the upload")
	}
	if kept := order(emulator.Config{Modes: emulator.Modes{KeepOrder: true}}); kept[0] != "0" || kept[999] != "999" {
		t.Error("KeepOrder does not keep the order")
	}
}
