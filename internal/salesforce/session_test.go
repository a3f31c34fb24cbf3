package salesforce_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bulkhead/internal/salesforce"
)

// TestHundredsInFlightRenewOnce holds 200 requests back until all of them carry the old session.
func TestHundredsInFlightRenewOnce(t *testing.T) {
	t.Parallel()
	const parallel = 200
	o := newFakeOrg(t)
	var arrived sync.WaitGroup
	arrived.Add(parallel)
	o.mux.HandleFunc("PUT /data/{n}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.Header.Get("Authorization") {
		case "Bearer 00D!T1":
			arrived.Done()
			arrived.Wait()
			sessionExpired(w, r)
		case "Bearer 00D!T2":
			_, _ = w.Write(body)
		default:
			http.Error(w, "unknown token", http.StatusTeapot)
		}
	})
	org := o.open(t, func(c *salesforce.Config) { c.Parallel = parallel })

	var all sync.WaitGroup
	for n := range parallel {
		all.Go(func() {
			want := fmt.Sprintf("body %d", n)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, fmt.Sprintf("%s/data/%d", o.URL, n), strings.NewReader(want))
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := org.HTTPClient().Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if got, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(got) != want {
				t.Errorf("request %d: %d %q", n, resp.StatusCode, got)
			}
		})
	}
	all.Wait()
	if n := len(o.logins()); n != 2 {
		t.Errorf("%d logins, want the first and one renewal", n)
	}
	if calls := org.Usage().Calls; calls != 2*parallel {
		t.Errorf("%d calls counted, want %d", calls, 2*parallel)
	}
}

func TestARefusedRenewalIsSharedToo(t *testing.T) {
	t.Parallel()
	o := newFakeOrg(t)
	o.handle("GET /services/data/v66.0/limits", reply(200, `{}`))
	org := o.open(t)
	o.expire()
	o.refuseLogins(reply(400, `{"error":"invalid_grant","error_description":"authentication failure"}`))
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			var refused *salesforce.LoginError
			if _, err := org.Limits(t.Context()); !errors.As(err, &refused) || refused.Code != "invalid_grant" {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	if n := len(o.logins()); n != 2 {
		t.Errorf("%d logins, want the first and one renewal", n)
	}
}

func TestASecondRefusalIsTheAnswer(t *testing.T) {
	t.Parallel()
	o := newFakeOrg(t)
	o.mux.HandleFunc("GET /x", sessionExpired)
	org := o.open(t)
	resp, err := org.HTTPClient().Get(o.URL + "/x") //nolint:noctx // nothing to cancel
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 401 || !strings.Contains(string(body), "INVALID_SESSION_ID") || len(o.logins()) != 2 {
		t.Errorf("%d %s after %d logins", resp.StatusCode, body, len(o.logins()))
	}
}

func TestABodyThatCannotBeOpenedAgainGetsTheOrgsAnswer(t *testing.T) {
	t.Parallel()
	o := newFakeOrg(t)
	o.mux.HandleFunc("POST /x", sessionExpired)
	org := o.open(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.URL+"/x", io.MultiReader(strings.NewReader("once")))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := org.HTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 401 || len(o.logins()) != 1 {
		t.Errorf("%d after %d logins", resp.StatusCode, len(o.logins()))
	}
}

func TestTheSessionStaysWithItsHost(t *testing.T) {
	t.Parallel()
	var leaked sync.Map
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked.Store(r.URL.Path, r.Header.Get("Authorization"))
	}))
	t.Cleanup(elsewhere.Close)
	o := newFakeOrg(t)
	o.handle("GET /moved", reply(302, "", "Location", elsewhere.URL+"/redirected"))
	o.handle("GET /within", reply(302, "", "Location", "/here"))
	o.handle("GET /here", reply(200, "here"))
	org := o.open(t)
	for _, address := range []string{elsewhere.URL + "/direct", o.URL + "/moved", strings.Replace(o.URL, "http:", "https:", 1) + "/x"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := org.HTTPClient().Do(req)
		var host *salesforce.HostError
		if !errors.As(err, &host) || host.Retryable() || !host.NothingAccepted() {
			t.Errorf("%s: got %v", address, err)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
	leaked.Range(func(path, header any) bool {
		t.Errorf("%s got %q", path, header)
		return true
	})
	resp, err := org.HTTPClient().Get(o.URL + "/within") //nolint:noctx // nothing to cancel
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "here" {
		t.Errorf("a redirect within the host: %q", body)
	}
}

// fakeNet is an org without a network, for tests in which time passes.
type fakeNet struct {
	logins, calls int
	down          bool
	last          http.Header
}

func (f *fakeNet) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	if !strings.HasSuffix(r.URL.Path, "/token") {
		f.calls++
		f.last = r.Header
		reply(200, `{}`, "Sforce-Limit-Info", "api-usage=18/5000,per-app-api-usage=17/250(appName=x)")(rec, r)
		return rec.Result(), nil
	}
	f.logins++
	if f.down {
		return nil, errors.New("connection refused")
	}
	reply(200, fmt.Sprintf(`{"access_token":"T%d","instance_url":"https://acme.my.salesforce.com","id":"https://x/id/00D/005"}`, f.logins), "Content-Type", "application/json")(rec, r)
	return rec.Result(), nil
}

func (f *fakeNet) open(t *testing.T) *salesforce.Org {
	t.Helper()
	org, err := salesforce.Open(t.Context(), salesforce.Config{
		LoginURL: "https://acme.my.salesforce.com", ClientID: "a", ClientSecret: "b", ClientName: "loader", SessionTTL: time.Hour, Transport: f,
	})
	if err != nil {
		t.Fatal(err)
	}
	return org
}

func TestAnOldSessionIsRenewedBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := &fakeNet{}
		org := net.open(t)
		for _, step := range []struct {
			pass   time.Duration
			down   bool
			logins int
			token  string
		}{
			{0, false, 1, "Bearer T1"},
			{59 * time.Minute, false, 1, "Bearer T1"},
			{time.Minute, false, 2, "Bearer T2"},
			{time.Hour, true, 3, "Bearer T2"},             // cannot log in: perhaps the org still takes the old one
			{time.Millisecond, true, 3, "Bearer T2"},      // and it is not asked at every request
			{2 * time.Second, false, 4, "Bearer T4"},      // but soon again
			{30 * time.Minute, true, 4, "Bearer T4"},      //
			{30 * time.Minute, false, 5, "Bearer T5"},     //
			{100 * 24 * time.Hour, false, 6, "Bearer T6"}, //
		} {
			<-time.After(step.pass) // in the bubble's own time
			net.down = step.down
			if _, err := org.Limits(t.Context()); err != nil {
				t.Fatal(err)
			}
			if net.logins != step.logins || net.last.Get("Authorization") != step.token {
				t.Errorf("after %v: %d logins, %s; want %d, %s", step.pass, net.logins, net.last.Get("Authorization"), step.logins, step.token)
			}
		}
	})
}

func TestRequestsAreNamedAndCounted(t *testing.T) {
	t.Parallel()
	net := &fakeNet{}
	org := net.open(t)
	if _, err := org.Limits(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := net.last.Get("Sforce-Call-Options"); got != "client=loader" {
		t.Errorf("Sforce-Call-Options: %q", got)
	}
	if got, want := org.Usage(), (salesforce.Usage{Calls: 1, Used: 18, Max: 5000}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
