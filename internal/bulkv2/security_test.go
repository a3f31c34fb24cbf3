package bulkv2_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"bulkhead/internal/bulkv2"
)

// other is a host that no request should reach.
func other(t *testing.T) (address string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(srv.Close)
	return srv.URL, asked
}

// TestAddressesInAnswersAreNotFollowed: only what the client makes itself from the job's id is asked for.
func TestAddressesInAnswersAreNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere, asked := other(t)
	created := `{"id":"` + jobID + `","state":"Open","contentUrl":"` + elsewhere + `/batches"}`
	list := `{"done":false,"records":[],"nextRecordsUrl":"` + elsewhere + `/jobs/ingest?queryLocator=2"}`
	c, srv := serve(t, reply(200, created), reply(201, ""), reply(200, list), reply(200, `{"done":true,"records":[]}`))
	job, err := c.Create(t.Context(), bulkv2.JobSpec{Object: "Account", Operation: bulkv2.Insert})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Upload(t.Context(), job.ID, bulkv2.Bytes("Name\nA\n")); err != nil {
		t.Fatal(err)
	}
	for _, err := range c.Jobs(t.Context(), bulkv2.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(srv.seen(), ", "); got != "POST ingest, PUT batches, GET ingest?jobType=V2Ingest, GET ingest?jobType=V2Ingest&queryLocator=2" {
		t.Errorf("the org was asked %s", got)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere, asked := other(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		c, _ := serve(t, reply(status, "", "Location", elsewhere+"/services"))
		var api *bulkv2.APIError
		if err := c.Upload(t.Context(), jobID, bulkv2.Bytes("Name\nA\n")); !errors.As(err, &api) || api.StatusCode != status {
			t.Errorf("%d: upload: got %v", status, err)
		}
		if _, err := c.FailedResults(t.Context(), jobID); !errors.As(err, &api) {
			t.Errorf("%d: results: got %v", status, err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}
}

// TestJobIDsStayIDs: an id comes from the command line, too.
func TestJobIDsStayIDs(t *testing.T) {
	t.Parallel()
	c, srv := serve(t, reply(200, "{}"))
	for _, id := range []string{"", "..", "../../sobjects", jobID + "/../x", jobID + "?x", jobID + "%2f", "750'--", "750\r\nX: y"} {
		var input *bulkv2.InputError
		if _, err := c.Info(t.Context(), id); !errors.As(err, &input) {
			t.Errorf("info %q: got %v", id, err)
		}
		if err := c.Delete(t.Context(), id); !errors.As(err, &input) {
			t.Errorf("delete %q: got %v", id, err)
		}
		if _, err := c.Results(t.Context(), id, bulkv2.Refused, bulkv2.ResultsOptions{}); !errors.As(err, &input) {
			t.Errorf("results %q: got %v", id, err)
		}
	}
	if seen := srv.seen(); len(seen) != 0 {
		t.Errorf("the org was asked %q", seen)
	}
}
