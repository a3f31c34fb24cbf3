package emulator

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// maxURI is how long a request's address may be (REST guide, "Status Codes and
// Error Responses"). It bounds queries before their own limit does.
const maxURI = 16_384

// call is one request to the API by someone who is logged in.
type call struct {
	w       http.ResponseWriter
	r       *http.Request
	org     *org
	version string // 66.0
	user    *user
}

func (c *call) answer(status int, v any) { answerJSON(c.w, c.r, status, v) }

// base is the path of the API version that the call used.
func (c *call) base() string { return "/services/data/v" + c.version }

// ServeHTTP answers a request as the org.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.working.Done()
	if path, ok := strings.CutPrefix(r.URL.Path, "/emulator/"); ok {
		s.serveControl(w, r, path)
		return
	}
	begin := time.Now()
	seen := &observed{ResponseWriter: w}
	fault, struck := s.faults.onRequest(r)
	defer func() {
		s.traffic.onAnswer(seen)
		s.log(r, seen, fault, time.Since(begin))
	}()
	if struck {
		s.serveFault(seen, r, fault)
		return
	}
	s.serve(seen, r)
}

// enter counts a request in; false once the server is closing.
func (s *Server) enter() bool {
	s.orgMu.RLock()
	defer s.orgMu.RUnlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.working.Add(1)
	return true
}

func (s *Server) log(r *http.Request, seen *observed, fault Fault, took time.Duration) {
	fields := []zap.Field{
		zap.String("method", r.Method), zap.String("path", r.URL.RequestURI()),
		zap.Int("status", seen.status), zap.Int64("bytes", seen.bytes), zap.Duration("took", took),
	}
	if fault.ID != "" {
		fields = append(fields, zap.String("fault", fault.ID), zap.String("does", string(fault.Do)))
	}
	s.cfg.Logger.Debug("request", fields...)
}

// observed remembers what was answered.
type observed struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (o *observed) WriteHeader(status int) {
	o.status = status
	o.ResponseWriter.WriteHeader(status)
}

func (o *observed) Write(p []byte) (int, error) {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	n, err := o.ResponseWriter.Write(p)
	o.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// serve answers a request that no fault has struck.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.wait(r, s.cfg.Latency) {
		panic(http.ErrAbortHandler)
	}
	if len(r.RequestURI) > maxURI {
		http.Error(w, "<h1>URI Too Long</h1>", http.StatusRequestURITooLong)
		return
	}
	path := strings.Trim(r.URL.EscapedPath(), "/")
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if decoded, err := url.PathUnescape(part); err == nil {
			parts[i] = decoded
		}
	}
	switch {
	case strings.HasPrefix(path, "services/oauth2/"):
		s.serveOAuth(w, r, strings.TrimPrefix(path, "services/oauth2/"))
	case parts[0] == "id" && len(parts) == 3:
		s.serveIdentity(w, r)
	case path == "services/data":
		answerJSON(w, r, http.StatusOK, versions())
	case len(parts) >= 3 && parts[0] == "services" && parts[1] == "data":
		s.serveAPI(w, r, parts[2], parts[3:])
	default:
		http.NotFound(w, r)
	}
}

// wait delays a request; false when the client or the server has gone.
func (s *Server) wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-s.ctx.Done():
	}
	return false
}

// serveAPI checks what every call of the API has to pass, and does it.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request, version string, rest []string) {
	c := &call{w: w, r: r, org: s.current()}
	if r.Method == http.MethodHead {
		// The server leaves the body of the answer out.
		c.r = r.WithContext(r.Context())
		c.r.Method = http.MethodGet
	}
	err := s.admitCall(c, version)
	if err == nil {
		w.Header().Set("Sforce-Limit-Info", c.org.limits.usage())
		err = s.dispatch(c, rest) //nolint:contextcheck // a job outlives the request that closes it
	}
	if err != nil {
		s.answerError(c, err)
	}
}

func (s *Server) admitCall(c *call, version string) error {
	if err := c.parseVersion(version); err != nil {
		return err
	}
	found, ok := s.session(c.r)
	if !ok {
		return errSession()
	}
	c.user = found.user
	s.calls.Add(1)
	if !c.org.limits.take(limitRequests, 1) {
		c.w.Header().Set("Sforce-Limit-Info", c.org.limits.usage())
		return refuse(http.StatusForbidden, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
	}
	if strings.EqualFold(c.r.Header.Get("Content-Encoding"), "gzip") {
		z, err := gzip.NewReader(c.r.Body)
		if err != nil {
			return refuse(http.StatusBadRequest, "MALFORMED_BODY", "the body is not in gzip format")
		}
		c.r.Body = io.NopCloser(z)
	}
	return nil
}

// parseVersion takes v66.0. Versions that were retired answer 410.
func (c *call) parseVersion(s string) error {
	number, ok := strings.CutPrefix(s, "v")
	major, minor, dotted := strings.Cut(number, ".")
	n, err := strconv.Atoi(major)
	switch {
	case !ok, !dotted, minor != "0", err != nil, n > MaxVersion, n < RetiredVersion:
		return errNotFound()
	case n < MinVersion:
		return refuse(http.StatusGone, "UNSUPPORTED_API_VERSION", "The requested API version %s is no longer supported.", number)
	}
	c.version = number
	return nil
}

func (s *Server) answerError(c *call, err error) {
	var refused *apiError
	if !errors.As(err, &refused) {
		s.cfg.Logger.Error("request failed", zap.String("path", c.r.URL.Path), zap.Error(err))
		refused = &apiError{status: http.StatusInternalServerError, code: "UNKNOWN_EXCEPTION", message: err.Error()}
	}
	if refused.status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", "Token")
	}
	c.answer(refused.status, refused)
}

// dispatch finds the resource. Salesforce takes a slash at the end.
func (s *Server) dispatch(c *call, parts []string) error {
	if len(parts) == 0 {
		return s.serveResources(c)
	}
	switch head := parts[0]; {
	case head == "limits" && len(parts) == 1:
		return s.serveLimits(c)
	case head == "sobjects":
		return s.serveObjects(c, parts[1:])
	case head == "query" || head == "queryAll":
		return s.serveQuery(c, head, parts[1:])
	case head == "jobs" && len(parts) >= 2 && parts[1] == "ingest":
		return s.serveIngest(c, parts[2:])
	}
	return errNotFound()
}
