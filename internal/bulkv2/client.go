package bulkv2

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Defaults of [Config].
const (
	DefaultAPIVersion    = "66.0"
	DefaultAnswerTimeout = 2 * time.Minute
	DefaultIdleTimeout   = time.Minute
)

// Config says which org a [Client] speaks to, and how patiently.
type Config struct {
	// HTTP sends the requests. It is already logged in: it adds the Authorization header and renews it. Required.
	// Its Timeout should be zero, because it would also cut long uploads and downloads.
	HTTP *http.Client
	// InstanceURL is the org's own address, such as https://acme.my.salesforce.com. Required.
	InstanceURL string
	// APIVersion is a version such as 66.0 (the default) or v66.0. Bulk API 2.0 exists since 41.0.
	APIVersion string
	// ClientName goes into the Sforce-Call-Options header, by which the org's logs and change events name the writer.
	// Empty: no such header.
	ClientName string
	// Retry bounds the repeats. The zero value means the defaults given there.
	Retry RetryConfig
	// AnswerTimeout is how long the org may take to begin its answer, counted from the last byte of the request.
	// Default 2 minutes.
	AnswerTimeout time.Duration
	// IdleTimeout is how long an upload or a download may stand still. Default 1 minute.
	IdleTimeout time.Duration
	// Observe, when set, is told of each request after it ended. Calls may come from several goroutines at once.
	Observe func(Event)
}

func (c Config) withDefaults() Config {
	if c.APIVersion == "" {
		c.APIVersion = DefaultAPIVersion
	}
	if c.AnswerTimeout == 0 {
		c.AnswerTimeout = DefaultAnswerTimeout
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = DefaultIdleTimeout
	}
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	c.APIVersion = strings.TrimPrefix(c.APIVersion, "v")
	c.Retry = c.Retry.withDefaults()
	return c
}

func (c Config) validate() error {
	if c.HTTP == nil {
		return errors.New("bulkv2: HTTP: required")
	}
	if !regexp.MustCompile(`^\d{1,3}\.0$`).MatchString(c.APIVersion) {
		return fmt.Errorf("bulkv2: APIVersion: want a version such as %s, got %q", DefaultAPIVersion, c.APIVersion)
	}
	if c.AnswerTimeout < 0 || c.IdleTimeout < 0 {
		return errors.New("bulkv2: AnswerTimeout and IdleTimeout must not be negative")
	}
	return c.Retry.validate()
}

// Client makes and follows ingest jobs in one org. It may be used by several goroutines at once.
type Client struct {
	http    *http.Client
	slots   *throttle
	origin  *url.URL // scheme and host of the org
	root    string   // /services/data/vXX.X, which every path begins with
	cfg     Config
	options string // the Sforce-Call-Options header, or ""
}

// New checks cfg and returns a client. It makes no request.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	origin, err := parseOrigin(cfg.InstanceURL)
	if err != nil {
		return nil, err
	}
	c := &Client{slots: newThrottle(), origin: origin, root: "/services/data/v" + cfg.APIVersion, cfg: cfg}
	if cfg.ClientName != "" {
		c.options = "client=" + cfg.ClientName
	}

	// net/http would turn a redirected POST or PATCH into a GET. The org redirects API calls only when it has moved,
	// so a redirect is reported and not followed.
	hc := *cfg.HTTP
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &hc
	return c, nil
}

func parseOrigin(instanceURL string) (*url.URL, error) {
	u, err := url.Parse(instanceURL)
	switch {
	case instanceURL == "":
		return nil, errors.New("bulkv2: InstanceURL: required")
	case err != nil, u.Host == "", u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("bulkv2: InstanceURL: want https://HOST, got %q", instanceURL)
	case u.User != nil, strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.Fragment != "":
		return nil, errors.New("bulkv2: InstanceURL: want only scheme and host")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}
