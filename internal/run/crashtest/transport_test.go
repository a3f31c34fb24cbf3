package crashtest

import (
	"io"
	"net/http"
	"path"
	"strings"
)

// probed tells a probe of every request, before it leaves and after its answer has begun, and of the
// middle of what is uploaded and downloaded.
type probed struct {
	base  http.RoundTripper
	probe func(string)
}

// resultsHalf is some way into the results of a chunk, whose length is not told.
const resultsHalf = 150

func (p probed) RoundTrip(req *http.Request) (*http.Response, error) {
	name := "http " + requestName(req)
	p.probe(name + ": before")
	req = req.Clone(req.Context())
	req.Header.Del("Accept-Encoding")
	if req.Method == http.MethodPut {
		req.Body = &middle{ReadCloser: req.Body, left: req.ContentLength / 2, reached: func() { p.probe(name + ": middle") }}
	}
	resp, err := p.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	p.probe(name + ": after")
	if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "esults") {
		resp.Body = &middle{ReadCloser: resp.Body, left: resultsHalf, reached: func() { p.probe(name + ": middle") }}
	}
	return resp, nil
}

// requestName says what a request is for.
func requestName(req *http.Request) string {
	last := path.Base(req.URL.Path)
	switch {
	case last == "token":
		return "login"
	case req.Method == http.MethodPost && last == "ingest":
		return "create"
	case req.Method == http.MethodPut:
		return "upload"
	case req.Method == http.MethodPatch && bodyHas(req, "Aborted"):
		return "abort"
	case req.Method == http.MethodPatch:
		return "close"
	case strings.Contains(req.URL.Path, "/jobs/ingest/750"):
		if strings.HasPrefix(last, "750") {
			return "poll"
		}
	}
	return last
}

func bodyHas(req *http.Request, text string) bool {
	if req.GetBody == nil {
		return false
	}
	body, err := req.GetBody()
	if err != nil {
		return false
	}
	defer body.Close()
	raw, err := io.ReadAll(body)
	return err == nil && strings.Contains(string(raw), text)
}

// middle is a body that says when its first half has been read. What follows waits for the next Read.
type middle struct {
	io.ReadCloser
	left    int64
	reached func()
}

func (m *middle) Read(p []byte) (int, error) {
	if m.reached != nil {
		if m.left <= 0 {
			m.reached()
			m.reached = nil
		} else if int64(len(p)) > m.left {
			p = p[:m.left]
		}
	}
	n, err := m.ReadCloser.Read(p)
	m.left -= int64(n)
	return n, err
}
