package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/extract"
	"bulkhead/internal/preflight"
	"bulkhead/internal/rowstate"
	"bulkhead/internal/salesforce"
	"bulkhead/internal/state"
)

// callsPerJob is what a job costs in API calls where no run of the pipeline has shown it yet: to create,
// upload and close it, seven looks at its progress, as a job of half a minute takes, and a download of what
// failed.
const callsPerJob = 11

// sampleRows is how many rows of a step are encoded, and thrown away, to learn how big they are.
const sampleRows = 10_000

// Plan is what a run would do, and what it would cost.
type Plan struct {
	Pipeline string                      `json:"pipeline"`
	Findings []preflight.Finding         `json:"findings"`
	Drift    []preflight.Drift           `json:"drift"` // what changed in the org since the last run
	Steps    []PlanStep                  `json:"steps"`
	Jobs     int64                       `json:"jobs"`
	Batches  int64                       `json:"bulk_batches"`
	APICalls int64                       `json:"api_calls"`
	Limits   map[string]salesforce.Limit `json:"limits"` // what the org has left; empty where it does not show that
	// Allowances are those of the limits that etl.yaml bounds, with what the run needs of them.
	Allowances []Allowance `json:"allowances"`
}

// PlanStep is what a run would do in one step.
type PlanStep struct {
	Name      string `json:"step"`
	Object    string `json:"object"`
	Operation string `json:"operation"`
	SQL       string `json:"sql"`
	Rows      int64  `json:"rows"`
	// Unchanged are rows that are read and need not be sent; Rows does not count them.
	Unchanged int64 `json:"rows_unchanged"`
	// Window is what the run reads by the watermark; nil: every row.
	Window      *state.Window `json:"changes,omitempty"`
	BytesPerRow int64         `json:"bytes_per_row"` // of the CSV, by a sample
	Chunks      int64         `json:"chunks"`        // each one job
	Batches     int64         `json:"bulk_batches"`
	APICalls    int64         `json:"api_calls"`
	Fields      []PlanField   `json:"fields"`
}

// PlanField is one field of the mapping.
type PlanField struct {
	Target         string `json:"target"`
	SalesforceType string `json:"salesforce_type"`
	Source         string `json:"source"`
	SourceType     string `json:"source_type"`
}

// PlanOptions narrow a plan.
type PlanOptions struct {
	Step  string
	Limit int64
	Full  bool
	Since string
}

// Plan checks the pipeline against the source and the org, and counts what a run would load and cost.
// It reads the source and sends nothing. Findings that would keep a run from starting are in the plan
// and are no error of the call.
func (e *Engine) Plan(ctx context.Context, options PlanOptions) (*Plan, error) {
	steps, err := e.steps(Options{Step: options.Step})
	if err != nil {
		return nil, err
	}
	known, err := e.known(ctx, 0)
	if err != nil {
		return nil, err
	}
	report, err := e.check(ctx, steps, preflight.Options{Known: known})
	if err != nil {
		return nil, err
	}
	plan := &Plan{Pipeline: e.pipeline.Name, Findings: report.Findings, Drift: report.Drift}
	if plan.Limits, err = e.cfg.Org.Limits(ctx); err != nil && !hidesLimits(err) {
		return nil, err
	}
	if report.Err() != nil {
		return plan, nil
	}
	plans := make([]*stepPlan, len(report.Steps))
	for i, step := range report.Steps {
		plans[i] = newStepPlan(step)
	}
	fixed, err := e.planWindows(ctx, options, plans)
	var refused *preflight.Error
	if errors.As(err, &refused) {
		plan.Findings = append(plan.Findings, refused.Findings...)
		return plan, nil
	}
	if err != nil {
		return nil, err
	}
	if err := plan.warnOfResend(e.checkForms(ctx, plans), plans, e.pipeline.File); err != nil {
		return nil, err
	}
	perJob, err := e.callsPerJob(ctx)
	if err != nil {
		return nil, err
	}
	for _, step := range plans {
		planned, err := e.planStep(ctx, step, fixed[step.Step.Name], options)
		if err != nil {
			return nil, fmt.Errorf("step %q: %w", step.Step.Name, err)
		}
		planned.APICalls = planned.Chunks * perJob
		plan.Steps = append(plan.Steps, planned)
		plan.Jobs += planned.Chunks
		plan.Batches += planned.Batches
		plan.APICalls += planned.APICalls
	}
	plan.Allowances = e.meter.limits.compare(plan.Limits, plan.APICalls, plan.Batches)
	return plan, nil
}

// planWindows are the windows that a run would have if it began now.
func (e *Engine) planWindows(ctx context.Context, options PlanOptions, plans []*stepPlan) (map[string]*state.Window, error) {
	marks, err := e.cfg.Store.Watermarks(ctx, e.pipeline.Name)
	if err != nil {
		return nil, err
	}
	return e.fixWindows(ctx, Options{Limit: options.Limit, Full: options.Full, Since: options.Since}, plans, marks)
}

func (e *Engine) planStep(ctx context.Context, plan *stepPlan, window *state.Window, options PlanOptions) (PlanStep, error) {
	step := plan.Step
	where, _ := plan.within(window, "", nil)
	out := PlanStep{
		Name: step.Name, Object: plan.Object.Name, Operation: string(step.Operation), SQL: plan.projection.SQL(where, options.Limit), Window: window,
	}
	for _, column := range plan.Columns {
		out.Fields = append(out.Fields, PlanField{
			Target: column.Target, SalesforceType: column.SalesforceType, Source: column.From, SourceType: column.SourceType,
		})
	}
	conn, err := e.connect(ctx)
	if err != nil {
		return PlanStep{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tx, err := extract.Begin(ctx, conn)
	if err != nil {
		return PlanStep{}, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	same, err := e.planComparison(ctx, plan, options)
	if err != nil {
		return PlanStep{}, err
	}
	if same != nil {
		err = out.compare(ctx, tx, plan, same, options.Limit)
	} else {
		err = out.count(ctx, tx, plan, options.Limit)
	}
	return out, err
}

// count counts the rows of a step that sends all that it reads, and estimates the rest by a sample.
func (p *PlanStep) count(ctx context.Context, tx pgx.Tx, plan *stepPlan, limit int64) (err error) {
	where, args := plan.within(p.Window, "", nil)
	if p.Rows, err = extract.Count(ctx, tx, plan.Step.Query, where, args...); err != nil {
		return err
	}
	if limit > 0 {
		p.Rows = min(p.Rows, limit)
	}
	return p.sample(ctx, tx, plan, plan.spec(where, args, sampleRows))
}

// compare reads every row, as a run would, and counts those that it would send.
func (p *PlanStep) compare(ctx context.Context, tx pgx.Tx, plan *stepPlan, same comparison, limit int64) error {
	where, args := plan.within(p.Window, "", nil)
	spec := plan.spec(where, args, limit)
	spec.Unchanged = func(ctx context.Context, key [][]byte, record []byte) (bool, error) {
		unchanged, err := same(ctx, key, record)
		if unchanged {
			p.Unchanged++
		} else {
			p.Rows++
		}
		return unchanged, err
	}
	return p.sample(ctx, tx, plan, spec)
}

func (p *PlanStep) sample(ctx context.Context, tx pgx.Tx, plan *stepPlan, spec extract.Spec) error {
	query, err := extract.Prepare(ctx, tx, spec)
	if err != nil {
		return err
	}
	var sample sampler
	if err := query.Stream(ctx, sample.begin, sample.end); err != nil {
		return err
	}
	p.estimate(sample, plan.Step.Chunk.Rows, plan.Step.Chunk.Bytes)
	return nil
}

// planComparison compares with what is kept of a step's rows; nil where a run would send all.
func (e *Engine) planComparison(ctx context.Context, plan *stepPlan, options PlanOptions) (comparison, error) {
	if !plan.byContent() || options.Full {
		return nil, nil
	}
	kept, err := rowstate.Find(ctx, e.cfg.Store.Pool(), e.pipeline.Name, plan.Step.Name)
	switch {
	case errors.Is(err, rowstate.ErrNone):
		return nil, nil
	case err != nil:
		return nil, err
	case kept.Fingerprint != e.rowSet(plan).Fingerprint:
		return nil, nil
	}
	return e.compare(kept), nil
}

// warnOfResend adds to the findings that a run would send everything again, which has to be accepted.
func (p *Plan) warnOfResend(err error, plans []*stepPlan, file string) error {
	var resend *ResendError
	if !errors.As(err, &resend) {
		return err
	}
	for _, plan := range plans {
		if at := plan.Step.ChangesPos; plan.Step.Name == resend.Step {
			p.Findings = append(p.Findings, preflight.Finding{
				File: file, Line: at.Line, Column: at.Column, Step: resend.Step, Severity: preflight.SeverityWarning,
				Message: "changes: the org, object, key or fields are not those that rows were last sent with, so all of them are sent again",
				Fix:     "a run asks first, or takes --accept",
			})
		}
	}
	return nil
}

// estimate fills in what follows from the rows and their size.
func (p *PlanStep) estimate(sample sampler, maxRows, maxBytes int64) {
	if p.Rows == 0 || sample.rows == 0 {
		return
	}
	p.BytesPerRow = sample.bytes / sample.rows
	perChunk := min(maxRows, max(1, maxBytes/max(1, p.BytesPerRow)))
	p.Chunks = (p.Rows + perChunk - 1) / perChunk
	full := p.Rows / perChunk
	p.Batches = full*ceilDiv(perChunk, batchRows) + ceilDiv(p.Rows-full*perChunk, batchRows)
}

// callsPerJob is what a job of the pipeline has cost the last time: most calls of a job ask how it stands,
// and how often that is depends on how long the org takes.
func (e *Engine) callsPerJob(ctx context.Context) (int64, error) {
	cost, err := e.cfg.Store.LastCost(ctx, e.pipeline.Name)
	if err != nil || cost.Jobs == 0 || cost.APICalls == 0 {
		return callsPerJob, err
	}
	return ceilDiv(cost.APICalls, cost.Jobs), nil
}

// likely is what a run will need, by the planner's guess of the rows: good enough for a warning, and it
// reads no row.
func likely(plans []*stepPlan, options Options, perJob int64) Plan {
	var total Plan
	for _, plan := range plans {
		if options.Retry != nil {
			break // how many records it sends, the reconciliation table knows
		}
		rows := plan.LikelyRows
		if options.Limit > 0 {
			rows = min(rows, options.Limit)
		}
		step := PlanStep{Rows: rows}
		step.estimate(sampler{rows: 1}, plan.Step.Chunk.Rows, plan.Step.Chunk.Bytes)
		total.Batches += step.Batches
		total.APICalls += step.Chunks * perJob
	}
	return total
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// sampler measures records and keeps none.
type sampler struct{ rows, bytes int64 }

func (s *sampler) begin(context.Context, int) (extract.Writer, error) { return s, nil }
func (s *sampler) end(context.Context, extract.Chunk) error           { return nil }

func (s *sampler) Append(_, record []byte) error {
	s.rows++
	s.bytes += int64(len(record))
	return nil
}

func (s *sampler) Reject(string, string, string, string, []byte) error { return nil }
