package bulkv2_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/bulkv2"
)

const badMessagePage = `<h1>Bad Message 400</h1><pre>reason: Illegal character VCHAR=','</pre>`

// TestAnswersAreJudged goes through the refusals that are known of the API, once for a call that may be repeated and
// once for Create.
func TestAnswersAreJudged(t *testing.T) {
	t.Parallel()
	page := func(status int, body string) http.HandlerFunc {
		return reply(status, body, "Content-Type", "text/html;charset=utf-8")
	}
	for _, tt := range []struct {
		name          string
		answer        http.HandlerFunc
		status        int
		code, message string
		passing       bool // an Info is repeated
		refused       bool // certain that nothing happened; what is passing too is repeated for Create
	}{
		{"bad state", refuse(400, "INVALIDJOBSTATE", "x"), 400, "INVALIDJOBSTATE", "x", false, true},
		{"second content", refuse(400, "INVALIDJOB", "x"), 400, "INVALIDJOB", "x", false, true},
		{"object without bulk", refuse(400, "INVALIDENTITY", "Entity 'X' is not supported by the Bulk API."), 400, "INVALIDENTITY", "Entity 'X' is not supported by the Bulk API.", false, true},
		{"bad message page", page(400, badMessagePage), 400, "", "Bad Message 400 reason: Illegal character VCHAR=','", false, true},
		{"session", refuse(401, "INVALID_SESSION_ID", "Session expired or invalid"), 401, "INVALID_SESSION_ID", "Session expired or invalid", false, true},
		{"request limit", refuse(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), 403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", true, true},
		{"api disabled", refuse(403, "API_DISABLED_FOR_ORG", "x"), 403, "API_DISABLED_FOR_ORG", "x", false, true},
		{"not found", refuse(404, "NOT_FOUND", "The requested resource does not exist"), 404, "NOT_FOUND", "The requested resource does not exist", false, true},
		{"method", refuse(405, "METHODNOTALLOWED", "x"), 405, "METHODNOTALLOWED", "x", false, true},
		{"request timeout", reply(408, ""), 408, "", "", true, false},
		{"retired version", refuse(410, "UNSUPPORTED_API_VERSION", "x"), 410, "UNSUPPORTED_API_VERSION", "x", false, true},
		{"no route", page(420, "<html><head><title>x</title></head><body>No route</body></html>"), 420, "", "No route", true, true},
		{"too many", reply(429, ""), 429, "", "", true, true},
		{"bare object", reply(400, `{"message":"m","errorCode":"JSON_PARSER_ERROR","fields":["state"]}`), 400, "JSON_PARSER_ERROR", "m", false, true},
		{"oauth form", reply(400, `{"error":"invalid_grant","error_description":"d"}`), 400, "invalid_grant", "d", false, true},
		{"two errors", reply(400, `[{"errorCode":"A","message":"x"},{"errorCode":"B","message":"y"}]`), 400, "A", "x; y", false, true},
		{"server error", refuse(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred."), 500, "UNKNOWN_EXCEPTION", "An unexpected error occurred.", true, false},
		{"empty server error", reply(500, ""), 500, "", "", true, false},
		{"bad gateway", page(502, "<html>"), 502, "", "", true, false},
		{"unavailable", refuse(503, "SERVER_UNAVAILABLE", "Service unavailable"), 503, "SERVER_UNAVAILABLE", "Service unavailable", true, true},
		{"unavailable page", page(503, "down"), 503, "", "down", true, false},
		{"gateway timeout", reply(504, ""), 504, "", "", true, false},
		{"not implemented", reply(501, ""), 501, "", "", false, false},
		{"cut error", cut(503, `[{"errorCode"`), 503, "", `[{"errorCode"`, true, false},
		{"NUL in a message", reply(400, `[{"errorCode":"ODD","message":"a\u0000b"}]`), 400, "ODD", "a\uFFFDb", false, true},
		{"NUL in a page", reply(400, "a\x00b"), 400, "", "a\uFFFDb", false, true},
		{"redirect with a session", reply(302, "", "Location", "https://u:p@elsewhere.example/front?sid=00D!x#y"), 302, "", `redirected to "https://elsewhere.example/front", which is not followed: check the instance URL`, false, true},
		{"redirect", reply(302, "", "Location", "https://elsewhere.example/"), 302, "", `redirected to "https://elsewhere.example/", which is not followed: check the instance URL`, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, srv := serve(t, tt.answer)
			_, err := c.Info(t.Context(), jobID)
			var api *bulkv2.APIError
			if !errors.As(err, &api) {
				t.Fatalf("got %v, want an APIError", err)
			}
			got := []any{api.StatusCode, api.Code, api.Message, bulkv2.Retryable(err), bulkv2.NothingAccepted(err), len(srv.seen())}
			want := []any{tt.status, tt.code, tt.message, tt.passing, tt.refused, tries(tt.passing)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("info (-want +got):\n%s", diff)
			}

			c, srv = serve(t, tt.answer)
			_, err = c.Create(t.Context(), bulkv2.JobSpec{Object: "Account", Operation: bulkv2.Insert})
			got = []any{bulkv2.Retryable(err), bulkv2.NothingAccepted(err), len(srv.seen())}
			want = []any{tt.passing && tt.refused, tt.refused, tries(tt.passing && tt.refused)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("create (-want +got):\n%s", diff)
			}
		})
	}
}

func tries(repeated bool) int {
	if repeated {
		return 3
	}
	return 1
}

func TestAQuotaOfTheDayIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	c, srv := serve(t, refuse(400, "EXCEEDEDQUOTA", "x"))
	_, err := c.Create(t.Context(), bulkv2.JobSpec{Object: "Account", Operation: bulkv2.Insert})
	if !bulkv2.LimitReached(err) || !bulkv2.Retryable(err) || !bulkv2.NothingAccepted(err) || len(srv.seen()) != 1 {
		t.Errorf("got %v after %d requests", err, len(srv.seen()))
	}
}

// TestLostAnswers breaks the connection after the request has arrived, for each call.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]http.HandlerFunc{
		"reset":           reset,
		"cut short":       cut(200, `{"id":"`),
		"empty":           reply(200, ""),
		"page of HTML":    reply(200, "<html>down</html>", "Content-Type", "text/html"),
		"no JSON":         reply(200, "down"),
		"no id":           reply(200, `{"state":"Open"}`),
		"no state":        reply(200, `{"id":"`+jobID+`"}`),
		"odd id":          reply(200, `{"id":"../x","state":"Open"}`),
		"another status":  reply(206, `{}`),
		"id of a wrong t": reply(200, `{"id":7,"state":"Open"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, srv := serve(t, broken)
			_, err := c.Create(t.Context(), bulkv2.JobSpec{Object: "Account", Operation: bulkv2.Insert})
			if err == nil || bulkv2.NothingAccepted(err) || bulkv2.Retryable(err) || len(srv.seen()) != 1 {
				t.Errorf("create: %v after %d requests, want one of unknown outcome", err, len(srv.seen()))
			}

			c, srv = serve(t, broken)
			if _, err = c.Info(t.Context(), jobID); err == nil || !bulkv2.Retryable(err) || len(srv.seen()) != 3 {
				t.Errorf("info: %v after %d requests, want three", err, len(srv.seen()))
			}
		})
	}
	t.Run("upload", func(t *testing.T) {
		t.Parallel()
		c, srv := serve(t, reset)
		err := c.Upload(t.Context(), jobID, bulkv2.Bytes("Name\nx\n"))
		var lost *bulkv2.NetError
		if !errors.As(err, &lost) || !lost.Sent || bulkv2.NothingAccepted(err) || bulkv2.Retryable(err) || len(srv.seen()) != 1 {
			t.Errorf("got %v after %d requests, want one of unknown outcome", err, len(srv.seen()))
		}
	})
}

func TestANewJobThatIsNotOpenIsNoAnswer(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, jobIn("JobComplete"))
	_, err := c.Create(t.Context(), bulkv2.JobSpec{Object: "Account", Operation: bulkv2.Insert})
	if err == nil || bulkv2.NothingAccepted(err) {
		t.Errorf("got %v, want an error of unknown outcome", err)
	}
}

func TestAnAnswerAboutAnotherJobIsNoAnswer(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, jobIn("Open"))
	if _, err := c.Info(t.Context(), "7508d00000Other"); err == nil || !strings.Contains(err.Error(), "another job") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Info(t.Context(), jobID[:15]); err != nil {
		t.Errorf("the same id in 15 characters: %v", err)
	}
}

func TestNoConnectionMeansNothingAcceptedAndIsRepeatedForAnyCall(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(reply(500, ""))
	srv.Close() // its port refuses connections now
	var events []bulkv2.Event
	c := newClient(t, bulkv2.Config{
		HTTP: &http.Client{Transport: &http.Transport{}}, InstanceURL: srv.URL, Retry: fastRetry(),
		Observe: func(e bulkv2.Event) { events = append(events, e) },
	})
	err := c.Upload(t.Context(), jobID, bulkv2.Bytes("Name\nx\n"))
	var lost *bulkv2.NetError
	if !errors.As(err, &lost) || lost.Sent || !bulkv2.NothingAccepted(err) || !bulkv2.Retryable(err) || len(events) != 3 {
		t.Errorf("got %v after %d attempts", err, len(events))
	}
	if !strings.Contains(err.Error(), "(attempt 3)") {
		t.Errorf("%q does not tell how often it was tried", err)
	}
}

// opinionated is an error as a logged-in client would return it.
type opinionated struct{ retryable bool }

func (opinionated) Error() string         { return "log in: no" }
func (o opinionated) Retryable() bool     { return o.retryable }
func (opinionated) NothingAccepted() bool { return true }

func TestErrorsOfTheHTTPClientSpeakForThemselves(t *testing.T) {
	t.Parallel()
	for _, retryable := range []bool{true, false} {
		calls := 0
		c := newClient(t, bulkv2.Config{InstanceURL: "https://org.example", Retry: fastRetry(), HTTP: &http.Client{
			Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				calls++
				return nil, opinionated{retryable}
			}),
		}})
		err := c.Upload(t.Context(), jobID, bulkv2.Bytes("Name\nx\n"))
		if bulkv2.Retryable(err) != retryable || !bulkv2.NothingAccepted(err) || calls != tries(retryable) {
			t.Errorf("retryable %v: got %v after %d calls", retryable, err, calls)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAnUnknownTransportIsNotTrustedToHaveSentNothing(t *testing.T) {
	t.Parallel()
	for err, nothing := range map[error]bool{
		errors.New("broken"): false,
		&net.OpError{Op: "dial", Err: errors.New("refused")}:    true,
		&net.OpError{Op: "read", Err: errors.New("reset")}:      false,
		&http.MaxBytesError{}:                                   false,
		opinionated{}:                                           true,
		context.Canceled:                                        false,
		&net.DNSError{Err: "no such host", Name: "org.example"}: false,
	} {
		c := newClient(t, bulkv2.Config{InstanceURL: "https://org.example", Retry: fastRetry(), HTTP: &http.Client{
			Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, err }),
		}})
		if got := c.Upload(t.Context(), jobID, bulkv2.Bytes("Name\n")); bulkv2.NothingAccepted(got) != nothing {
			t.Errorf("%v: NothingAccepted = %v, want %v", err, !nothing, nothing)
		}
	}
}

func TestACancelledCallIsNotRetryable(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, srv := serve(t, reply(201, ""))
	err := c.Upload(ctx, jobID, bulkv2.Bytes("Name\nx\n"))
	if !errors.Is(err, context.Canceled) || bulkv2.Retryable(err) || !bulkv2.NothingAccepted(err) || len(srv.seen()) != 0 {
		t.Errorf("got %v after %d requests", err, len(srv.seen()))
	}
}

func FuzzErrorBody(f *testing.F) {
	f.Add(400, []byte(`[{"errorCode":"INVALIDJOB","message":"x","fields":["a"]}]`))
	f.Add(400, []byte(badMessagePage))
	f.Add(502, []byte("<html><script>x"))
	f.Add(500, []byte(`[{"errorCode":`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 400 || status > 599 {
			t.Skip()
		}
		c := newClient(t, bulkv2.Config{InstanceURL: "https://org.example", Retry: bulkv2.RetryConfig{MaxTries: 1}, HTTP: &http.Client{
			Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				rec := httptest.NewRecorder()
				rec.WriteHeader(status)
				_, _ = rec.Write(body)
				return rec.Result(), nil
			}),
		}})
		_, err := c.Info(t.Context(), jobID)
		var api *bulkv2.APIError
		if !errors.As(err, &api) || api.StatusCode != status || api.Error() == "" {
			t.Fatalf("got %v, want status %d", err, status)
		}
		if api.Code == "" && len([]rune(api.Message)) > 501 {
			t.Fatalf("a message of %d characters", len([]rune(api.Message)))
		}
	})
}
