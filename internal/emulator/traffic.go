package emulator

import (
	"maps"
	"net"
	"net/http"
	"sync"
)

// Traffic is how clients use the org, since the start or the last reset: whether
// they keep connections, take compressed answers, and download results once.
type Traffic struct {
	Connections int64 `json:"connections"` // opened
	Answers     int64 `json:"answers"`
	Compressed  int64 `json:"compressed_answers"`
	Bytes       int64 `json:"answered_bytes"` // of their bodies, compressed where they were
	// Downloads of results that were begun, by kind: successfulresults,
	// failedresults, unprocessedrecords.
	Downloads map[string]int64 `json:"downloads"`
}

// traffic counts. The control endpoints, which are no part of an org, count
// among connections only.
type traffic struct {
	mu   sync.Mutex
	sums Traffic
}

func (t *traffic) onConn(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.sums.Connections++
	}
}

func (t *traffic) onAnswer(seen *observed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sums.Answers++
	t.sums.Bytes += seen.bytes
	if seen.Header().Get("Content-Encoding") == "gzip" {
		t.sums.Compressed++
	}
}

func (t *traffic) onDownload(kind string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sums.Downloads == nil {
		t.sums.Downloads = map[string]int64{}
	}
	t.sums.Downloads[kind]++
}

func (t *traffic) seen() Traffic {
	t.mu.Lock()
	defer t.mu.Unlock()
	sums := t.sums
	sums.Downloads = maps.Clone(sums.Downloads)
	return sums
}

func (t *traffic) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sums = Traffic{}
}
