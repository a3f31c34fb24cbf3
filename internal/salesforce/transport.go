package salesforce

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// newTransport returns a transport for one org that serves so many requests at a time.
func newTransport(parallel int) *http.Transport {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        2 * parallel,
		MaxIdleConnsPerHost: 2 * parallel,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 15 * time.Second,
		// Salesforce ends a request after 10 minutes itself. REST API guide, "API Request Limits and Allocations".
		ResponseHeaderTimeout: 10*time.Minute + 30*time.Second,
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
		// A connection that died without a word would otherwise take all its streams' patience.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
}

// authorized is the transport of [Org.HTTPClient].
type authorized struct {
	base     http.RoundTripper
	sessions *sessions
	options  string // the Sforce-Call-Options header
	usage    *usage
}

// RoundTrip sends req with the session's token. On a 401 it renews the session, together with all others who wait for
// that, and sends req again, once, if its body can be opened again.
func (a *authorized) RoundTrip(req *http.Request) (*http.Response, error) {
	s, err := a.sessions.get(req.Context(), 0)
	if err != nil {
		return nil, errors.Join(err, closeBody(req))
	}
	if err := sameHost(req.URL, s.instance); err != nil {
		return nil, errors.Join(err, closeBody(req))
	}
	resp, err := a.send(req, s)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}

	again, err := replay(req)
	if err != nil {
		return resp, nil //nolint:nilerr // what cannot be sent again gets the org's own answer
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
	if s, err = a.sessions.get(req.Context(), s.generation+1); err != nil {
		return nil, errors.Join(err, closeBody(again))
	}
	if err := sameHost(req.URL, s.instance); err != nil {
		return nil, errors.Join(err, closeBody(again))
	}
	return a.send(again, s)
}

func (a *authorized) send(req *http.Request, s *session) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.Header.Set("Authorization", "Bearer "+s.token)
	if out.Header.Get("Sforce-Call-Options") == "" {
		out.Header.Set("Sforce-Call-Options", a.options)
	}
	a.usage.calls.Add(1)
	resp, err := a.base.RoundTrip(out)
	if err == nil {
		a.usage.read(resp.Header.Get("Sforce-Limit-Info"))
		if resp.StatusCode >= 300 {
			resp.Body = &hushed{ReadCloser: resp.Body, secret: s.token}
		}
	}
	return resp, err
}

// hushed is the body of a refusal without the session in it: there are proxies that answer with the request that they
// refused, and what a refusal says goes into messages, logs and tables.
type hushed struct {
	io.ReadCloser
	secret string
	text   *bytes.Reader
	err    error // of reading the body
}

// Read reads what the body says, as far as anybody wants to know.
func (h *hushed) Read(p []byte) (int, error) {
	if h.text == nil {
		var body []byte
		body, h.err = io.ReadAll(io.LimitReader(h.ReadCloser, maxErrorBody))
		h.text = bytes.NewReader([]byte(without(string(body), h.secret)))
	}
	n, err := h.text.Read(p)
	if err != nil && h.err != nil {
		err = h.err
	}
	return n, err
}

// without takes secrets out of a text that others wrote.
func without(text string, secrets ...string) string {
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		for _, form := range []string{secret, url.QueryEscape(secret), html.EscapeString(secret)} {
			text = strings.ReplaceAll(text, form, "(secret)")
		}
	}
	return text
}

// replay returns req with its body opened again.
func replay(req *http.Request) (*http.Request, error) {
	again := req.Clone(req.Context())
	if req.Body == nil || req.Body == http.NoBody {
		return again, nil
	}
	if req.GetBody == nil {
		return nil, errors.New("the body cannot be opened again")
	}
	body, err := req.GetBody()
	again.Body = body
	return again, err
}

// closeBody does what a RoundTripper owes a request that it does not send.
func closeBody(req *http.Request) error {
	if req.Body == nil {
		return nil
	}
	return req.Body.Close()
}

// HostError is a request, or a redirect, to a host that the session does not belong to. It was not sent.
type HostError struct {
	Host string // where it would have gone
	Want string // the org's own
}

// Error names both hosts.
func (e *HostError) Error() string {
	return fmt.Sprintf("the session of %s is not sent to %s", e.Want, e.Host)
}

// Retryable is false: the same request would be refused again.
func (e *HostError) Retryable() bool { return false }

// NothingAccepted is true: the request was not sent.
func (e *HostError) NothingAccepted() bool { return true }

func sameHost(u *url.URL, instance *url.URL) error {
	if u.Scheme == instance.Scheme && u.Host == instance.Host {
		return nil
	}
	return &HostError{Host: u.Scheme + "://" + u.Host, Want: instance.String()}
}

// checkRedirect lets a redirect pass within the org's host only; [authorized] would refuse others too.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 5 {
		return errors.New("more than 5 redirects")
	}
	return sameHost(req.URL, via[0].URL)
}

// Usage is what has been used of the org's API requests.
type Usage struct {
	Calls     int64 // requests sent by this Org, logins not counted
	Used, Max int64 // of the org within 24 hours, as last told by the org; 0 when it has not been told
}

type usage struct {
	calls, used, limit atomic.Int64
}

func (u *usage) read(header string) {
	if used, limit, ok := parseLimitInfo(header); ok {
		u.used.Store(used)
		u.limit.Store(limit)
	}
}
