package salesforce_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"bulkhead/internal/salesforce"
)

func TestValidateSaysWhatIsMissingOrWrong(t *testing.T) {
	t.Parallel()
	type config = salesforce.Config
	const domain = "https://acme.my.salesforce.com"
	for name, tt := range map[string]struct {
		cfg  config
		want string // part of the error; "" for none
	}{
		"nothing":                     {config{}, "no way to log in is set"},
		"client credentials":          {config{LoginURL: domain, ClientID: "a", ClientSecret: "b"}, ""},
		"named":                       {config{LoginURL: domain, Auth: "Client-Credentials", ClientID: "a", ClientSecret: "b"}, ""},
		"client credentials at login": {config{ClientID: "a", ClientSecret: "b"}, "My Domain"},
		"no client id":                {config{LoginURL: domain, ClientSecret: "b"}, "client_id: required for client_credentials"},
		"jwt":                         {config{ClientID: "a", Username: "u", PrivateKeyFile: "k"}, ""},
		"jwt by its long name":        {config{Auth: "jwt-bearer", ClientID: "a", Username: "u", PrivateKeyFile: "k"}, ""},
		"jwt wins over a secret":      {config{ClientID: "a", ClientSecret: "b", PrivateKeyFile: "k"}, "username: required for jwt"},
		"jwt without all":             {config{Auth: "jwt"}, "client_id, username, private_key_file: required for jwt"},
		"refresh token":               {config{ClientID: "a", ClientSecret: "b", RefreshToken: "r"}, ""},
		"access token":                {config{AccessToken: "t", InstanceURL: domain}, ""},
		"access token, no instance":   {config{AccessToken: "t"}, "instance_url: required for access_token"},
		"access token to a path":      {config{AccessToken: "t", InstanceURL: domain + "/x"}, "instance_url: want only scheme and host"},
		"access token by http":        {config{AccessToken: "t", InstanceURL: "http://acme.my.salesforce.com"}, "plain http"},
		"unknown flow":                {config{Auth: "password"}, `got "password"`},
		"http":                        {config{LoginURL: "http://login.salesforce.com", Auth: "jwt", ClientID: "a", Username: "u", PrivateKeyFile: "k"}, "plain http"},
		"http to this machine":        {config{LoginURL: "http://127.0.0.1:8080", ClientID: "a", ClientSecret: "b"}, ""},
		"http to this machine, IPv6":  {config{LoginURL: "http://[::1]:8080", ClientID: "a", ClientSecret: "b"}, ""},
		"http to localhost":           {config{LoginURL: "http://localhost:8080", ClientID: "a", ClientSecret: "b"}, ""},
		"http to a lookalike":         {config{LoginURL: "http://localhost.example", ClientID: "a", ClientSecret: "b"}, "plain http"},
		"no scheme":                   {config{LoginURL: "acme.my.salesforce.com", ClientID: "a", ClientSecret: "b"}, "login_url: want https://HOST"},
		"version":                     {config{LoginURL: domain, ClientID: "a", ClientSecret: "b", APIVersion: "latest"}, "api_version"},
		"version with v":              {config{LoginURL: domain, ClientID: "a", ClientSecret: "b", APIVersion: "v60.0"}, ""},
	} {
		err := tt.cfg.Validate()
		if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

func TestConfigNeverPrintsItsSecrets(t *testing.T) {
	t.Parallel()
	cfg := salesforce.Config{
		LoginURL: "https://user:" + clientSecret + "@acme.my.salesforce.com", ClientID: "3MVG9-app", ClientSecret: clientSecret,
		RefreshToken: refreshToken, AccessToken: "00D!token", Username: "ada@example.org",
	}
	text, err := json.Marshal(struct {
		A salesforce.Config
		B *salesforce.Config
	}{cfg, &cfg})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		string(text), fmt.Sprint(cfg), fmt.Sprint(&cfg), fmt.Sprintf("%s %q %v %+v %#v %x %d", cfg, cfg, cfg, cfg, cfg, cfg, cfg),
		fmt.Sprintf("%v %+v %#v", &cfg, &cfg, &cfg), fmt.Sprintf("%+v", []salesforce.Config{cfg}), fmt.Sprint(cfg.Validate()),
	} {
		checkNoSecrets(t, s)
	}
	if s := fmt.Sprint(cfg); !strings.Contains(s, "ada@example.org") || !strings.Contains(s, "(set)") {
		t.Errorf("%s does not show what may be seen", s)
	}
}
