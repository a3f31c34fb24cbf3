package salesforce_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/salesforce"
)

func startEmulator(t *testing.T, cfg emulator.Config) *emulator.Server {
	t.Helper()
	srv, err := emulator.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv
}

// TestEveryFlowInTheEmulator logs in, lets the session expire, and goes on.
func TestEveryFlowInTheEmulator(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	srv := startEmulator(t, emulator.Config{Apps: []emulator.App{{
		ClientID: "app", ClientSecret: "secret", RunAs: emulator.DefaultUsername,
		PublicKey:     pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		RefreshTokens: map[string]string{"first": emulator.DefaultUsername}, RotateRefreshTokens: true,
	}}})
	path := keyFile(t, &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	var users []string
	for name, cfg := range map[string]salesforce.Config{
		"client credentials": {ClientID: "app", ClientSecret: "secret"},
		"jwt":                {ClientID: "app", Username: emulator.DefaultUsername, PrivateKeyFile: path},
		"refresh token":      {ClientID: "app", ClientSecret: "secret", RefreshToken: "first"},
	} {
		cfg.LoginURL = srv.URL()
		org, err := salesforce.Open(t.Context(), cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for range 2 {
			srv.ExpireTokens()
			if _, err := org.Limits(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		users = append(users, org.OrgID()+" "+org.UserID())
	}
	if len(users) != 3 || users[0] != users[1] || users[1] != users[2] || len(users[0]) != 37 {
		t.Errorf("logged in as %q", users)
	}

	cfg := salesforce.Config{LoginURL: srv.URL(), ClientID: "app", ClientSecret: "wrong"}
	var refused *salesforce.LoginError
	if _, err := salesforce.Open(t.Context(), cfg); !errors.As(err, &refused) || refused.Hint == "" {
		t.Errorf("a wrong secret: %v", err)
	}
}

func TestAGivenTokenInTheEmulator(t *testing.T) {
	t.Parallel()
	srv := startEmulator(t, emulator.Config{})
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {emulator.DefaultClientID}, "client_secret": {emulator.DefaultClientSecret}}
	resp, err := http.PostForm(srv.URL()+"/services/oauth2/token", form) //nolint:noctx // nothing to cancel
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	cfg := salesforce.Config{AccessToken: answer.Token, InstanceURL: srv.URL()}
	org, err := salesforce.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(org.OrgID()) != 18 || len(org.UserID()) != 18 {
		t.Errorf("user %q of org %q", org.UserID(), org.OrgID())
	}
	srv.ExpireTokens()
	var refused *salesforce.LoginError
	if _, err := salesforce.Open(t.Context(), cfg); !errors.As(err, &refused) {
		t.Errorf("with an old token: %v", err)
	}
}

func TestTheEmulatorIsDescribed(t *testing.T) {
	t.Parallel()
	srv := startEmulator(t, emulator.Config{})
	org, err := salesforce.Open(t.Context(), salesforce.Config{
		LoginURL: srv.URL(), ClientID: emulator.DefaultClientID, ClientSecret: emulator.DefaultClientSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	contact, err := org.Describe(t.Context(), "contact")
	if err != nil {
		t.Fatal(err)
	}
	name, _ := contact.Field("lastname")
	account, ok := contact.Relationship("Account")
	if contact.Name != "Contact" || name.Length != 80 || !name.Required() || !ok || account.ReferenceTo[0] != "Account" {
		t.Errorf("got %+v and %+v", name, account)
	}
	var missing *salesforce.NotFoundError
	if _, err := org.Describe(t.Context(), "Kontact"); !errors.As(err, &missing) {
		t.Errorf("got %v", err)
	}
	objects, err := org.Objects(t.Context())
	if err != nil || len(objects) < 5 {
		t.Errorf("%d objects, %v", len(objects), err)
	}
	if n, err := org.Count(t.Context(), "SELECT COUNT() FROM Contact"); err != nil || n != 0 {
		t.Errorf("%d contacts, %v", n, err)
	}
	limits, err := org.Limits(t.Context())
	if err != nil || limits["DailyBulkApiBatches"].Max != 15000 {
		t.Errorf("got %v, %v", limits, err)
	}
	if versions, err := org.Versions(t.Context()); err != nil || len(versions) < 10 {
		t.Errorf("got %v, %v", versions, err)
	}
	if u := org.Usage(); u.Calls != 6 || u.Used == 0 || u.Max != 100_000 {
		t.Errorf("got %+v", u)
	}
}

func TestARenewalInTheEmulatorIsShared(t *testing.T) {
	t.Parallel()
	srv := startEmulator(t, emulator.Config{})
	org, err := salesforce.Open(t.Context(), salesforce.Config{
		LoginURL: srv.URL(), ClientID: emulator.DefaultClientID, ClientSecret: emulator.DefaultClientSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.ExpireTokens()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := org.Objects(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
