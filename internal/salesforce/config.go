package salesforce

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Defaults of [Config].
const (
	DefaultLoginURL   = "https://login.salesforce.com"
	DefaultAPIVersion = "66.0"
	DefaultClientName = "bulkhead"
	DefaultSessionTTL = time.Hour
	DefaultTimeout    = 2 * time.Minute
	DefaultParallel   = 16
)

// The flows by which [Open] can log in: the values of [Config.Auth].
const (
	ClientCredentials = "client_credentials"
	JWT               = "jwt"
	RefreshToken      = "refresh_token"
	AccessToken       = "access_token"
)

// Config says which org to log in to, and how. Whatever prints it prints no secret.
type Config struct {
	// LoginURL is where tokens are asked for: https://login.salesforce.com (the default), https://test.salesforce.com,
	// or the org's My Domain such as https://acme.my.salesforce.com, which client credentials need. Plain http is
	// allowed to the machine itself only.
	LoginURL string
	// Auth names the flow. When empty it follows from what is set, in this order: PrivateKeyFile means jwt,
	// RefreshToken means refresh_token, ClientSecret means client_credentials, AccessToken means access_token.
	Auth string

	ClientID       string // the app's consumer key; for all flows but access_token
	ClientSecret   string // secret; for client_credentials, and for refresh_token where the app asks for it
	Username       string // for jwt
	PrivateKeyFile string // for jwt: an RSA key, PEM, PKCS#1 or PKCS#8, without passphrase
	Audience       string // for jwt; default: LoginURL
	RefreshToken   string // secret; for refresh_token
	AccessToken    string // secret; for access_token, with InstanceURL
	InstanceURL    string // for access_token: the org's own address

	APIVersion string        // such as 66.0, the default
	ClientName string        // names the writer in the org's logs and change events; default bulkhead
	SessionTTL time.Duration // a session older than this is renewed before it is used; default 1 hour
	Timeout    time.Duration // of one attempt of a login or of a reading request; default 2 minutes
	Parallel   int           // how many requests are expected at one time; connections are kept for as many; default 16

	// Transport carries the requests; default: one made for this purpose.
	Transport http.RoundTripper
}

func (c Config) withDefaults() Config {
	setDefault(&c.LoginURL, DefaultLoginURL)
	setDefault(&c.APIVersion, DefaultAPIVersion)
	setDefault(&c.ClientName, DefaultClientName)
	setDefault(&c.SessionTTL, DefaultSessionTTL)
	setDefault(&c.Timeout, DefaultTimeout)
	setDefault(&c.Parallel, DefaultParallel)
	c.APIVersion = strings.TrimPrefix(c.APIVersion, "v")
	c.Auth = c.flow()
	if c.Transport == nil {
		c.Transport = newTransport(c.Parallel)
	}
	return c
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// flow returns the flow's name as the constants have it, or what cannot be one.
func (c Config) flow() string {
	switch auth := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(c.Auth)), "-", "_"); {
	case auth == "jwt_bearer":
		return JWT
	case auth != "":
		return auth
	case c.PrivateKeyFile != "":
		return JWT
	case c.RefreshToken != "":
		return RefreshToken
	case c.ClientSecret != "":
		return ClientCredentials
	case c.AccessToken != "":
		return AccessToken
	}
	return ""
}

// Validate reports what is missing or wrong, without any request. [Open] calls it.
func (c Config) Validate() error {
	c = c.withDefaults()
	if err := c.checkFlow(); err != nil {
		return err
	}
	if !regexp.MustCompile(`^\d{1,3}\.0$`).MatchString(c.APIVersion) {
		return fmt.Errorf("salesforce: api_version: want a version such as %s, got %q", DefaultAPIVersion, c.APIVersion)
	}
	if c.SessionTTL < 0 || c.Timeout < 0 || c.Parallel < 0 {
		return errors.New("salesforce: SessionTTL, Timeout and Parallel must not be negative")
	}
	if c.Auth == AccessToken {
		if strings.ContainsFunc(c.AccessToken, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return errors.New("salesforce: access_token: holds a blank, a line break or another sign that is in no token")
		}
		_, err := parseHost("instance_url", c.InstanceURL)
		return err
	}
	login, err := parseHost("login_url", c.LoginURL)
	if err != nil {
		return err
	}
	if h := login.Hostname(); c.Auth == ClientCredentials && (h == "login.salesforce.com" || h == "test.salesforce.com") {
		return fmt.Errorf("salesforce: login_url: client_credentials needs the org's My Domain, https://NAME.my.salesforce.com, not %s", h)
	}
	return nil
}

func (c Config) checkFlow() error {
	type field struct{ name, value string }
	var need []field
	id := field{"client_id", c.ClientID}
	switch c.Auth {
	case ClientCredentials:
		need = []field{id, {"client_secret", c.ClientSecret}}
	case JWT:
		need = []field{id, {"username", c.Username}, {"private_key_file", c.PrivateKeyFile}}
	case RefreshToken:
		need = []field{id, {"refresh_token", c.RefreshToken}}
	case AccessToken:
		need = []field{{"access_token", c.AccessToken}, {"instance_url", c.InstanceURL}}
	case "":
		return errors.New("salesforce: no way to log in is set: give client_id with client_secret, with username and " +
			"private_key_file, or with refresh_token; or give access_token with instance_url")
	default:
		return fmt.Errorf("salesforce: auth: want %s, %s, %s or %s, got %q",
			ClientCredentials, JWT, RefreshToken, AccessToken, c.Auth)
	}
	var missing []string
	for _, f := range need {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("salesforce: %s: required for %s", strings.Join(missing, ", "), c.Auth)
	}
	return nil
}

// parseHost reads an address of which only scheme and host count. It refuses plain http to another machine, because a
// token would travel in the clear.
func parseHost(name, address string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	switch {
	case err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, fmt.Errorf("salesforce: %s: want https://HOST", name) // not quoted: a token may have got in here
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("salesforce: %s: want only scheme and host, https://%s", name, u.Host)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, fmt.Errorf("salesforce: %s: plain http is for the machine itself only, want https://%s", name, u.Host)
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// redacted is Config as it may be shown.
type redacted struct {
	LoginURL       string `json:"login_url,omitempty"`
	Auth           string `json:"auth,omitempty"`
	ClientID       string `json:"client_id,omitempty"`
	ClientSecret   string `json:"client_secret,omitempty"`
	Username       string `json:"username,omitempty"`
	PrivateKeyFile string `json:"private_key_file,omitempty"`
	RefreshToken   string `json:"refresh_token,omitempty"`
	AccessToken    string `json:"access_token,omitempty"`
	InstanceURL    string `json:"instance_url,omitempty"`
	APIVersion     string `json:"api_version,omitempty"`
}

func (c Config) redact() redacted {
	return redacted{
		LoginURL: withoutUser(c.LoginURL), Auth: c.Auth, ClientID: c.ClientID, ClientSecret: mask(c.ClientSecret), Username: c.Username,
		PrivateKeyFile: c.PrivateKeyFile, RefreshToken: mask(c.RefreshToken), AccessToken: mask(c.AccessToken),
		InstanceURL: withoutUser(c.InstanceURL), APIVersion: c.APIVersion,
	}
}

func mask(secret string) string {
	if secret == "" {
		return ""
	}
	return "(set)"
}

func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(not a URL)"
	}
	return u.Redacted()
}

// Format prints the configuration, for every verb, without its secrets.
func (c Config) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%+v", c.redact()) }

// MarshalJSON encodes the configuration without its secrets.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.redact()) }
