package run_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/internal/bulkv2"
	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/salesforce"
	"bulkhead/internal/spool"
	"bulkhead/internal/state"
)

// fork is the same source and state beside another org, with a spool of its own.
func (b *bundle) fork(t *testing.T, cfg emulator.Config) *bundle {
	t.Helper()
	f := *b
	var err error
	if f.server, err = emulator.Start(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.server.Close() })
	f.spoolDir = t.TempDir()
	if f.spool, err = spool.Open(spool.Config{Dir: f.spoolDir}); err != nil {
		t.Fatal(err)
	}
	f.config.Spool = f.spool
	f.login(t, f.server.URL())
	return &f
}

// login logs in at url and lets the bundle speak to the org there, impatiently.
func (b *bundle) login(t *testing.T, url string) {
	t.Helper()
	b.loginBy(t, url, nil)
}

// loginBy is login by a transport of one's own.
func (b *bundle) loginBy(t *testing.T, url string, transport http.RoundTripper) {
	t.Helper()
	var err error
	b.org, err = salesforce.Open(t.Context(), salesforce.Config{
		LoginURL: url, ClientID: emulator.DefaultClientID, ClientSecret: emulator.DefaultClientSecret, Timeout: answerTimeout, Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.config.Org = b.org
	b.config.Bulk, err = bulkv2.New(bulkv2.Config{
		HTTP: b.org.HTTPClient(), InstanceURL: b.org.InstanceURL(), APIVersion: b.org.APIVersion(),
		AnswerTimeout: answerTimeout, IdleTimeout: answerTimeout,
		Retry: bulkv2.RetryConfig{
			Base: time.Millisecond, Cap: 5 * time.Millisecond, LimitBase: time.Millisecond, LimitCap: 5 * time.Millisecond, MaxRetryAfter: 5 * time.Millisecond,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// answerTimeout is how long the org of these tests may be silent.
const answerTimeout = 400 * time.Millisecond

// cell is one run of the matrix: 60 rows in three jobs of two batches, three rows that the org refuses.
func cell(name string) string {
	return `name: ` + name + `
steps:
  - name: accounts
    object: Account
    operation: insert
    query: SELECT id, CASE WHEN id % 20 = 7 THEN '' ELSE name END AS name FROM people
    key: id
    fields:
      Legacy_Id__c: id
      Name: name
    chunk: { rows: 20, parallel: 2 }
`
}

// finish resumes a run, or starts it where none was recorded, until it ends.
func (b *bundle) finish(t *testing.T, engine *run.Engine, s *run.Summary, err error) *run.Summary {
	t.Helper()
	for range 5 {
		switch {
		case s == nil:
			s, err = engine.Run(t.Context(), run.Options{})
		case s.Unfinished:
			s, err = engine.Resume(t.Context(), s.ID)
		case errors.Is(err, run.ErrIncomplete) && s.Read == 0:
			s, err = engine.Run(t.Context(), run.Options{}) // nothing of it was cut
		default:
			return mustComplete(t, s, err, state.RunCompletedWithFailures)
		}
	}
	t.Fatalf("it never ended: %+v, %v", s, err)
	return nil
}

// mustHave checks that the org holds each record that the run says it loaded, once.
func (b *bundle) mustHave(t *testing.T, s *run.Summary) {
	t.Helper()
	ids := b.soql(t, "Legacy_Id__c", "FROM Account")
	slices.Sort(ids)
	if distinct := len(slices.Compact(slices.Clone(ids))); distinct != len(ids) || int64(distinct) != s.Loaded {
		t.Errorf("the org has %d records, %d different ones; the run says %s", len(ids), distinct, s.Counts)
	}
}

type request struct {
	name  string
	match emulator.Fault
	also  *emulator.Fault // what makes a run send such a request at all
}

func requests() []request {
	return []request{
		// The session ends in the middle of the load, and the renewal meets the fault.
		{name: "session", match: emulator.Fault{Method: "POST", Path: "/oauth2/token"}, also: &emulator.Fault{
			Method: "PUT", Path: "/batches", Skip: 1, Times: 1, Do: emulator.DoStatus, Status: http.StatusUnauthorized, Code: "INVALID_SESSION_ID",
		}},
		{name: "describe", match: emulator.Fault{Method: "GET", Path: "/sobjects/"}},
		{name: "create", match: emulator.Fault{Method: "POST", Path: "/jobs/ingest"}},
		{name: "upload", match: emulator.Fault{Method: "PUT", Path: "/batches"}},
		{name: "close", match: emulator.Fault{Method: "PATCH", Path: "/jobs/ingest"}},
		{name: "poll", match: emulator.Fault{Method: "GET", Path: "/jobs/ingest/"}},
		{name: "failed", match: emulator.Fault{Path: "failedResults"}},
		{name: "unprocessed", match: emulator.Fault{Path: "unprocessedrecords"}},
		// Only a job whose counters do not add up is settled record by record.
		{name: "successful", match: emulator.Fault{Path: "successfulResults"}, also: &emulator.Fault{On: emulator.OnJob, Do: emulator.DoLagCounters, After: 30, Times: 1}},
	}
}

type misfortune struct {
	name    string
	fault   emulator.Fault
	lasting bool // tried without end too
}

func misfortunes() []misfortune {
	html := map[string]string{"Content-Type": "text/html"}
	const page = "<html><body>Down for maintenance</body></html>"
	status := func(code int, f emulator.Fault) emulator.Fault {
		f.Do, f.Status = emulator.DoStatus, code
		return f
	}
	return []misfortune{
		{name: "reset before", fault: emulator.Fault{Do: emulator.DoCutBefore}, lasting: true},
		{name: "reset after", fault: emulator.Fault{Do: emulator.DoCutAfter}, lasting: true},
		{name: "reset in the middle", fault: emulator.Fault{Do: emulator.DoCutBody, After: 10}},
		{name: "truncated", fault: emulator.Fault{Do: emulator.DoTruncate, After: 10}},
		{name: "empty", fault: emulator.Fault{Do: emulator.DoTruncate}},
		{name: "silence", fault: emulator.Fault{Do: emulator.DoHang, Times: 1}},
		{name: "500", fault: status(http.StatusInternalServerError, emulator.Fault{}), lasting: true},
		{name: "502 page", fault: status(http.StatusBadGateway, emulator.Fault{Body: page, Headers: html})},
		{name: "503", fault: status(http.StatusServiceUnavailable, emulator.Fault{}), lasting: true},
		{name: "503 retry-after", fault: status(http.StatusServiceUnavailable, emulator.Fault{RetryAfter: 1})},
		{name: "429", fault: status(http.StatusTooManyRequests, emulator.Fault{RetryAfter: 1, Code: "REQUEST_LIMIT_EXCEEDED"})},
		{name: "401", fault: status(http.StatusUnauthorized, emulator.Fault{Code: "INVALID_SESSION_ID", Times: 1}), lasting: true},
		{name: "403 limit", fault: status(http.StatusForbidden, emulator.Fault{Code: "REQUEST_LIMIT_EXCEEDED", Message: "TotalRequests Limit exceeded."}), lasting: true},
		{name: "page for JSON", fault: status(http.StatusOK, emulator.Fault{Body: page, Headers: html})},
	}
}

// TestEveryRequestSurvivesEveryMisfortune runs whole loads of inserts, which nothing but our own care
// keeps from being doubled: each kind of request is struck by each misfortune, twice and without end. A
// passing one is outlived by the run itself; a lasting one ends the run, and the resume finishes it.
func TestEveryRequestSurvivesEveryMisfortune(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 60)
	const stride = 2 // every cell is tried by ETL_TEST_EVERY=1
	for i, request := range requests() {
		for j, misfortune := range misfortunes() {
			// Neighbours take turns, so that each request meets half of the misfortunes and the other way round.
			if (i+j)%every(stride) != 0 {
				continue
			}
			name := fmt.Sprintf("cell-%d-%d", i, j)
			t.Run(request.name+" "+misfortune.name, func(t *testing.T) {
				t.Parallel()
				b.passing(t, name, request, misfortune.fault)
			})
			// Before anything is sent a lasting trouble is just an error; it takes the REST client's own
			// patience to get there.
			if misfortune.lasting && request.name != "describe" {
				t.Run(request.name+" "+misfortune.name+" lasting", func(t *testing.T) {
					t.Parallel()
					b.lasting(t, name+"-lasting", request, misfortune.fault)
				})
			}
		}
	}
}

// strike starts an org in which one job ends half way, and the request meets the fault.
func (b *bundle) strike(t *testing.T, r request, f emulator.Fault, times int) (*bundle, emulator.Fault) {
	t.Helper()
	c := b.fork(t, emulator.Config{BatchSize: 10})
	c.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobFail, Batches: 1, Skip: 1, Times: 1, Message: "InternalServerError : something broke"})
	if r.also != nil {
		c.fault(t, *r.also)
	}
	f.Method, f.Path = r.match.Method, r.match.Path
	if times == 0 || f.Times == 0 {
		f.Times = times
	}
	return c, c.fault(t, f)
}

func (b *bundle) passing(t *testing.T, name string, r request, f emulator.Fault) {
	c, struck := b.strike(t, r, f, 2)
	s, err := c.engine(t, cell(name)).Run(t.Context(), run.Options{})
	c.server.Release()
	if c.struck(struck.ID) == 0 {
		t.Error("nothing was struck")
	}
	if r.name == "session" && err != nil {
		// A login that failed is the answer to everybody for a second, which is longer than these calls are
		// patient: a user's are not that hasty.
		c.server.RemoveFault(struck.ID)
		c.login(t, c.server.URL())
		s, err = c.finish(t, c.engine(t, cell(name)), s, err), nil
	}
	c.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
	c.mustHave(t, s)
}

func (b *bundle) lasting(t *testing.T, name string, r request, f emulator.Fault) {
	c, struck := b.strike(t, r, f, 0)
	// Polls go on for as long as the pipeline allows.
	impatient := parse(t, cell(name))
	impatient.Steps[0].JobTimeout = 50 * time.Millisecond
	s, err := run.New(impatient, c.config).Run(t.Context(), run.Options{})
	// A close is settled by asking the job, and an upload refused for its session is sent by another job.
	if err == nil && r.name != "close" && r.name != "session" {
		t.Fatalf("it completed all the same: %+v", s.Run)
	}
	if err != nil && s != nil && (s.State == state.RunInconsistent || s.State == state.RunSucceeded) {
		t.Fatalf("the run is %s: %s", s.State, s.Error)
	}
	if err != nil && s != nil && !strings.Contains(s.Error, "step") {
		t.Errorf("it does not say where it ended: %s", s.Error)
	}
	c.server.RemoveFault(struck.ID)
	c.login(t, c.server.URL())
	s = c.finish(t, c.engine(t, cell(name)), s, err)
	c.mustBalance(t, s)
	c.mustHave(t, s)
}
