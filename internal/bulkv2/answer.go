package bulkv2

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxErrorBytes  = 64 << 10 // of an error's body; more is not read
	maxAnswerBytes = 16 << 20 // of a JSON answer; a page of 1,000 jobs takes about 600 kB
	maxMessage     = 500      // characters of a message that is not Salesforce's JSON
)

// refusal turns an answer with an error status into an *APIError. A body that breaks off still leaves the status.
func refusal(r Request, resp *http.Response) *APIError {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes)) // the status is what counts
	e := &APIError{Request: r, StatusCode: resp.StatusCode, RetryAfter: parseRetryAfter(resp.Header, time.Now())}
	e.Code, e.Message, e.Fields = parseErrorBody(body)
	if target := resp.Header.Get("Location"); resp.StatusCode/100 == 3 && target != "" {
		e.Message = fmt.Sprintf("redirected to %q, which is not followed: check the instance URL", place(target))
	}
	return e
}

// place is an address without its query, in which a session may stand.
func place(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that cannot be read"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// errorItem is one error in JSON: Salesforce's API form or, with Error, that of its OAuth endpoints.
type errorItem struct {
	ErrorCode   string   `json:"errorCode"`
	Message     string   `json:"message"`
	Fields      []string `json:"fields"`
	Error       string   `json:"error"`
	Description string   `json:"error_description"`
}

// parseErrorBody reads the body of an error: a JSON array of errors, a bare object, the OAuth form, an HTML page or
// nothing at all.
func parseErrorBody(body []byte) (code, message string, fields []string) {
	items := parseErrorItems(body)
	if len(items) == 0 {
		return "", plainText(body), nil
	}
	messages := make([]string, len(items))
	for i, it := range items {
		messages[i] = storable(it.Message + it.Description)
		fields = append(fields, it.Fields...)
	}
	return storable(items[0].ErrorCode + items[0].Error), strings.Join(messages, "; "), fields
}

func parseErrorItems(body []byte) []errorItem {
	var items []errorItem
	body = bytes.TrimSpace(body)
	if bytes.HasPrefix(body, []byte("{")) {
		body = append(append([]byte("["), body...), ']')
	}
	if json.Unmarshal(body, &items) != nil || len(items) == 0 || items[0].ErrorCode+items[0].Error == "" {
		return nil
	}
	return items
}

var (
	reInvisible = regexp.MustCompile(`(?is)<(script|style|head)\b.*?</(script|style|head)>|<!--.*?-->`)
	reTag       = regexp.MustCompile(`(?s)<[^>]*>`)
)

// plainText returns the visible text of an HTML page, or of anything else, on one line and cut to maxMessage.
func plainText(body []byte) string {
	s := storable(string(body))
	s = reTag.ReplaceAllString(reInvisible.ReplaceAllString(s, " "), " ")
	s = strings.Join(strings.Fields(html.UnescapeString(s)), " ")
	if utf8.RuneCountInString(s) > maxMessage {
		s = string([]rune(s)[:maxMessage]) + "…"
	}
	return s
}

// storable returns text that any database takes: JSON can hold a NUL, Postgres cannot.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// decode reads a JSON answer into v.
func decode(resp *http.Response, v any) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return fmt.Errorf("read body: %w", err)
	case len(body) > maxAnswerBytes:
		return fmt.Errorf("body of more than %d bytes", maxAnswerBytes)
	case len(bytes.TrimSpace(body)) == 0:
		return fmt.Errorf("empty body: %w", io.ErrUnexpectedEOF)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w in %q", err, plainText(body[:min(len(body), 4*maxMessage)]))
	}
	return nil
}
