package emulator_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"bulkhead/internal/emulator"
)

// apps is an org with one app per flow, and the key of the JWT app.
func apps(t *testing.T) (*org, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return start(t, emulator.Config{
		Users: []emulator.User{{Username: "ann@example.com"}, {Username: "bob@example.com"}},
		Apps: []emulator.App{
			{ClientID: "emulator", ClientSecret: "emulator", RunAs: "ann@example.com"},
			{ClientID: "jwt", ClientSecret: "s", PublicKey: public, Users: []string{"ann@example.com"}},
			{ClientID: "web", ClientSecret: "s", RefreshTokens: map[string]string{"r1": "ann@example.com"}},
			{ClientID: "rotating", ClientSecret: "s", RefreshTokens: map[string]string{"r2": "bob@example.com"}, RotateRefreshTokens: true},
		},
	}), key
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	o, _ := apps(t)
	grant := url.Values{"grant_type": {"client_credentials"}}
	a := o.do(http.MethodPost, "/services/oauth2/token", strings.NewReader(grant.Encode()),
		"Content-Type", "application/x-www-form-urlencoded", "Authorization", "Basic ZW11bGF0b3I6ZW11bGF0b3I=")
	got := a.object()
	for name, want := range map[string]string{
		"access_token": `^00D\w{12}!AQ.+$`, "signature": `^.{44}$`, "scope": `api`, "token_type": `^Bearer$`,
		"instance_url": "^" + regexp.QuoteMeta(o.server.URL()) + "$", "issued_at": `^\d{13}$`, "id": `/id/00D\w{15}/005\w{15}$`,
	} {
		if value, _ := got[name].(string); !regexp.MustCompile(want).MatchString(value) {
			t.Errorf("%s is %q", name, value)
		}
	}
	if _, ok := got["expires_in"]; ok || len(got) != 7 {
		t.Errorf("answer %v", got)
	}
}

func TestOAuthRefusals(t *testing.T) {
	t.Parallel()
	o, key := apps(t)
	now := time.Now()
	sign := func(method jwt.SigningMethod, key any, iss, sub, aud string, exp int64) string {
		token, err := jwt.NewWithClaims(method, jwt.MapClaims{"iss": iss, "sub": sub, "aud": aud, "exp": exp}).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const login = "https://login.salesforce.com"
	soon := now.Add(3 * time.Minute).Unix()
	bearer := func(assertion string) url.Values {
		return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	}
	rs := jwt.SigningMethodRS256
	for _, tc := range []struct {
		name        string
		form        url.Values
		code, about string
	}{
		{"no grant", url.Values{}, "invalid_request", "missing required parameter: grant_type"},
		{"unknown grant", url.Values{"grant_type": {"magic"}}, "unsupported_grant_type", "grant type not supported"},
		{"password", url.Values{"grant_type": {"password"}}, "invalid_grant", "authentication failure"},
		{"unknown client", url.Values{"grant_type": {"client_credentials"}, "client_id": {"x"}}, "invalid_client_id", "client identifier invalid"},
		{"wrong secret", url.Values{"grant_type": {"client_credentials"}, "client_id": {"emulator"}, "client_secret": {"x"}}, "invalid_client", "invalid client credentials"},
		{"no run-as user", url.Values{"grant_type": {"client_credentials"}, "client_id": {"jwt"}, "client_secret": {"s"}}, "invalid_grant", "no client credentials user enabled"},
		{"unknown refresh token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"web"}, "refresh_token": {"x"}}, "invalid_grant", "expired access/refresh token"},
		{"refresh token of another app", url.Values{"grant_type": {"refresh_token"}, "client_id": {"web"}, "refresh_token": {"r2"}}, "invalid_grant", "expired access/refresh token"},
		{"no assertion", bearer(""), "invalid_grant", "invalid assertion"},
		{"another key", bearer(sign(rs, other, "jwt", "ann@example.com", login, soon)), "invalid_grant", "invalid assertion"},
		{"another algorithm", bearer(sign(jwt.SigningMethodHS256, []byte("k"), "jwt", "ann@example.com", login, soon)), "invalid_grant", "invalid assertion"},
		{"unknown issuer", bearer(sign(rs, key, "x", "ann@example.com", login, soon)), "invalid_client_id", "client identifier invalid"},
		{"app without key", bearer(sign(rs, key, "web", "ann@example.com", login, soon)), "invalid_grant", "invalid assertion"},
		{"wrong audience", bearer(sign(rs, key, "jwt", "ann@example.com", "https://example.com", soon)), "invalid_grant", "audience is invalid"},
		{"expired", bearer(sign(rs, key, "jwt", "ann@example.com", login, now.Add(-time.Minute).Unix())), "invalid_grant", "expired authorization code"},
		{"milliseconds", bearer(sign(rs, key, "jwt", "ann@example.com", login, now.Add(3*time.Minute).UnixMilli())), "invalid_grant", "expired authorization code"},
		{"unknown user", bearer(sign(rs, key, "jwt", "eve@example.com", login, soon)), "invalid_grant", "user hasn't approved this consumer"},
		{"user who is not approved", bearer(sign(rs, key, "jwt", "bob@example.com", login, soon)), "invalid_app_access", "user is not admin approved to access this app"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := o.form("/services/oauth2/token", tc.form)
			got := a.object()
			if a.status != http.StatusBadRequest || got["error"] != tc.code || got["error_description"] != tc.about {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	for _, aud := range []string{login, "https://test.salesforce.com", o.server.URL()} {
		a := o.form("/services/oauth2/token", bearer(sign(rs, key, "jwt", "ann@example.com", aud, soon)))
		if got := a.object(); a.status != http.StatusOK || got["refresh_token"] != nil || got["issued_at"] != nil {
			t.Errorf("%s: %d %s", aud, a.status, a.body)
		}
	}
}

func TestRefreshTokensRotate(t *testing.T) {
	t.Parallel()
	o, _ := apps(t)
	refresh := func(app, token string) answer {
		return o.form("/services/oauth2/token", url.Values{
			"grant_type": {"refresh_token"}, "client_id": {app}, "client_secret": {"s"}, "refresh_token": {token},
		})
	}
	for range 2 {
		if a := refresh("web", "r1"); a.status != http.StatusOK || a.object()["refresh_token"] != nil {
			t.Errorf("plain: %d %s", a.status, a.body)
		}
	}
	next, _ := refresh("rotating", "r2").object()["refresh_token"].(string)
	if a := refresh("rotating", "r2"); a.status != http.StatusBadRequest {
		t.Errorf("the old token still works: %s", a.body)
	}
	if a := refresh("rotating", next); a.status != http.StatusOK {
		t.Errorf("the new token does not work: %s", a.body)
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{Session: time.Hour})
	expired := func(what string) {
		t.Helper()
		a := o.get("limits")
		code, message := a.refusal()
		if a.status != http.StatusUnauthorized || code != "INVALID_SESSION_ID" || message != "Session expired or invalid" ||
			a.header.Get("Www-Authenticate") != "Token" || a.header.Get("Sforce-Limit-Info") != "" {
			t.Errorf("%s: %d %s %v", what, a.status, a.body, a.header)
		}
		o.login()
		if a := o.get("limits"); a.status != http.StatusOK {
			t.Errorf("%s: a new session is refused: %d", what, a.status)
		}
	}
	o.server.Advance(time.Hour)
	expired("after its time")
	o.server.ExpireTokens()
	expired("by an administrator")
	if a := o.form("/services/oauth2/revoke", url.Values{"token": {o.token}}); a.status != http.StatusOK {
		t.Errorf("revoke: %d", a.status)
	}
	expired("revoked")
	o.token = "nonsense"
	expired("never opened")
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	token := o.form("/services/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"emulator"}, "client_secret": {"emulator"},
	}).object()
	id, err := url.Parse(token["id"].(string))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{id.Path, "/services/oauth2/userinfo"} {
		got := o.get(path).object()
		if got["preferred_username"] != "admin@emulator.test" || got["user_id"] != id.Path[len(id.Path)-18:] {
			t.Errorf("%s: %v", path, got)
		}
	}
	o.token = "x"
	if a := o.get("/services/oauth2/userinfo"); a.status != http.StatusForbidden || string(a.body) != "Bad_OAuth_Token\n" {
		t.Errorf("%d %q", a.status, a.body)
	}
}
