package console

import (
	"io"
	"strings"
	"sync"
)

// Log is a writer of lines that do not tear the progress bars apart: while bars
// are shown, lines go above them. What could steer a terminal is taken out of
// them. It is safe for concurrent use.
type Log struct {
	mu    sync.Mutex
	clean *Cleaner
	above func(line string, args ...any)
}

// NewLog returns a Log that writes to w.
func NewLog(w io.Writer) *Log { return &Log{clean: &Cleaner{to: behind(w)}} }

// Write writes whole lines.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.above == nil {
		return l.clean.Write(p)
	}
	l.above("%s", strings.TrimRight(string(l.clean.clean(p)), "\n"))
	return len(p), nil
}

// Sync is there for zap.
func (l *Log) Sync() error { return nil }

func (l *Log) put(above func(line string, args ...any)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.above = above
}
