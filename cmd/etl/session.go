package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"bulkhead/internal/bulkv2"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/profile"
	"bulkhead/internal/project"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/run"
	"bulkhead/internal/salesforce"
	"bulkhead/internal/spool"
	"bulkhead/internal/state"
)

// clientName is what the org's logs and change events call us.
const clientName = "bulkhead-etl"

// session is everything that a command needs to load something. Its owner closes it.
type session struct {
	project  *project.Project
	pipeline *pipeline.Pipeline
	state    *state.Store
	failures *reconcile.Store
	org      *salesforce.Org
	bulk     *bulkv2.Client
	engine   *run.Engine
}

// openLoad opens the session of a pipeline by its name or file, after a look at what was asked of it:
// a step, or empty for all; a limit of rows, or 0 for none.
func (a *app) openLoad(ctx context.Context, pipelineName, step string, limit int64) (*session, error) {
	if limit < 0 {
		return nil, usagef("--limit: want 1 or more, got %d", limit)
	}
	project, err := a.openProject()
	if err != nil {
		return nil, err
	}
	pipe, err := a.loadPipeline(project, pipelineName)
	if err != nil {
		return nil, err
	}
	if err := checkStep(pipe, step); err != nil {
		return nil, err
	}
	return a.openSession(ctx, project, nil, pipe)
}

// openSession opens what running a pipeline takes: the state database, the
// source, the org and the spool. What is cheapest to get wrong comes first. The
// store becomes the session's, also when opening fails.
func (a *app) openSession(ctx context.Context, p *project.Project, store *state.Store, pipe *pipeline.Pipeline) (_ *session, err error) {
	s := &session{project: p, pipeline: pipe, state: store}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.state == nil {
		if s.state, err = openState(ctx, p); err != nil {
			return nil, err
		}
	}
	s.failures = reconcile.NewStore(s.state.Pool())
	source, err := openSource(ctx, p, pipe)
	if err != nil {
		return nil, err
	}
	if s.org, s.bulk, err = a.openOrg(ctx, p, pipe.Org); err != nil {
		return nil, err
	}
	installation, err := s.state.Installation(ctx)
	if err != nil {
		return nil, err
	}
	files, err := spool.Open(spool.Config{Dir: filepath.Join(p.SpoolDir(), installation), MaxBytes: p.SpoolMaxBytes()})
	if err != nil {
		return nil, err
	}
	s.engine = run.New(pipe, run.Config{
		Source: source, Store: s.state, Failures: s.failures, Spool: files, Org: s.org, Bulk: s.bulk, Log: a.log,
		Limits:    sharesOf(p.Limits()),
		StateWait: p.StateWait(),
		PollMin:   a.pace.pollMin, PollMax: a.pace.pollMax, CountersSettle: a.pace.countersSettle, RetryWait: a.pace.retryWait,
	})
	return s, nil
}

// sharesOf translates what etl.yaml says about the org's limits.
func sharesOf(l project.Limits) run.Limits {
	return run.Limits{Calls: l.APICalls, Batches: l.BulkBatches, At: run.AtLimit(l.When), Wait: l.Wait}
}

func (s *session) close() {
	if s.state != nil {
		s.state.Close()
	}
}

// openSource returns the connection string of the pipeline's source, after a
// look whether it can be used.
func openSource(ctx context.Context, p *project.Project, pipe *pipeline.Pipeline) (string, error) {
	dsn, err := p.Source(pipe.Source)
	if err != nil {
		return "", asUsage(err)
	}
	if pipe.Source == "" {
		return dsn, nil // the state database, which is open
	}
	return dsn, pingSource(ctx, pipe.Source, dsn)
}

func pingSource(ctx context.Context, name, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return connectError(sourceSetting(name), dsn, err)
	}
	return conn.Close(ctx)
}

func sourceSetting(name string) string {
	if name == "" {
		return project.DatabaseURL
	}
	return fmt.Sprintf("source %q of %s", name, project.File)
}

// openOrg logs in to an org of etl.yaml, or of the SALESFORCE_* variables where
// the name is empty.
func (a *app) openOrg(ctx context.Context, p *project.Project, name string) (*salesforce.Org, *bulkv2.Client, error) {
	config, err := p.Org(name)
	if err != nil {
		return nil, nil, asUsage(err)
	}
	config.ClientName = clientName
	org, err := salesforce.Open(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	bulk, err := bulkv2.New(bulkv2.Config{
		HTTP: org.HTTPClient(), InstanceURL: org.InstanceURL(), APIVersion: org.APIVersion(), ClientName: clientName,
		Observe: a.observe,
	})
	return org, bulk, err
}

// observe logs the requests to the Bulk API, and passes them to the profile, if there is one.
func (a *app) observe(e bulkv2.Event) {
	if a.profile != nil {
		a.profile.Request(profile.Request{
			Op: e.Op, JobID: e.JobID, Attempt: e.Attempt, Status: e.StatusCode, Took: e.Took, Sent: e.Sent, Received: e.Received,
		})
	}
	fields := []zap.Field{
		zap.String("op", e.Op), zap.String("job_id", e.JobID), zap.Int("attempt", e.Attempt), zap.Int("status", e.StatusCode),
		zap.Duration("took", e.Took), zap.Int64("sent", e.Sent), zap.Int64("received", e.Received),
	}
	if e.AtOnce > 0 {
		fields = append(fields, zap.Int("requests_at_once", e.AtOnce))
	}
	if e.RetryIn > 0 {
		a.log.Named("bulkv2").Warn("request failed and is repeated", append(fields, zap.Duration("in", e.RetryIn), zap.Error(e.Err))...)
		return
	}
	if e.Err != nil && !errors.Is(e.Err, context.Canceled) {
		fields = append(fields, zap.Error(e.Err))
	}
	a.log.Named("bulkv2").Debug("request", fields...)
}
