package emulator

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
)

// serveFault lets a request meet its fault.
func (s *Server) serveFault(w http.ResponseWriter, r *http.Request, f Fault) {
	switch f.Do {
	case DoStatus:
		answerStatus(w, f)
	case DoCutBefore:
		panic(http.ErrAbortHandler)
	case DoCutAfter:
		s.serve(&unanswered{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case DoCutBody:
		s.serve(&cutWriter{ResponseWriter: w, left: f.After, abort: true}, r)
		// The body was shorter than that: what there is leaves, its end does not.
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case DoTruncate:
		r.Header.Del("Accept-Encoding") // half a gzip stream is another fault
		s.serve(&cutWriter{ResponseWriter: w, left: f.After}, r)
	case DoHang:
		select {
		case <-s.faults.gate():
			s.serve(w, r)
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-s.ctx.Done():
			panic(http.ErrAbortHandler)
		}
	}
}

// answerStatus answers what a status looks like in Salesforce, or what the
// fault says.
func answerStatus(w http.ResponseWriter, f Fault) {
	body, contentType := f.Body, "application/json;charset=UTF-8"
	if body == "" {
		body, contentType = usualBody(f)
	}
	if body != "" && body[0] == '<' {
		contentType = "text/html;charset=UTF-8"
	}
	w.Header().Set("Content-Type", contentType)
	if f.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Token")
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	for name, value := range f.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(body))
}

// usualBody is what comes with a status: JSON from the org, a page from the
// edge in front of it.
func usualBody(f Fault) (body, contentType string) {
	code, message := "UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact support: 1203498723-41235 (-1842032982)"
	switch f.Status {
	case http.StatusUnauthorized:
		code, message = "INVALID_SESSION_ID", "Session expired or invalid"
	case http.StatusForbidden, http.StatusTooManyRequests:
		code, message = "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."
	case http.StatusServiceUnavailable:
		code, message = "SERVER_UNAVAILABLE", "We are currently unable to process your request. Please try again later."
	case http.StatusBadGateway, 420:
		return "<html><head><title>Error</title></head><body><h1>" + strconv.Itoa(f.Status) +
			"</h1><p>The server could not be reached. Please try again.</p></body></html>", "text/html;charset=UTF-8"
	}
	raw, err := json.Marshal(&apiError{code: cmp.Or(f.Code, code), message: cmp.Or(f.Message, message)})
	if err != nil {
		return "", "text/plain"
	}
	return string(raw), "application/json;charset=UTF-8"
}

// unanswered takes an answer that nobody will see.
type unanswered struct{ header http.Header }

func (u *unanswered) Header() http.Header         { return u.header }
func (u *unanswered) WriteHeader(int)             {}
func (u *unanswered) Write(p []byte) (int, error) { return len(p), nil }

// cutWriter passes so many bytes of a body on and then drops the rest, or the
// connection.
type cutWriter struct {
	http.ResponseWriter
	left  int
	abort bool
}

func (c *cutWriter) Write(p []byte) (int, error) {
	part := p[:min(len(p), c.left)]
	c.left -= len(part)
	if _, err := c.ResponseWriter.Write(part); err != nil {
		return 0, err
	}
	if c.abort && c.left == 0 {
		// What was written has to leave before the connection goes.
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return len(p), nil
}
