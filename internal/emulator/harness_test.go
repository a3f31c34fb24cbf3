package emulator_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"bulkhead/internal/emulator"
)

// org is a running emulator and a client that is logged in to it.
type org struct {
	tb     testing.TB
	server *emulator.Server
	token  string
	client *http.Client
}

// start runs an emulator for one test.
func start(tb testing.TB, cfg emulator.Config) *org {
	tb.Helper()
	server, err := emulator.Start(context.Background(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			tb.Error(err)
		}
	})
	o := &org{tb: tb, server: server, client: &http.Client{Transport: transport}}
	o.login()
	return o
}

func (o *org) login() {
	o.tb.Helper()
	a := o.form("/services/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"emulator"}, "client_secret": {"emulator"},
	})
	if a.status == http.StatusOK {
		o.token = a.object()["access_token"].(string)
	}
}

// answer is what came back.
type answer struct {
	tb     testing.TB
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
}

func (a answer) object() map[string]any {
	a.tb.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.tb.Fatalf("%v in %q", err, a.body)
	}
	return v
}

// code is "status errorCode: message" of a refusal.
func (a answer) refusal() (code, message string) {
	a.tb.Helper()
	var list []struct{ ErrorCode, Message string }
	if err := json.Unmarshal(a.body, &list); err != nil || len(list) != 1 {
		a.tb.Fatalf("no refusal: %d %q", a.status, a.body)
	}
	return list[0].ErrorCode, list[0].Message
}

// do sends a request and reads the whole answer. headers are name, value, ...
func (o *org) do(method, path string, body io.Reader, headers ...string) answer {
	o.tb.Helper()
	a, err := o.try(method, path, body, headers...)
	if err != nil {
		o.tb.Fatal(err)
	}
	return a
}

func (o *org) try(method, path string, body io.Reader, headers ...string) (answer, error) {
	if !strings.HasPrefix(path, "/") {
		path = "/services/data/v66.0/" + path
	}
	req, err := http.NewRequestWithContext(o.tb.Context(), method, o.server.URL()+path, body)
	if err != nil {
		return answer{}, err
	}
	if o.token != "" {
		req.Header.Set("Authorization", "Bearer "+o.token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := o.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return answer{tb: o.tb, status: resp.StatusCode, header: resp.Header, body: raw, err: err}, nil
}

func (o *org) get(path string, headers ...string) answer {
	o.tb.Helper()
	return o.do(http.MethodGet, path, nil, headers...)
}

func (o *org) json(method, path, body string) answer {
	o.tb.Helper()
	return o.do(method, path, strings.NewReader(body), "Content-Type", "application/json")
}

func (o *org) form(path string, values url.Values) answer {
	o.tb.Helper()
	return o.do(http.MethodPost, path, strings.NewReader(values.Encode()), "Content-Type", "application/x-www-form-urlencoded")
}

// create makes a job and returns its id.
func (o *org) create(spec string) string {
	o.tb.Helper()
	a := o.json(http.MethodPost, "jobs/ingest", spec)
	if a.status != http.StatusOK {
		o.tb.Fatalf("create: %d %s", a.status, a.body)
	}
	return a.object()["id"].(string)
}

func (o *org) put(id, content string) answer {
	o.tb.Helper()
	return o.do(http.MethodPut, "jobs/ingest/"+id+"/batches", strings.NewReader(content), "Content-Type", "text/csv")
}

func (o *org) patch(id, state string) answer {
	o.tb.Helper()
	return o.json(http.MethodPatch, "jobs/ingest/"+id, `{"state":"`+state+`"}`)
}

// run takes a job from its specification to its end.
func (o *org) run(spec, content string) map[string]any {
	o.tb.Helper()
	id := o.create(spec)
	if a := o.put(id, content); a.status != http.StatusCreated {
		o.tb.Fatalf("put: %d %s", a.status, a.body)
	}
	if a := o.patch(id, "UploadComplete"); a.status != http.StatusOK {
		o.tb.Fatalf("close: %d %s", a.status, a.body)
	}
	return o.wait(id)
}

// wait polls until the job has ended.
func (o *org) wait(id string) map[string]any {
	o.tb.Helper()
	return o.until(id, "JobComplete", "Failed", "Aborted")
}

// until polls until the job is in one of the states.
func (o *org) until(id string, states ...string) map[string]any {
	o.tb.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		info := o.get("jobs/ingest/" + id).object()
		for _, s := range states {
			if info["state"] == s {
				return info
			}
		}
		select {
		case <-ticker.C:
		case <-o.tb.Context().Done():
			o.tb.Fatal("job never ended")
		}
	}
}

// results reads one of a job's results: header and rows.
func (o *org) results(id, kind string) (header []string, rows [][]string) {
	o.tb.Helper()
	a := o.get("jobs/ingest/" + id + "/" + kind)
	if a.status != http.StatusOK {
		o.tb.Fatalf("%s: %d %s", kind, a.status, a.body)
	}
	all, err := csv.NewReader(bytes.NewReader(a.body)).ReadAll()
	if err != nil {
		o.tb.Fatalf("%s: %v in %q", kind, err, a.body)
	}
	return all[0], all[1:]
}

// one runs a job of one row and returns its sf__Error, or "" if it was saved.
func (o *org) one(spec, content string) string {
	o.tb.Helper()
	info := o.run(spec, content)
	if info["state"] != "JobComplete" {
		o.tb.Fatalf("job %v: %v", info["state"], info["errorMessage"])
	}
	_, rows := o.results(info["id"].(string), "failedResults")
	if len(rows) == 0 {
		return ""
	}
	return rows[0][1]
}

func (o *org) query(soql string) answer {
	o.tb.Helper()
	return o.get("query?q=" + url.QueryEscape(soql))
}

// count answers a SELECT COUNT().
func (o *org) count(soql string) int {
	o.tb.Helper()
	a := o.query(soql)
	if a.status != http.StatusOK {
		o.tb.Fatalf("%s: %d %s", soql, a.status, a.body)
	}
	return int(a.object()["totalSize"].(float64))
}
