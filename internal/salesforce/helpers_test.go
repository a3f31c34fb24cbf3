package salesforce_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"bulkhead/internal/salesforce"
)

const (
	clientSecret = "s3cret-of-the-app"
	refreshToken = "5Aep861-refresh"
)

// fakeOrg hands out tokens T1, T2, ... and takes the latest of them only.
type fakeOrg struct {
	*httptest.Server
	mux *http.ServeMux

	mu      sync.Mutex
	issued  int
	expired bool
	forms   []map[string]string // of the token requests
	refuse  http.HandlerFunc    // answers token requests when set
	extra   string              // more JSON in the answer of the token endpoint
}

func newFakeOrg(t *testing.T) *fakeOrg {
	t.Helper()
	o := &fakeOrg{mux: http.NewServeMux()}
	o.Server = httptest.NewServer(o.mux)
	t.Cleanup(o.Close)
	o.mux.HandleFunc("POST /services/oauth2/token", o.token)
	return o
}

func (o *fakeOrg) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	form := map[string]string{}
	for k := range r.PostForm {
		form[k] = r.PostForm.Get(k)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forms = append(o.forms, form)
	if o.refuse != nil {
		o.refuse(w, r)
		return
	}
	o.issued++
	o.expired = false
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"access_token":"00D!T%d","instance_url":%q,"id":"https://login.example/id/00Dxx0000001gPLEAY/005xx000001SwiUAAS","token_type":"Bearer","issued_at":"1767225600000"%s}`,
		o.issued, o.URL, o.extra)
}

// handle serves pattern to requests with the latest token.
func (o *fakeOrg) handle(pattern string, h http.HandlerFunc) {
	o.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		ok := !o.expired && r.Header.Get("Authorization") == fmt.Sprintf("Bearer 00D!T%d", o.issued)
		o.mu.Unlock()
		if !ok {
			sessionExpired(w, r)
			return
		}
		h(w, r)
	})
}

// expire makes the org refuse the latest token.
func (o *fakeOrg) expire() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.expired = true
}

func (o *fakeOrg) refuseLogins(h http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refuse = h
}

func (o *fakeOrg) logins() []map[string]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.forms
}

func (o *fakeOrg) config() salesforce.Config {
	return salesforce.Config{LoginURL: o.URL, ClientID: "3MVG9-app", ClientSecret: clientSecret}
}

func (o *fakeOrg) open(t *testing.T, change ...func(*salesforce.Config)) *salesforce.Org {
	t.Helper()
	cfg := o.config()
	for _, f := range change {
		f(&cfg)
	}
	org, err := salesforce.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return org
}

func reply(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func sessionExpired(w http.ResponseWriter, r *http.Request) {
	reply(401, `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`, "WWW-Authenticate", "Token")(w, r)
}

// checkNoSecrets fails when one of the secrets of these tests stands in a text.
func checkNoSecrets(t *testing.T, text string) {
	t.Helper()
	for _, s := range []string{clientSecret, refreshToken, "00D!", "BEGIN"} {
		if strings.Contains(text, s) {
			t.Errorf("%q shows %q", text, s)
		}
	}
}
