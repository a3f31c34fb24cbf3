package bulkv2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// call is one thing to ask of the org; do may send it several times.
type call struct {
	op        string
	method    string
	path      string // below /services/data/vXX.X, with {id} in the job id's place
	query     url.Values
	jobID     string
	body      Body // nil: none
	mediaType string
	accept    string
	ok        []int // the statuses that mean yes
	safe      bool  // may be repeated although the org may have acted on it
	settled   bool  // the caller of do finds out what the org did, so that its own caller may repeat the whole
	stream    bool  // the answer's body outlives the call
}

func (c call) request(attempt int) Request {
	return Request{Op: c.op, Method: c.method, Path: c.path, JobID: c.jobID, Attempt: attempt, repeatable: c.safe || c.settled, blindly: c.safe}
}

// do sends call, and repeats it as the package comment says. read takes what it needs from an answer that means yes.
func (c *Client) do(ctx context.Context, call call, read func(*http.Response) error) error {
	var ev Event
	err := c.retry(ctx, func(n int) error {
		ev = Event{Op: call.op, Method: call.method, Path: call.path, JobID: call.jobID, Attempt: n}
		if err := c.slots.enter(ctx); err != nil {
			ev.Err = &NetError{Request: call.request(n), Err: err}
			return ev.Err
		}
		ev.Err = c.attempt(ctx, call, &ev, read)
		ev.AtOnce = c.slots.leave(ev.Err)
		return ev.Err
	}, func(_ error, wait time.Duration) {
		ev.RetryIn = max(wait, 1)
		c.cfg.Observe(ev)
	})
	if ev.Err != nil && ev.RetryIn == 0 || ev.Err == nil && !call.stream {
		c.cfg.Observe(ev)
	}
	return err
}

// attempt sends call once.
func (c *Client) attempt(ctx context.Context, call call, ev *Event, read func(*http.Response) error) (err error) {
	began := time.Now()
	var sent atomic.Int64
	defer func() { ev.Took, ev.Sent = time.Since(began), sent.Load() }()

	if ctx.Err() != nil {
		return &NetError{Request: call.request(ev.Attempt), Err: context.Cause(ctx)}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	dog := newWatchdog(cancel)
	var leaving departure
	req, err := c.newRequest(leaving.trace(ctx), call, dog, &sent)
	if err != nil {
		cancel(nil)
		return &InputError{Op: call.op, Err: err}
	}

	dog.arm("answer", c.cfg.AnswerTimeout)
	resp, err := c.http.Do(req) //nolint:bodyclose // judge closes it, or hands it to the caller
	dog.answer()
	if err != nil {
		defer cancel(nil)
		return &NetError{Request: call.request(ev.Attempt), Sent: leaving.possible(err), Err: causeOf(ctx, err)}
	}
	ev.StatusCode = resp.StatusCode
	body := &receiving{ReadCloser: resp.Body, ctx: ctx, dog: dog, idle: c.cfg.IdleTimeout}
	body.onClose = func() { ev.Received = body.received }
	resp.Body = body
	return c.judge(call, ev, resp, began, read)
}

// judge decides what an answer means. It closes the body, unless the call streams and the answer means yes.
func (c *Client) judge(call call, ev *Event, resp *http.Response, began time.Time, read func(*http.Response) error) error {
	keep := false
	defer func() {
		if !keep {
			_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBytes) // so that the connection can be used again
			_ = resp.Body.Close()
		}
	}()

	r := call.request(ev.Attempt)
	switch {
	case resp.StatusCode >= 300:
		return refusal(r, resp)
	case !slices.Contains(call.ok, resp.StatusCode):
		return &AnswerError{Request: r, StatusCode: resp.StatusCode, Err: fmt.Errorf("want status %d", call.ok[0])}
	case strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html"):
		return &AnswerError{Request: r, StatusCode: resp.StatusCode, Err: errors.New("a page of HTML")}
	}
	if err := read(resp); err != nil {
		return &AnswerError{Request: r, StatusCode: resp.StatusCode, Err: err}
	}
	if call.stream {
		keep = true
		c.observeAtClose(*ev, resp, began)
	}
	return nil
}

// observeAtClose makes the event of a download when its body is closed.
func (c *Client) observeAtClose(ev Event, resp *http.Response, began time.Time) {
	body := resp.Body.(*receiving)
	body.onClose = func() {
		ev.Took, ev.Received = time.Since(began), body.received
		ev.Err = body.failed
		c.cfg.Observe(ev)
	}
}

func (c *Client) newRequest(ctx context.Context, call call, dog *watchdog, sent *atomic.Int64) (*http.Request, error) {
	u := *c.origin
	u.Path = c.root + strings.ReplaceAll(call.path, "{id}", call.jobID)
	u.RawQuery = call.query.Encode()
	req, err := http.NewRequestWithContext(ctx, call.method, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	if call.body != nil {
		if err := setBody(req, call.body, func(rc io.ReadCloser) io.ReadCloser {
			return &sending{ReadCloser: rc, dog: dog, idle: c.cfg.IdleTimeout, answer: c.cfg.AnswerTimeout, left: call.body.Size(), sent: sent}
		}); err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", call.mediaType)
	}
	req.Header.Set("Accept", call.accept)
	if call.stream {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	if c.options != "" {
		req.Header.Set("Sforce-Call-Options", c.options)
	}
	return req, nil
}

// setBody gives req a body of known length that net/http, and a client that renews its session, can open again.
func setBody(req *http.Request, body Body, wrap func(io.ReadCloser) io.ReadCloser) error {
	req.ContentLength = body.Size()
	req.GetBody = func() (io.ReadCloser, error) {
		rc, err := body.Open()
		if err != nil {
			return nil, err
		}
		return wrap(rc), nil
	}
	var err error
	req.Body, err = req.GetBody()
	return err
}

// departure finds out whether a request left the machine.
type departure struct {
	asked, left atomic.Bool
}

func (d *departure) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// A request that net/http or the session renewal sends again asks for a connection again; that is done only
		// when the one before was refused or not begun.
		GetConn:      func(string) { d.asked.Store(true); d.left.Store(false) },
		WroteHeaders: func() { d.left.Store(true) },
	})
}

// possible reports whether the org may have seen a request that ended with err.
func (d *departure) possible(err error) bool {
	var opinion interface{ NothingAccepted() bool }
	if errors.As(err, &opinion) && opinion.NothingAccepted() {
		return false
	}
	if d.asked.Load() {
		return d.left.Load()
	}
	// A round tripper that is not net/http's has taken part, or none at all.
	var dial *net.OpError
	return !errors.As(err, &dial) || dial.Op != "dial"
}

// causeOf returns why a request ended: our own timeout, the caller's context or the network, without the URL that
// net/http wraps around it.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
