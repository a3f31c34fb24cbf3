package bulkv2_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/bulkv2"
)

func page(done bool, next string, ids ...string) string {
	var records []string
	for _, id := range ids {
		records = append(records, `{"id":"`+id+`","state":"Open","object":"Account"}`)
	}
	locator := "null"
	if next != "" {
		locator = `"` + next + `"`
	}
	text := `{"done":false,"records":[` + strings.Join(records, ",") + `],"nextRecordsUrl":` + locator + `}`
	if done {
		text = strings.Replace(text, "false", "true", 1)
	}
	return text
}

func TestJobsFollowsThePages(t *testing.T) {
	t.Parallel()
	c, srv := serve(t,
		reply(200, page(false, "/services/data/v66.0/jobs/ingest?queryLocator=01g-1000", "750a", "750b")),
		reply(502, ""),
		reply(200, page(true, "", "750c")))
	var ids []string
	for job, err := range c.Jobs(t.Context(), bulkv2.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, job.ID)
	}
	if diff := cmp.Diff([]string{"750a", "750b", "750c"}, ids); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	second := "GET ingest?jobType=V2Ingest&queryLocator=01g-1000"
	if diff := cmp.Diff([]string{"GET ingest?jobType=V2Ingest", second, second}, srv.seen()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestJobsStopsWhenTheCallerDoes(t *testing.T) {
	t.Parallel()
	c, srv := serve(t, reply(200, page(false, "/x?queryLocator=2", "750a", "750b")))
	for _, err := range c.Jobs(t.Context(), bulkv2.ListOptions{JobType: "*"}) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if diff := cmp.Diff([]string{"GET ingest"}, srv.seen()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestJobsEndsWithAnError(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"the same page again": page(false, "/x?queryLocator=2", "750a"),
		"no locator":          page(false, "/x", "750a"),
		"no URL":              page(false, "://", "750a"),
	} {
		c, _ := serve(t, reply(200, answer))
		var last error
		n := 0
		for _, err := range c.Jobs(t.Context(), bulkv2.ListOptions{JobType: "Classic"}) {
			last = err
			n++
		}
		if last == nil || n > 3 {
			t.Errorf("%s: %v after %d", name, last, n)
		}
	}
	c, _ := serve(t, refuse(403, "API_DISABLED_FOR_ORG", "x"))
	for _, err := range c.Jobs(t.Context(), bulkv2.ListOptions{}) {
		if err == nil {
			t.Error("a refusal is no error")
		}
	}
}
