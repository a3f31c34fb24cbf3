package bulkv2

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Error codes that callers tell apart. Bulk API 2.0 guide, "Errors"; on the wire the codes of that page are in capitals
// and without underscores.
const (
	CodeInvalidJobState      = "INVALIDJOBSTATE"
	CodeInvalidJob           = "INVALIDJOB"
	CodeInvalidSession       = "INVALID_SESSION_ID"
	CodeRequestLimitExceeded = "REQUEST_LIMIT_EXCEEDED"
	CodeLimitExceeded        = "LIMIT_EXCEEDED"
	CodeExceededQuota        = "EXCEEDEDQUOTA"
	CodeServerUnavailable    = "SERVER_UNAVAILABLE"
	CodeNotFound             = "NOT_FOUND"
)

// Request names the request that an error is about.
type Request struct {
	Op      string // what it was for, such as "upload"
	Method  string
	Path    string // with {id} in place of the job id
	JobID   string // empty for Create and Jobs
	Attempt int    // how many times it has been sent, this one included

	repeatable bool // the caller may make the call again, even when the org acted on this request
	blindly    bool // and so may the client, without looking first
}

func (r Request) describe(what string) string {
	var b strings.Builder
	if r.JobID != "" {
		fmt.Fprintf(&b, "job %s: ", r.JobID)
	}
	fmt.Fprintf(&b, "%s: %s", r.Op, what)
	if r.Attempt > 1 {
		fmt.Fprintf(&b, " (attempt %d)", r.Attempt)
	}
	return b.String()
}

// APIError is an answer by which the org, or something in front of it, refuses a request.
type APIError struct {
	Request
	StatusCode int
	Code       string        // such as INVALIDJOBSTATE; empty when the answer is not Salesforce's JSON
	Message    string        // the org's words, or the text of an HTML page, cut to a few hundred characters
	Fields     []string      // the fields it is about, seldom given
	RetryAfter time.Duration // from the Retry-After header, 0 without
}

// Error describes the refusal: `job 750…: close: salesforce 400 INVALIDJOBSTATE: …`.
func (e *APIError) Error() string {
	what := fmt.Sprintf("salesforce %d", e.StatusCode)
	if e.Code != "" {
		what += " " + e.Code
	}
	switch {
	case e.Message != "":
		what += ": " + e.Message
	case e.Code == "":
		what += ": " + http.StatusText(e.StatusCode)
	}
	if len(e.Fields) > 0 {
		what += " (" + strings.Join(e.Fields, ", ") + ")"
	}
	return e.describe(what)
}

// refused reports whether the answer proves that the org did not act on the request. The statuses below 500 are
// refusals by definition, except for a timeout. Of the others only Salesforce's own SERVER_UNAVAILABLE is one: a 502 or
// a page of HTML may come from a proxy that had passed the request on.
func (e *APIError) refused() bool {
	if e.StatusCode < 500 {
		return e.StatusCode != http.StatusRequestTimeout
	}
	return e.StatusCode == http.StatusServiceUnavailable && e.Code != ""
}

// statusNoRoute is Salesforce's own: the edge has no route to the org just now. REST API guide, "Status Codes and
// Error Responses".
const statusNoRoute = 420

// passing reports whether the same request may succeed later with nothing changed.
func (e *APIError) passing() bool {
	if LimitReached(e) || e.Code == CodeServerUnavailable {
		return true
	}
	switch e.StatusCode {
	case http.StatusRequestTimeout, statusNoRoute, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusNotAcceptable: // seen from overloaded edges, as a page; in JSON it means what it says
		return e.Code == ""
	}
	return false
}

// quota reports whether a daily allowance is used up, so that waiting within one call is of no use.
func (e *APIError) quota() bool {
	return e.Code == CodeExceededQuota || e.Code == CodeLimitExceeded
}

// NetError is a request that got no answer: no connection, a connection that broke, or a timeout.
type NetError struct {
	Request
	Sent bool  // the request, or part of it, may have reached the org and been acted on
	Err  error // the cause
}

// Error describes what happened to the request.
func (e *NetError) Error() string {
	if e.Sent {
		return e.describe("no answer: " + e.Err.Error())
	}
	return e.describe(e.Err.Error())
}

// Unwrap returns the cause.
func (e *NetError) Unwrap() error { return e.Err }

// AnswerError is an answer that says neither yes nor no: cut short, a page of HTML with status 200, JSON without the
// job's id, or a status that this call has no meaning for.
type AnswerError struct {
	Request
	StatusCode int
	Err        error
}

// Error describes the answer.
func (e *AnswerError) Error() string {
	return e.describe(fmt.Sprintf("answer %d not understood: %v", e.StatusCode, e.Err))
}

// Unwrap returns the cause.
func (e *AnswerError) Unwrap() error { return e.Err }

// StillRunningError is what [Client.Wait] returns when its limit is reached before the job has ended. The job goes on
// in the org.
type StillRunningError struct {
	Job   Job // as last seen; only ID is set when it was never seen
	Limit time.Duration
	Err   error // the last poll's error, nil when it succeeded
}

// Error names the job, its last known state and the limit.
func (e *StillRunningError) Error() string {
	state := "of unknown state"
	if e.Job.State != "" {
		state = "still " + string(e.Job.State)
	}
	s := fmt.Sprintf("job %s: %s after %v", e.Job.ID, state, e.Limit)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the last poll's error.
func (e *StillRunningError) Unwrap() error { return e.Err }

// errTimeout is the cause when a request is given up because nothing moves any more.
var errTimeout = errors.New("timeout")

// Retryable reports whether the same call may be made again later, with nothing changed, and without harm. It is false
// for a Create or an Upload whose outcome is unknown (see [NothingAccepted]), for a refusal that time will not mend,
// and for a context that has ended. Close and Abort look before they act, so they may be made again after any trouble.
func Retryable(err error) bool {
	return retryable(err, func(r Request) bool { return r.repeatable })
}

// retryable is Retryable, with harmless telling whether a request may be made again although it may have taken effect.
func retryable(err error, harmless func(Request) bool) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var still *StillRunningError
	var api *APIError
	var lost *NetError
	var odd *AnswerError
	switch {
	case errors.As(err, &still):
		return true
	case errors.As(err, &api):
		return api.passing() && (api.refused() || harmless(api.Request))
	case errors.As(err, &lost):
		return mayRecover(lost.Err) && (!lost.Sent || harmless(lost.Request))
	case errors.As(err, &odd):
		return harmless(odd.Request)
	}
	var cut *ResultsError
	return errors.As(err, &cut) && cut.Truncated
}

// mayRecover reports whether a request without an answer may fare better later.
func mayRecover(err error) bool {
	var opinion interface{ Retryable() bool }
	if errors.As(err, &opinion) {
		return opinion.Retryable()
	}
	var certificate *tls.CertificateVerificationError
	return !errors.As(err, &certificate)
}

// NothingAccepted reports whether it is certain that the org did not act on the request that err is about: it was
// refused, or it never left. For a nil error and for an error of another package it is false.
func NothingAccepted(err error) bool {
	var api *APIError
	var lost *NetError
	switch {
	case errors.As(err, &api):
		return api.refused()
	case errors.As(err, &lost):
		return !lost.Sent
	}
	var local *InputError
	return errors.As(err, &local)
}

// LimitReached reports whether an allowance of the org is used up: requests (of the day, or running at one time), jobs
// or batches. Such a call is [Retryable], but it may take hours until it succeeds.
func LimitReached(err error) bool {
	var api *APIError
	return errors.As(err, &api) &&
		slices.Contains([]string{CodeRequestLimitExceeded, CodeLimitExceeded, CodeExceededQuota}, api.Code)
}

// NotFound reports whether the org does not know the job: it was deleted, is older than seven days, or belongs to
// another org.
func NotFound(err error) bool {
	var api *APIError
	return errors.As(err, &api) && api.StatusCode == http.StatusNotFound
}

// again reports whether the client itself repeats a call that ended with err.
func again(err error) bool {
	var api *APIError
	if errors.As(err, &api) && api.quota() {
		return false
	}
	return retryable(err, func(r Request) bool { return r.blindly })
}

// InputError is an argument that was refused here, before any request.
type InputError struct {
	Op  string
	Err error
}

// Error says what is wrong with the argument.
func (e *InputError) Error() string { return e.Op + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *InputError) Unwrap() error { return e.Err }
