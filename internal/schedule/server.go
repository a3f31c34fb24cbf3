package schedule

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"bulkhead/internal/state"
)

// ErrRefused is wrapped by the errors of a Runner that trying again would not mend.
var ErrRefused = errors.New("not tried again")

// Runner starts and resumes runs. Both methods return when the run has ended; a run that did not
// complete is an Outcome, and an error says that no run came about, or that nobody knows. An error
// wraps ErrRefused, a *state.HeldError or a *state.UnfinishedError where it is one.
type Runner interface {
	// Start runs the pipeline for a claimed time. The run must begin in the transaction that checks the
	// claim (state.NewRun).
	Start(ctx context.Context, pipeline string, claim state.Claim) (Outcome, error)
	// Resume finishes an unfinished run.
	Resume(ctx context.Context, run int64) (Outcome, error)
}

// Outcome is how a run ended.
type Outcome struct {
	Run             int64
	State           state.RunState
	Read, NotLoaded int64
	Unfinished      bool
	Error           string
}

// Complete reports whether the run accounted for all that it set out to do.
func (o Outcome) Complete() bool {
	return o.State == state.RunSucceeded || o.State == state.RunCompletedWithFailures
}

// Config is what a Server works with. The store stays the caller's to close.
type Config struct {
	Store  *state.Store
	Runner Runner
	// Plans returns the schedules as they are now. It is asked at every tick, and logs what is wrong with
	// a file by itself.
	Plans func() []Plan
	Log   *zap.Logger // nil: none
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Tick is how often to look: for who leads, what has changed, what is asked for. Default 5 s.
	Tick time.Duration
	// Parallel is how many runs go at once. Default 4.
	Parallel int
	// StopTime bounds how long runs are waited for when the server stops. Default 60 s; what does not
	// stop within it is left as after a crash.
	StopTime time.Duration
}

func (c Config) withDefaults() Config {
	c.Log = cmp.Or(c.Log, zap.NewNop())
	c.Tick = cmp.Or(c.Tick, 5*time.Second)
	c.Parallel = cmp.Or(c.Parallel, 4)
	c.StopTime = cmp.Or(c.StopTime, 60*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Server starts what is due. Several may serve one state database: one of them leads and the others
// stand by. Only Status may be called beside Run.
type Server struct {
	cfg        Config
	log        *zap.Logger
	leadership *state.Leadership
	running    map[int64]state.Fire // what this server is at, by the fire's id
	ended      chan ending
	unrecorded []ending // whose end could not be written down yet; they count as running
	pending    map[int64]*pending

	mu     sync.Mutex
	status Status
}

// pending is what this server remembers of an open fire that it is not at.
type pending struct {
	waits     bool      // it has been said that it waits
	tries     int       // that failed
	notBefore time.Time // when to try again
}

// ending is how an attempt at a fire ended.
type ending struct {
	fire     state.Fire
	outcome  Outcome
	err      error
	stopping bool // the server was being stopped
}

// Status is how a server stands.
type Status struct {
	Leads   bool     `json:"leads"`
	Running []string `json:"running"`
	Error   string   `json:"error,omitempty"` // why the last look failed
}

// New returns a server. It connects to nothing.
func New(cfg Config) *Server {
	cfg = cfg.withDefaults()
	return &Server{
		cfg: cfg, log: cfg.Log.Named("schedule"),
		running: map[int64]state.Fire{}, ended: make(chan ending, cfg.Parallel), pending: map[int64]*pending{},
	}
}

// ErrNotStopped says that a run did not come to a safe point in time when the server stopped.
var ErrNotStopped = errors.New("a run did not stop in time; it is left as after a crash, and is resumed by the next server")

// Run serves until ctx ends, then waits for the runs to come to a safe point. Errors of the database
// are logged and do not end it.
func (s *Server) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.stop(ctx)
		case e := <-s.ended:
			s.settle(ctx, e)
			timer.Reset(0)
		case <-timer.C:
			wait := s.cfg.Tick
			if next := s.tick(ctx); !next.IsZero() {
				wait = min(wait, max(next.Sub(s.cfg.Now()), 0))
			}
			timer.Reset(wait)
		}
	}
}

// stop waits for the runs, whose context has ended, and lets another server lead.
func (s *Server) stop(ctx context.Context) error {
	defer s.abdicate(ctx)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.StopTime)
	defer cancel()
	for len(s.running) > len(s.unrecorded) {
		select {
		case e := <-s.ended:
			s.settle(end, e)
		case <-end.Done():
			return ErrNotStopped
		}
	}
	return nil
}

func (s *Server) abdicate(ctx context.Context) {
	if s.leadership != nil {
		s.leadership.Release(ctx)
		s.leadership = nil
	}
}

// Status is how the server stands; it may be called at any time.
func (s *Server) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	status.Running = append([]string{}, status.Running...)
	return status
}

// note makes the status what it is now, and logs an error once.
func (s *Server) note(ctx context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := Status{Leads: s.leadership != nil}
	for _, f := range s.running {
		status.Running = append(status.Running, f.Pipeline)
	}
	slices.Sort(status.Running)
	if err != nil && ctx.Err() == nil {
		status.Error = err.Error()
		if s.status.Error == "" {
			s.log.Error("cannot look after the schedules; trying on", zap.Error(err))
		}
	} else if s.status.Error != "" {
		s.log.Info("looking after the schedules again")
	}
	s.status = status
}

// tick looks once, and says when something is due next; the zero time where nothing is.
func (s *Server) tick(ctx context.Context) (next time.Time) {
	next, err := s.look(ctx)
	s.note(ctx, err)
	return next
}

func (s *Server) look(ctx context.Context) (next time.Time, err error) {
	for _, e := range s.takeUnrecorded() {
		s.settle(ctx, e)
	}
	if err := s.lead(ctx); err != nil || s.leadership == nil {
		return next, err
	}
	open, err := s.cfg.Store.OpenFires(ctx)
	if err != nil {
		return next, err
	}
	claimed, next, err := s.claim(ctx, open)
	if err != nil {
		return next, err
	}
	if claimed {
		if open, err = s.cfg.Store.OpenFires(ctx); err != nil {
			return next, err
		}
	}
	return next, s.begin(ctx, open)
}

func (s *Server) takeUnrecorded() []ending {
	list := s.unrecorded
	s.unrecorded = nil
	return list
}

// lead makes sure of who leads. Whoever begins to lead takes over what the leader before left.
func (s *Server) lead(ctx context.Context) error {
	if s.leadership != nil {
		err := s.leadership.Holds(ctx)
		if err == nil {
			return nil
		}
		s.abdicate(ctx)
		s.log.Warn("this server leads no longer", zap.Error(err))
	}
	leadership, err := s.cfg.Store.Lead(ctx)
	if err != nil || leadership == nil {
		return err
	}
	mine := make([]int64, 0, len(s.running))
	for id := range s.running {
		mine = append(mine, id)
	}
	taken, err := s.cfg.Store.TakeFires(ctx, mine)
	if err != nil {
		leadership.Release(ctx)
		return err
	}
	s.leadership = leadership
	s.log.Info("this server leads", zap.Int64("runs_taken_over", taken))
	return nil
}

// claim decides on all that has come due.
func (s *Server) claim(ctx context.Context, open []state.Fire) (claimed bool, next time.Time, err error) {
	known, err := s.cfg.Store.Schedules(ctx)
	if err != nil {
		return false, next, err
	}
	busy := map[string]bool{}
	for _, f := range open {
		busy[f.Pipeline] = true
	}
	now := s.cfg.Now()
	for _, p := range s.cfg.Plans() {
		one, at, err := s.claimFor(ctx, p, known[p.Pipeline], now, busy[p.Pipeline])
		if err != nil {
			return claimed, next, err
		}
		claimed = claimed || one
		if next.IsZero() || !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return claimed, next, nil
}

// claimFor decides on what has come due for one pipeline, and says when it is due next.
func (s *Server) claimFor(ctx context.Context, p Plan, known state.Schedule, now time.Time, busy bool) (claimed bool, next time.Time, err error) {
	if known.DecidedUntil == nil || known.Cron != p.Cron || known.Timezone != p.Timezone {
		s.log.Info("a schedule begins", zap.String("pipeline", p.Pipeline), zap.String("cron", p.Cron), zap.String("timezone", p.Timezone),
			zap.Time("next", p.Next(now)))
		return false, p.Next(now), s.cfg.Store.BeginSchedule(ctx, p.Pipeline, p.Cron, p.Timezone, now)
	}
	if known.PausedAt != nil {
		return false, next, nil
	}
	last, n, until := p.due(*known.DecidedUntil, now)
	next = p.Next(until)
	fires := p.decide(last, n, now, busy)
	if len(fires) == 0 {
		return false, next, nil
	}
	claimed, err = s.cfg.Store.Decide(ctx, known, until, fires)
	if !claimed {
		return false, next, err
	}
	for _, f := range fires {
		s.logDecision(p.Pipeline, f)
	}
	return true, next, nil
}

func (s *Server) logDecision(pipeline string, f state.NewFire) {
	log := s.log.With(zap.String("pipeline", pipeline), zap.Time("due", f.At))
	if f.Missed > 0 {
		log.Warn("earlier runs were missed, as no server ran, and are not made up for", zap.Int64("missed", f.Missed))
	}
	if f.State == state.FireSkipped {
		log.Warn("a run is left out", zap.String("reason", f.Reason))
	}
}
