package salesforce_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"bulkhead/internal/salesforce"
)

// TestACertificateThatNobodyVouchesForIsRefused uses our own transport, as users get it.
func TestACertificateThatNobodyVouchesForIsRefused(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of each broken handshake
	srv.StartTLS()
	t.Cleanup(srv.Close)
	for name, cfg := range map[string]salesforce.Config{
		"login":       {LoginURL: srv.URL, ClientID: "a", ClientSecret: clientSecret},
		"given token": {AccessToken: "00D!token", InstanceURL: srv.URL},
	} {
		_, err := salesforce.Open(t.Context(), cfg)
		var unknown x509.UnknownAuthorityError
		var refused *tls.CertificateVerificationError
		if !errors.As(err, &unknown) || !errors.As(err, &refused) {
			t.Errorf("%s: got %v", name, err)
		}
		checkNoSecrets(t, fmt.Sprint(err))
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestPlainHTTPIsForTheMachineItselfOnly(t *testing.T) {
	t.Parallel()
	for address, allowed := range map[string]bool{
		"http://127.0.0.1:8090": true, "http://localhost:8090": true, "http://[::1]:8090": true, "http://127.8.9.1": true,
		"http://acme.my.salesforce.com": false, "http://10.0.0.1": false, "http://0.0.0.0:80": false, "http://[::]:80": false,
		"http://localhost.evil.example": false, "http://127.0.0.1.evil.example": false, "http://2130706433": false,
		"http://192.168.1.1@127.0.0.1": false, "http://127.0.0.1@evil.example": false, "ftp://127.0.0.1": false,
	} {
		for name, cfg := range map[string]salesforce.Config{
			"login_url":    {LoginURL: address, ClientID: "a", ClientSecret: clientSecret},
			"instance_url": {AccessToken: "00D!token", InstanceURL: address},
		} {
			err := cfg.Validate()
			if (err == nil) != allowed {
				t.Errorf("%s %s: got %v", name, address, err)
			}
			checkNoSecrets(t, fmt.Sprint(err))
		}
	}
}

// TestATokenCannotBringHeadersAlong: it goes into one.
func TestATokenCannotBringHeadersAlong(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"00D!a\r\nX-Injected: 1", "00D!a\n", " 00D!a", "00D!a\x00", "00D!é"} {
		err := salesforce.Config{AccessToken: token, InstanceURL: "https://acme.my.salesforce.com"}.Validate()
		if err == nil || !strings.Contains(err.Error(), "access_token") {
			t.Errorf("%q: got %v", token, err)
		}
		checkNoSecrets(t, fmt.Sprint(err))
	}
}

// TestALoginThatIsRedirectedIsNotRepeatedElsewhere: the form of a login holds the secrets themselves.
func TestALoginThatIsRedirectedIsNotRepeatedElsewhere(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		o := newFakeOrg(t)
		o.refuse = reply(status, "", "Location", elsewhere.URL)
		_, err := salesforce.Open(t.Context(), o.config())
		var refused *salesforce.LoginError
		if !errors.As(err, &refused) || refused.StatusCode != status {
			t.Errorf("%d: got %v", status, err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}
}

// TestARefusalThatEchoesTheRequest is a proxy that shows in its page of an error what it was sent.
func TestARefusalThatEchoesTheRequest(t *testing.T) {
	t.Parallel()
	o := newFakeOrg(t)
	echo := func(w http.ResponseWriter, r *http.Request) {
		session := r.Header.Get("Authorization")
		body := fmt.Sprintf(`[{"errorCode":"BLOCKED","message":"blocked: %s and %s"}]`, session, url.QueryEscape(session))
		reply(403, body, "Content-Type", "application/json")(w, r)
	}
	o.handle("GET /services/data/v66.0/limits", echo)
	_, err := o.open(t).Limits(t.Context())
	if err == nil || !strings.Contains(err.Error(), "BLOCKED") || !strings.Contains(err.Error(), "(secret)") {
		t.Errorf("got %v", err)
	}
	checkNoSecrets(t, fmt.Sprint(err))
	checkNoSecrets(t, strings.ReplaceAll(fmt.Sprint(err), "%21", "!"))

	secret := "s3cr&t of+the <app>"
	for _, form := range []string{secret, url.QueryEscape(secret)} {
		o.refuseLogins(reply(400, fmt.Sprintf(`{"error":"invalid_request","error_description":"client_secret=%s"}`, form), "Content-Type", "application/json"))
		cfg := o.config()
		cfg.ClientSecret = secret
		if _, err := salesforce.Open(t.Context(), cfg); err == nil || strings.Contains(err.Error(), form) {
			t.Errorf("got %v", err)
		}
	}
}

func TestTheNextPageIsReadFromTheOrgOnly(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(elsewhere.Close)
	o := newFakeOrg(t)
	o.handle("GET /services/data/v66.0/query", reply(200, `{"done":false,"nextRecordsUrl":"`+elsewhere.URL+`/services/data/v66.0/query/2","records":[]}`))
	o.handle("GET /services/data/v66.0/query/2", reply(200, `{"done":true,"records":[{"Id":"001"}]}`))
	n := 0
	for _, err := range o.open(t).Query(t.Context(), "SELECT Id FROM Account") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 || asked.Load() != 0 {
		t.Errorf("%d records, and the other host got %d requests", n, asked.Load())
	}
}

// TestNamesOfObjectsStayNames has names that would lead to another resource.
func TestNamesOfObjectsStayNames(t *testing.T) {
	t.Parallel()
	o := newFakeOrg(t)
	o.mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL) })
	org := o.open(t)
	for _, name := range []string{"", "..", "../limits", "Account/describe?x=", "Account%2f..", "Account'", "Account\n", "Ac count"} {
		var unknown *salesforce.NotFoundError
		if _, err := org.Describe(t.Context(), name); !errors.As(err, &unknown) {
			t.Errorf("%q: got %v", name, err)
		}
	}
}
