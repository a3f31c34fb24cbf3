package salesforce_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/salesforce"
)

func TestLoginByClientCredentials(t *testing.T) {
	t.Parallel()
	o := newFakeOrg(t)
	org := o.open(t)
	want := []map[string]string{{"grant_type": "client_credentials", "client_id": "3MVG9-app", "client_secret": clientSecret}}
	if diff := cmp.Diff(want, o.logins()); diff != "" {
		t.Errorf("login (-want +got):\n%s", diff)
	}
	got := []string{org.InstanceURL(), org.APIVersion(), org.OrgID(), org.UserID()}
	if diff := cmp.Diff([]string{o.URL, "66.0", "00Dxx0000001gPLEAY", "005xx000001SwiUAAS"}, got); diff != "" {
		t.Errorf("org (-want +got):\n%s", diff)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		checkNoSecrets(t, fmt.Sprintf(verb, org))
	}
}

func TestLoginByJWT(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"PKCS#1": {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)},
		"PKCS#8": {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		o := newFakeOrg(t)
		o.open(t, func(c *salesforce.Config) {
			*c = salesforce.Config{LoginURL: o.URL + "/", ClientID: "3MVG9-app", Username: "ada@example.org", PrivateKeyFile: keyFile(t, block)}
		})
		form := o.logins()[0]
		if form["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			t.Errorf("%s: grant_type %q", name, form["grant_type"])
		}
		token, err := jwt.Parse(form["assertion"], func(*jwt.Token) (any, error) { return &key.PublicKey, nil },
			jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer("3MVG9-app"), jwt.WithSubject("ada@example.org"),
			jwt.WithAudience(o.URL), jwt.WithExpirationRequired())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if at, _ := token.Claims.GetExpirationTime(); time.Until(at.Time) > 5*time.Minute {
			t.Errorf("%s: good until %v, Salesforce takes 3 to 5 minutes", name, at)
		}
	}
}

func keyFile(t *testing.T, block *pem.Block) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server.key")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAKeyThatCannotSignIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	noPEM := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(noPEM, []byte("ssh-rsa AAAA"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(t.TempDir(), "none"): "no such file",
		noPEM:                              "not a PEM file",
		keyFile(t, &pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}):           "a certificate, want a private key",
		keyFile(t, &pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}): "has a passphrase",
		keyFile(t, &pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}):           "not an RSA private key",
		keyFile(t, &pem.Block{Type: "PRIVATE KEY", Bytes: ec}):                    "want RSA",
	} {
		_, err := salesforce.Open(t.Context(), salesforce.Config{ClientID: "a", Username: "u", PrivateKeyFile: path})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "private_key_file") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestARotatedRefreshTokenIsUsedFromThenOn(t *testing.T) {
	t.Parallel()
	o := newFakeOrg(t)
	o.extra = `,"refresh_token":"rotated"`
	o.handle("GET /services/data/v66.0/limits", reply(200, `{}`))
	org := o.open(t, func(c *salesforce.Config) { c.RefreshToken = refreshToken })
	o.expire()
	if _, err := org.Limits(t.Context()); err != nil {
		t.Fatal(err)
	}
	var used []string
	for _, form := range o.logins() {
		used = append(used, form["grant_type"]+" "+form["refresh_token"])
	}
	if diff := cmp.Diff([]string{"refresh_token " + refreshToken, "refresh_token rotated"}, used); diff != "" {
		t.Errorf("logins (-want +got):\n%s", diff)
	}
}

func TestLoginByAccessToken(t *testing.T) {
	t.Parallel()
	o := newFakeOrg(t)
	o.issued = 7
	o.handle("GET /services/data/v66.0", reply(200, `{"identity":"https://login.example/id/00Dxx0000001gPLEAY/005xx000001SwiUAAS"}`))
	o.handle("GET /services/data/v66.0/limits", reply(200, `{}`))
	given := func(token string) func(*salesforce.Config) {
		return func(c *salesforce.Config) { *c = salesforce.Config{AccessToken: token, InstanceURL: o.URL} }
	}
	org := o.open(t, given("00D!T7"))
	if org.UserID() != "005xx000001SwiUAAS" || org.OrgID() != "00Dxx0000001gPLEAY" {
		t.Errorf("user %q of org %q", org.UserID(), org.OrgID())
	}

	o.expire()
	_, err := org.Limits(t.Context())
	var refused *salesforce.LoginError
	if !errors.As(err, &refused) || refused.Retryable() || !strings.Contains(err.Error(), "cannot be renewed") || !strings.Contains(err.Error(), "sf org display") {
		t.Errorf("got %v", err)
	}
	checkNoSecrets(t, fmt.Sprint(err))

	cfg := salesforce.Config{}
	given("00D!T6")(&cfg)
	if _, err := salesforce.Open(t.Context(), cfg); !errors.As(err, &refused) {
		t.Errorf("an old token: got %v", err)
	}
}

func TestLoginErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status    int
		body      string
		code      string
		hint      string // part of the text
		retryable bool
	}{
		{400, `{"error":"invalid_grant","error_description":"user hasn't approved this consumer"}`, "invalid_grant", "pre-authorize the user", false},
		{400, `{"error":"invalid_app_access","error_description":"user is not admin approved to access this app"}`, "invalid_app_access", "approve the user", false},
		{400, `{"error":"invalid_grant","error_description":"audience is invalid"}`, "invalid_grant", "My Domain", false},
		{400, `{"error":"invalid_grant","error_description":"invalid assertion"}`, "invalid_grant", "certificate", false},
		{400, `{"error":"invalid_grant","error_description":"expired authorization code"}`, "invalid_grant", "clock", false},
		{400, `{"error":"invalid_grant","error_description":"expired access/refresh token"}`, "invalid_grant", "log in to the app again", false},
		{400, `{"error":"invalid_grant","error_description":"authentication failure"}`, "invalid_grant", "check username", false},
		{400, `{"error":"invalid_grant","error_description":"no client credentials user enabled"}`, "invalid_grant", "user to run as", false},
		{400, `{"error":"invalid_grant","error_description":"request not supported on this domain"}`, "invalid_grant", "My Domain", false},
		{400, `{"error":"invalid_client_id","error_description":"client identifier invalid"}`, "invalid_client_id", "check client_id", false},
		{400, `{"error":"invalid_client","error_description":"invalid client credentials"}`, "invalid_client", "client_secret", false},
		{400, `{"error":"unsupported_grant_type","error_description":"grant type not supported"}`, "unsupported_grant_type", "enable this flow", false},
		{400, `{"error":"app_not_found","error_description":"External client app is not installed in this org"}`, "app_not_found", "My Domain", false},
		{400, `{"error":"OAUTH_APP_BLOCKED","error_description":"this app is blocked by admin"}`, "OAUTH_APP_BLOCKED", "unblock", false},
		{400, `{"error":"invalid_grant","error_description":"login rate exceeded"}`, "invalid_grant", "", true},
		{400, `{"error":"invalid_request","error_description":"secret ` + clientSecret + ` is wrong"}`, "invalid_request", "(secret)", false},
		{404, `<html>`, "", "check login_url", false},
		{302, ``, "", "check login_url", false},
		{503, `<html>down</html>`, "", "status 503", true},
		{200, `{"token_type":"Bearer"}`, "", "access_token", true},
		{200, `{"access_token":"00D!x"}`, "", "instance_url", false},
		{200, `{"access_token":"00D!x","instance_url":"http://evil.example"}`, "", "plain http", false},
		{200, `<html>00D!x`, "", "", true},
	} {
		o := newFakeOrg(t)
		o.refuse = reply(tt.status, tt.body, "Content-Type", "application/json", "Location", "https://elsewhere.example")
		_, err := salesforce.Open(t.Context(), o.config())
		var refused *salesforce.LoginError
		if !errors.As(err, &refused) || refused.Code != tt.code || refused.Retryable() != tt.retryable || !refused.NothingAccepted() {
			t.Errorf("%s: got %v, retryable %v", tt.body, err, refused.Retryable())
			continue
		}
		if !strings.Contains(err.Error(), tt.hint) {
			t.Errorf("%s: %q does not say %q", tt.body, err, tt.hint)
		}
		checkNoSecrets(t, err.Error())
	}
}

func TestALoginThatGetsNoAnswerMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	path := keyFile(t, &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	gone := newFakeOrg(t)
	gone.Close()
	silent := newFakeOrg(t)
	silent.refuse = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, o := range map[string]*fakeOrg{"no connection": gone, "no answer": silent} {
		for flow, cfg := range map[string]salesforce.Config{
			"client credentials": o.config(),
			"jwt":                {LoginURL: o.URL, ClientID: "a", Username: "u", PrivateKeyFile: path},
			"refresh token":      {LoginURL: o.URL, ClientID: "a", RefreshToken: refreshToken},
		} {
			cfg.Timeout = 50 * time.Millisecond
			_, err := salesforce.Open(t.Context(), cfg)
			var refused *salesforce.LoginError
			if !errors.As(err, &refused) || !refused.Retryable() {
				t.Errorf("%s, %s: got %v", name, flow, err)
			}
			checkNoSecrets(t, fmt.Sprint(err))
		}
	}
}

func TestALoginEndsWithItsContext(t *testing.T) {
	t.Parallel()
	o := newFakeOrg(t)
	ctx, cancel := context.WithCancel(t.Context())
	o.refuse = func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done() // the login is given up as nobody waits for it any more
	}
	_, err := salesforce.Open(ctx, o.config())
	var refused *salesforce.LoginError
	if !errors.Is(err, context.Canceled) || !errors.As(err, &refused) || refused.Retryable() {
		t.Errorf("got %v", err)
	}
}
