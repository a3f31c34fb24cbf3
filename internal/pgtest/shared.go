package pgtest

import (
	"context"
	"os"
	"sync"
	"time"
)

// envURL names the server that tests use instead of a throwaway one.
const envURL = "ETL_TEST_DATABASE_URL"

// startTimeout bounds the start of the throwaway server: generous, because
// every test package may start one at the same moment on a small machine.
const startTimeout = 2 * time.Minute

// shared is the server of this process. It is the one package variable here:
// tests call New with nothing but their testing.TB, and one server per test
// process is the point.
var shared process

// process holds what all tests of a process share. The zero value starts the
// server on first use.
type process struct {
	mu           sync.Mutex
	running      *Server
	startErr     error
	templateName string
}

// server returns the process's server, started on the first call. A failed
// start is remembered: the other tests fail fast with the same reason.
func (p *process) server(ctx context.Context) (*Server, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil || p.startErr != nil {
		return p.running, p.startErr
	}
	if raw := os.Getenv(envURL); raw != "" {
		p.running, p.startErr = attach(raw)
		return p.running, p.startErr
	}
	// The server outlives the test that happens to come first, but a start
	// that hangs must not.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	p.running, p.startErr = Start(ctx)
	return p.running, p.startErr
}

// template returns the name of the migrated template database.
func (p *process) template(ctx context.Context, server *Server) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.templateName != "" {
		return p.templateName, nil
	}
	name, err := server.migratedTemplate(ctx)
	if err == nil {
		p.templateName = name
	}
	return name, err
}

// stop stops the server if one was started.
func (p *process) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return nil
	}
	err := p.running.Stop()
	p.running, p.templateName = nil, ""
	return err
}
