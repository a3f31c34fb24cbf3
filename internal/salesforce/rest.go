package salesforce

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	maxTries      = 6
	maxAnswer     = 64 << 20 // bytes of JSON; the describe of an object with 800 fields takes about 2 MB
	maxErrorBody  = 64 << 10
	maxRetryAfter = time.Minute
)

// APIError is an answer by which the org refuses a request.
type APIError struct {
	Op         string // what the request was for
	StatusCode int
	Code       string // such as INVALID_FIELD; empty when the answer is not Salesforce's JSON
	Message    string
	Fields     []string
	RetryAfter time.Duration
}

// Error describes the refusal.
func (e *APIError) Error() string {
	what := fmt.Sprintf("%s: salesforce %d", e.Op, e.StatusCode)
	if e.Code != "" {
		what += " " + e.Code
	}
	if e.Message != "" {
		what += ": " + e.Message
	}
	return what
}

// Retryable reports whether the same request may succeed later, with nothing changed.
func (e *APIError) Retryable() bool {
	switch e.StatusCode {
	case 420, http.StatusTooManyRequests, http.StatusRequestTimeout: // 420: the edge has no route to the org
		return true
	}
	return e.StatusCode >= 500 || e.Code == "REQUEST_LIMIT_EXCEEDED"
}

// Forbidden reports whether the request is refused for want of a permission.
func (e *APIError) Forbidden() bool {
	return e.StatusCode == http.StatusForbidden && !e.Retryable()
}

// get reads path into v, and repeats that for passing troubles.
func (o *Org) get(ctx context.Context, op, path string, query url.Values, v any) error {
	var last error
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		last = o.getOnce(ctx, op, path, query, v)
		if last != nil && !passing(last) {
			return struct{}{}, backoff.Permanent(last)
		}
		return struct{}{}, last
	}, backoff.WithMaxTries(maxTries), backoff.WithBackOff(&pause{last: &last}))
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, last): // the context ended while waiting
		return fmt.Errorf("%w, after %w", err, last)
	}
	return last
}

// pause waits longer from try to try, with full jitter, and at least as long as the org asked for.
type pause struct {
	backoff.ExponentialBackOff
	last *error
}

func (p *pause) Reset() {
	p.InitialInterval, p.Multiplier, p.RandomizationFactor, p.MaxInterval = 250*time.Millisecond, 2, 1, 10*time.Second
	p.ExponentialBackOff.Reset()
}

func (p *pause) NextBackOff() time.Duration {
	wait := p.ExponentialBackOff.NextBackOff()
	var api *APIError
	if errors.As(*p.last, &api) {
		wait = max(wait, min(api.RetryAfter, maxRetryAfter))
	}
	return wait
}

// passing reports whether a request that reads may succeed when it is made again.
func passing(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	var opinion interface{ Retryable() bool }
	if errors.As(err, &opinion) {
		return opinion.Retryable()
	}
	var certificate *tls.CertificateVerificationError
	return !errors.As(err, &certificate) // no answer, or one that broke off
}

func (o *Org) getOnce(ctx context.Context, op, path string, query url.Values, v any) error {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	u := *o.instance
	u.Path, u.RawQuery = path, query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := o.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", op, withoutURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(op, resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: read answer: %w", op, err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s: read answer: %w", op, err)
	}
	return nil
}

// withoutURL takes off the URL that net/http wraps around an error: the query may hold values of records.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// storable returns text that any database takes: JSON can hold a NUL, Postgres cannot.
func storable(s string) string {
	return strings.ReplaceAll(s, "\x00", "\uFFFD")
}

// refusal reads an error, which is an array of errors, a bare one, or no JSON at all.
func refusal(op string, resp *http.Response) error {
	e := &APIError{Op: op, StatusCode: resp.StatusCode}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(min(s, 3600)) * time.Second
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // the status is what counts
	text := strings.TrimSpace(string(body))
	if strings.HasPrefix(text, "{") {
		text = "[" + text + "]"
	}
	var items []struct {
		Code    string   `json:"errorCode"`
		Message string   `json:"message"`
		Fields  []string `json:"fields"`
	}
	if json.Unmarshal([]byte(text), &items) == nil && len(items) > 0 {
		e.Code, e.Message, e.Fields = storable(items[0].Code), storable(items[0].Message), items[0].Fields
	} else {
		e.Message = http.StatusText(resp.StatusCode)
	}
	return e
}
