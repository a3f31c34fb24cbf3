package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"bulkhead/internal/bulkv2"
	"bulkhead/internal/nearest"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/salesforce"
	"bulkhead/internal/spool"
	"bulkhead/internal/state"
)

// Config is what an Engine works with. All of it stays the caller's to close.
type Config struct {
	Source   string // connection string of the pipeline's source
	Store    *state.Store
	Failures *reconcile.Store
	Spool    *spool.Spool
	Org      *salesforce.Org
	Bulk     *bulkv2.Client
	Log      *zap.Logger // nil: none

	// PollMin and PollMax bound the time between two looks at a job; zero takes bulkv2's defaults.
	PollMin, PollMax time.Duration
	// CountersSettle is how long to wait before a job's counters and results are read again when they
	// do not add up yet. Default 5 s.
	CountersSettle time.Duration
	// UploadWait is how long to wait after a broken upload, or a creation whose answer was lost, before the
	// next job; it doubles with each. Default 1 s.
	UploadWait time.Duration
	// RetryWait is how long records that failed for a passing reason rest before they are sent again;
	// it doubles with each attempt. Default 15 s.
	RetryWait time.Duration
	// StateWait is how long the run waits for a state database that is away before it gives up; default
	// 5 minutes. StatePause is the first wait between two tries; it doubles; default 100 ms.
	StateWait, StatePause time.Duration
	// Limits is how much of the org's allowances may be used before runs send nothing more.
	Limits Limits

	// JobBytes is the most that the content of one job may be; default pipeline.MaxBytes, as Salesforce has
	// it. A chunk that is extracted again and has outgrown that is split.
	JobBytes int64

	// Probe hears of each of Points as it is reached, from any goroutine. It is for tests that kill the
	// process there; nil otherwise.
	Probe func(point string)
}

// Engine runs one pipeline. One run at a time: its methods must not be called concurrently, but for
// Progress.
type Engine struct {
	cfg      Config
	pipeline *pipeline.Pipeline
	progress *Progress
	meter    *meter
	log      *zap.Logger
}

// New returns an engine for a pipeline. It connects to nothing.
func New(p *pipeline.Pipeline, cfg Config) *Engine {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.CountersSettle == 0 {
		cfg.CountersSettle = 5 * time.Second
	}
	if cfg.UploadWait == 0 {
		cfg.UploadWait = time.Second
	}
	if cfg.RetryWait == 0 {
		cfg.RetryWait = 15 * time.Second
	}
	if cfg.StateWait == 0 {
		cfg.StateWait = defaultStateWait
	}
	if cfg.JobBytes == 0 {
		cfg.JobBytes = pipeline.MaxBytes
	}
	e := &Engine{cfg: cfg, pipeline: p, progress: &Progress{}, log: cfg.Log.Named("run").With(zap.String("pipeline", p.Name))}
	e.cfg.Store = cfg.Store.Patient(e.patience())
	e.meter = newMeter(cfg.Limits, cfg.Org, e.log)
	return e
}

// Progress is where the run in progress stands; it may be read at any time.
func (e *Engine) Progress() *Progress { return e.progress }

// Options say what a run is to do. They are stored with the run, for its resume.
type Options struct {
	Step    string        `json:"step,omitempty"`  // only this step; empty: all of them
	Limit   int64         `json:"limit,omitempty"` // at most this many rows of each step; 0: all
	Full    bool          `json:"full,omitempty"`  // every row, changed or not
	Since   string        `json:"since,omitempty"` // from this value of the watermark columns on, instead of where the last run ended
	Retry   *RetryOptions `json:"retry,omitempty"` // not nil: send failed records again, instead of the source's rows
	Accept  bool          `json:"-"`               // send every row again where what is sent has changed its form
	Abandon bool          `json:"-"`               // give up the pipeline's unfinished runs first
	// AcceptDrift lets a run start whose pipeline says on_drift: stop, though the org has changed.
	AcceptDrift bool          `json:"-"`
	Trigger     state.Trigger `json:"-"` // default manual
	// Claim, where not nil, is that of what the run begins for; it begins only while the claim holds.
	Claim *state.Claim `json:"-"`
}

// ErrIncomplete says that a run ended without having accounted for all it set out to do; the summary
// and the run's error say why.
var ErrIncomplete = errors.New("the run could not complete")

// Run loads the pipeline. The summary is that of the run as it ended, and is there whenever a run was
// recorded, also beside an error. Errors: *preflight.Error, *preflight.DriftError, *LimitsError, *state.HeldError and
// *state.UnfinishedError before anything was sent; ErrIncomplete when the run can be resumed or does
// not add up; the context's error when it was interrupted.
func (e *Engine) Run(ctx context.Context, options Options) (*Summary, error) {
	steps, err := e.steps(options)
	if err != nil {
		return nil, err
	}
	if options.Trigger == "" {
		options.Trigger = state.TriggerManual
	}
	plans, seen, err := e.preflight(ctx, steps, options, 0)
	if err != nil {
		return nil, err
	}
	perJob, err := e.callsPerJob(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.meter.start(ctx, likely(plans, options, perJob)); err != nil {
		return nil, err
	}
	begin := state.NewRun{
		Describes: seen,
		Pipeline:  e.pipeline.Name, File: e.pipeline.File, Definition: e.pipeline.Text, Trigger: options.Trigger,
		Options: options, OrgID: e.cfg.Org.OrgID(), InstanceURL: e.cfg.Org.InstanceURL(), Abandon: options.Abandon, Claim: options.Claim,
	}
	begin.Prepare = func(ctx context.Context, marks []state.Watermark, steps []state.NewStep) error {
		if !options.Accept && !options.Full && options.Retry == nil {
			if err := e.checkForms(ctx, plans); err != nil {
				return err
			}
		}
		fixed, err := e.fixWindows(ctx, options, plans, marks)
		for i := range steps {
			steps[i].Window = fixed[steps[i].Name]
		}
		return err
	}
	begin.GiveUp = e.doubtRows
	for _, step := range steps {
		begin.Steps = append(begin.Steps, state.NewStep{Name: step.Name, Object: step.Object, Operation: string(step.Operation)})
	}
	lease, err := e.cfg.Store.Start(ctx, begin)
	if err != nil {
		return nil, err
	}
	defer lease.Release(ctx)
	// A process may have died after it gave a run up and before it came here, so it is done every time.
	if err := errors.Join(e.freeGivenUp(ctx), e.tidy(ctx)); err != nil {
		return nil, err
	}
	return e.drive(ctx, lease, options, plans)
}

// freeGivenUp opens the reconciliation rows again that abandoned runs had claimed and never sent.
// Those that may have been sent stay as they are: nobody knows whether they loaded.
func (e *Engine) freeGivenUp(ctx context.Context) error {
	chunks, err := e.cfg.Store.GivenUp(ctx, e.pipeline.Name)
	if err != nil || len(chunks) == 0 {
		return err
	}
	n, err := e.cfg.Failures.Release(ctx, chunks)
	if n > 0 {
		e.log.Info("records that an abandoned run was to send again are open", zap.Int64("records", n))
	}
	return err
}

// Resume takes an unfinished run over and finishes it, with the definition that it was started with:
// the engine must have been made from that. It returns what Run returns, and state.ErrFinished.
func (e *Engine) Resume(ctx context.Context, runID int64) (*Summary, error) {
	run, err := e.cfg.Store.Run(ctx, runID)
	if err != nil {
		return nil, err
	}
	if !run.Unfinished {
		return nil, fmt.Errorf("run %d is %s: %w", runID, run.State, state.ErrFinished)
	}
	var options Options
	if err := json.Unmarshal(run.Options, &options); err != nil {
		return nil, fmt.Errorf("run %d: read its options: %w", runID, err)
	}
	if run.OrgID != "" && e.cfg.Org.OrgID() != "" && run.OrgID != e.cfg.Org.OrgID() {
		return nil, fmt.Errorf("run %d loads into org %s (%s), and the login is for org %s (%s); resume it with the login it was started with",
			runID, run.OrgID, run.InstanceURL, e.cfg.Org.OrgID(), e.cfg.Org.InstanceURL())
	}
	steps, err := e.steps(options)
	if err != nil {
		return nil, err
	}
	plans, _, err := e.preflight(ctx, steps, options, runID)
	if err != nil {
		return nil, err
	}
	e.meter.look(ctx)
	lease, err := e.cfg.Store.Take(ctx, runID)
	if err != nil {
		return nil, err
	}
	defer lease.Release(ctx)
	return e.drive(ctx, lease, options, plans)
}

// steps are the pipeline's steps that the options select, in the order to run them.
func (e *Engine) steps(options Options) ([]*pipeline.Step, error) {
	wanted := options.Step
	if options.Retry != nil {
		return e.retrySteps(options.Retry.Steps), nil
	}
	if wanted == "" {
		return e.pipeline.Ordered(), nil
	}
	names := make([]string, 0, len(e.pipeline.Steps))
	for _, step := range e.pipeline.Steps {
		if step.Name == wanted {
			return []*pipeline.Step{step}, nil
		}
		names = append(names, step.Name)
	}
	message := fmt.Sprintf("pipeline %q has no step %q", e.pipeline.Name, wanted)
	if best, ok := nearest.Name(wanted, names); ok {
		return nil, fmt.Errorf("%s; did you mean %q?", message, best)
	}
	return nil, fmt.Errorf("%s; it has %s", message, strings.Join(names, ", "))
}
