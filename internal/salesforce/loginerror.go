package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/oauth2"
)

// LoginError is a login, or a renewal of the session, that did not succeed.
type LoginError struct {
	Flow        string // such as jwt
	Host        string // that was asked for a token
	StatusCode  int    // 0 when no answer came
	Code        string // the OAuth error, such as invalid_grant
	Description string // the org's words
	Hint        string // what to do about it; empty when unknown
	Err         error  // the cause when the org did not say no, else nil

	lost bool // no answer came
	odd  bool // an answer came that was cut short, or a page of HTML
}

// Error says what the org answered, and what to do.
func (e *LoginError) Error() string {
	var b strings.Builder
	b.WriteString("salesforce: log in")
	if e.Host != "" {
		fmt.Fprintf(&b, " to %s by %s", e.Host, e.Flow)
	}
	b.WriteString(": ")
	switch {
	case e.Code != "" && e.Description != "":
		fmt.Fprintf(&b, "%s: %s", e.Code, e.Description)
	case e.Code != "":
		b.WriteString(e.Code)
	case e.Err != nil:
		b.WriteString(e.Err.Error())
	default:
		fmt.Fprintf(&b, "status %d %s", e.StatusCode, http.StatusText(e.StatusCode))
	}
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *LoginError) Unwrap() error { return e.Err }

// Retryable reports whether the same login may succeed later: the host could not be reached, was overloaded, or gave an
// answer that makes no sense.
func (e *LoginError) Retryable() bool {
	switch {
	case e.lost:
		return !errors.Is(e.Err, context.Canceled)
	case e.Code != "":
		return e.Code == "server_error" || e.Code == "temporarily_unavailable" || strings.Contains(e.Description, "login rate exceeded")
	case e.odd:
		return true // asking for a token twice does no harm
	}
	return e.StatusCode >= 500 || e.StatusCode == http.StatusTooManyRequests || e.StatusCode == 420
}

// NothingAccepted is true: a request that needs a session is not acted on without one.
func (e *LoginError) NothingAccepted() bool { return true }

// checkAddress is what to do where no answer came.
const checkAddress = "check login_url and the network"

// loginError makes a *LoginError of what x/oauth2 returned, or of why there was no answer. None of the secrets can be
// in it.
func (f *flow) loginError(ctx context.Context, lost, err error) error {
	e := &LoginError{Flow: f.name, Host: f.login.Host}
	var answer *oauth2.RetrieveError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		e.Err, e.lost, e.Hint = fmt.Errorf("no answer within %v", f.timeout), true, checkAddress
		return e
	case errors.Is(lost, context.Canceled):
		e.Err, e.lost = lost, true
		return e
	case lost != nil:
		e.Err, e.lost, e.Hint = lost, true, checkAddress
		return e
	case errors.Is(err, errNotRenewable):
		e.Err, e.Hint = err, "get a new one, for example with sf org display, or use a flow that can log in again"
		return e
	case !errors.As(err, &answer):
		e.Err, e.odd = f.scrubbed(err), true
		return e
	}
	e.StatusCode = answer.Response.StatusCode
	var body struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(answer.Body, &body) == nil {
		e.Code, e.Description = storable(f.scrub(body.Code)), storable(f.scrub(body.Description))
	}
	e.Hint = hint(e.Code, e.Description, e.StatusCode)
	return e
}

// scrubbed returns err, or only its text where that had to be changed.
func (f *flow) scrubbed(err error) error {
	if clean := f.scrub(err.Error()); clean != err.Error() {
		return errors.New(clean)
	}
	return err
}

func (f *flow) scrub(s string) string { return without(s, f.secrets...) }

// advice is what to do about an OAuth error, found by its code, its description, or both.
type advice struct{ code, description, hint string }

// hint returns what usually helps. The errors are those of Salesforce Help, "OAuth 2.0 Error Codes", and what users met.
func hint(code, description string, status int) string {
	table := []advice{
		{"", "hasn't approved this consumer", "pre-authorize the user: in the app's policies choose \"Admin approved users are pre-authorized\", and give the user's profile or a permission set the app"},
		{"", "not admin approved", "approve the user: in the app's policies, give the user's profile or a permission set the app"},
		{"invalid_app_access", "", "approve the user: in the app's policies, give the user's profile or a permission set the app"},
		{"", "audience is invalid", "use the org's My Domain, https://NAME.my.salesforce.com, as login_url"},
		{"app_not_found", "", "use the org's My Domain, https://NAME.my.salesforce.com, as login_url"},
		{"", "invalid assertion", "the key does not belong to the certificate in the app, or this machine's clock is wrong"},
		{"", "expired authorization code", "this machine's clock is wrong"},
		{"", "expired access/refresh token", "the refresh token was revoked, has expired, or was replaced by a newer one: log in to the app again"},
		{"", "no client credentials user", "set the user to run as in the app's client credentials flow"},
		{"", "not supported on this domain", "use the org's My Domain, https://NAME.my.salesforce.com, as login_url"},
		{"", "client identifier invalid", "check client_id, and that the app is of the org behind login_url; a new app takes up to 10 minutes to be known"},
		{"invalid_client_id", "", "check client_id, and that the app is of the org behind login_url; a new app takes up to 10 minutes to be known"},
		{"invalid_client", "", "check client_id and client_secret"},
		{"", "authentication failure", "check username, that the user is active, and that it may log in from this address at this hour"},
		{"", "ip restricted", "the user may not log in from this address, or at this hour: see its profile, or relax IP restrictions in the app's policies"},
		{"unsupported_grant_type", "", "enable this flow in the app's OAuth settings"},
		{"OAUTH_APP_BLOCKED", "", "unblock the app in Setup, Connected Apps OAuth Usage"},
		{"inactive_user", "", "activate the user"},
		{"inactive_org", "", "the org is locked, closed or suspended"},
	}
	for _, a := range table {
		if (a.code == "" || strings.EqualFold(a.code, code)) && strings.Contains(strings.ToLower(description), strings.ToLower(a.description)) {
			return a.hint
		}
	}
	if status == http.StatusNotFound || status/100 == 3 {
		return "check login_url"
	}
	return ""
}
