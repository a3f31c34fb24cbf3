package bulkv2_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/internal/bulkv2"
)

const jobID = "7508d00000Xy1zAAAR"

// fastRetry repeats almost at once, and little.
func fastRetry() bulkv2.RetryConfig {
	return bulkv2.RetryConfig{MaxTries: 3, Base: time.Microsecond, Cap: time.Microsecond, LimitBase: time.Microsecond, LimitCap: time.Microsecond, MaxRetryAfter: time.Millisecond}
}

// script answers one request after the other with its steps, the last one again and again.
type script struct {
	mu       sync.Mutex
	steps    []http.HandlerFunc
	requests []request
}

// request is what the server saw.
type request struct {
	Method, URI, Body string
	Length            int64
	Header            http.Header
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	step, seen := s.next(r)
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	seen.Body = string(body)
	s.mu.Unlock()
	step(w, r)
}

func (s *script) next(r *http.Request) (http.HandlerFunc, *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	step := s.steps[min(len(s.requests), len(s.steps)-1)]
	s.requests = append(s.requests, request{Method: r.Method, URI: r.RequestURI, Length: r.ContentLength, Header: r.Header.Clone()})
	return step, &s.requests[len(s.requests)-1]
}

// seen returns method and last part of the path of all requests: "PATCH 7508…".
func (s *script) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, r := range s.requests {
		lines = append(lines, r.Method+" "+strings.ReplaceAll(r.URI[strings.LastIndex(r.URI, "/")+1:], jobID, "{id}"))
	}
	return lines
}

func (s *script) request(i int) request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[i]
}

// serve starts a server with these steps and a client of it.
func serve(t *testing.T, steps ...http.HandlerFunc) (*bulkv2.Client, *script) {
	t.Helper()
	s := &script{steps: steps}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return newClient(t, bulkv2.Config{HTTP: srv.Client(), InstanceURL: srv.URL, Retry: fastRetry()}), s
}

func newClient(t *testing.T, cfg bulkv2.Config) *bulkv2.Client {
	t.Helper()
	c, err := bulkv2.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func reply(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func refuse(status int, code, message string) http.HandlerFunc {
	body, _ := json.Marshal([]map[string]string{{"errorCode": code, "message": message}})
	return reply(status, string(body), "Content-Type", "application/json")
}

func jobIn(state bulkv2.State) http.HandlerFunc {
	return reply(200, `{"id":"`+jobID+`","object":"Account","operation":"insert","state":"`+string(state)+`","apiVersion":66.0}`)
}

// reset breaks the connection off without an answer.
func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset, not an orderly end
	}
	_ = conn.Close()
}

// cut announces more than it sends.
func cut(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "4096")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}
