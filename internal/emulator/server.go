package emulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Server is a running org.
type Server struct {
	cfg    Config
	schema map[string]*object // as at the start
	orgID  string

	faults  *faultSet
	clock   clock
	slots   chan struct{} // of batches that are worked on
	started time.Time
	calls   atomic.Int64
	traffic traffic

	// org is what Reset makes anew.
	orgMu sync.RWMutex
	org   *org

	dir     string // of jobs
	ownDir  bool   // made by Start, removed by Close
	http    *http.Server
	addr    string
	stop    context.CancelFunc
	ctx     context.Context // ends with the server; jobs run under it
	working sync.WaitGroup  // requests and jobs
	closing sync.Once
	closed  error
}

// org is everything that changes as the org is used.
type org struct {
	schema   map[string]*object // never changed in place, see Alter
	changed  time.Time          // when the schema became what it is
	store    *store
	limits   *allowances
	sessions *sessions
	jobs     *jobs
	cursors  *cursors
	users    []*user

	ctx  context.Context // ends when the org is reset
	stop context.CancelFunc
}

// Start listens and serves until Close. Ending ctx stops jobs and requests
// that hang, but Close is what frees the port and waits for everything.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	schema, err := loadSchema(cfg.Describe, cfg.Modes.KeepSpace)
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	s := &Server{
		cfg: cfg, schema: schema, orgID: makeID("00D", 1), faults: newFaultSet(cfg.Seed),
		clock: clock{now: cfg.Now}, slots: make(chan struct{}, cfg.BatchParallel),
	}
	for _, f := range cfg.Faults {
		if _, err := s.faults.add(f); err != nil {
			return nil, fmt.Errorf("emulator: %w", err)
		}
	}
	s.started = s.clock.Now()
	s.ctx, s.stop = context.WithCancel(ctx)
	if err := s.open(ctx); err != nil {
		s.stop()
		return nil, fmt.Errorf("emulator: %w", err)
	}
	return s, nil
}

// open takes the folder and the port, in this order: a server that cannot keep
// a job must not answer.
func (s *Server) open(ctx context.Context) error {
	s.dir = s.cfg.DataDir
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "emulator-")
		if err != nil {
			return err
		}
		s.dir, s.ownDir = dir, true
	} else if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	var err error
	if s.org, err = s.newOrg(); err != nil {
		return errors.Join(err, s.removeDir())
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return errors.Join(err, s.removeDir())
	}
	s.addr = listener.Addr().String()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute, ErrorLog: zap.NewStdLog(s.cfg.Logger), ConnState: s.traffic.onConn}
	s.working.Go(func() { _ = s.http.Serve(listener) })
	return nil
}

// newOrg makes an org without records, but for its users.
func (s *Server) newOrg() (*org, error) {
	o := &org{
		schema:   s.schema,
		changed:  s.clock.Now(),
		store:    newStore(s.schema),
		limits:   newAllowances(s.cfg.Limits, s.clock.Now),
		sessions: newSessions(s.cfg.Seed, s.clock.Now, s.cfg.Session),
		jobs:     newJobs(),
		cursors:  newCursors(s.cfg.Limits, s.clock.Now),
	}
	o.ctx, o.stop = context.WithCancel(s.ctx)
	if err := o.addUsers(s.cfg.Users, s.clock.Now()); err != nil {
		o.stop()
		return nil, err
	}
	for _, a := range s.cfg.Apps {
		o.sessions.keep(a)
	}
	return o, nil
}

func (s *Server) current() *org {
	s.orgMu.RLock()
	defer s.orgMu.RUnlock()
	return s.org
}

// Reset makes the org as it was at the start: no records, jobs, sessions or
// faults, all limits full, the objects as they were. Jobs under way are dropped.
func (s *Server) Reset() error {
	fresh, err := s.newOrg()
	if err != nil {
		return err
	}
	s.orgMu.Lock()
	old := s.org
	s.org = fresh
	s.orgMu.Unlock()
	old.stop()
	s.faults.remove("")
	s.faults.release()
	s.calls.Store(0)
	s.traffic.reset()
	return old.jobs.drop()
}

// URL is where the org is, without a slash at the end. It is both the login
// host and the instance.
func (s *Server) URL() string { return "http://" + s.addr }

// Handler serves the org, for a listener of the caller's own.
func (s *Server) Handler() http.Handler { return s }

// Close stops listening, drops jobs under way and waits until nothing runs any
// more. Closing twice is fine.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.orgMu.Lock() // no request enters any more
		s.stop()
		s.orgMu.Unlock()
		err := s.http.Close()
		s.working.Wait()
		s.current().stop()
		s.closed = errors.Join(err, s.removeDir())
	})
	return s.closed
}

func (s *Server) removeDir() error {
	if !s.ownDir {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// AddFault puts a fault in force and returns it with its id.
func (s *Server) AddFault(f Fault) (Fault, error) { return s.faults.add(f) }

// Faults are those in force, with how often each has struck.
func (s *Server) Faults() []Fault { return s.faults.all() }

// RemoveFault ends one fault, or all when id is empty; false if there is none.
func (s *Server) RemoveFault(id string) bool { return s.faults.remove(id) }

// Release lets go of every request that hangs and every job that is stuck.
func (s *Server) Release() { s.faults.release() }

// ExpireTokens ends every session. Refresh tokens stay good.
func (s *Server) ExpireTokens() { s.current().sessions.expire() }

// Advance moves the org's clock forward: sessions, jobs and limits age.
func (s *Server) Advance(by time.Duration) { s.clock.Advance(by) }

// clock is the configured one and how far it was moved.
type clock struct {
	now   func() time.Time
	moved atomic.Int64
}

func (c *clock) Now() time.Time           { return c.now().Add(time.Duration(c.moved.Load())) }
func (c *clock) Advance(by time.Duration) { c.moved.Add(int64(by)) }
