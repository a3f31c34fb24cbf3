package run

import (
	"context"
	"fmt"

	"bulkhead/internal/extract"
	"bulkhead/internal/preflight"
	"bulkhead/internal/salesforce"
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
	Name        string      `json:"step"`
	Object      string      `json:"object"`
	Operation   string      `json:"operation"`
	SQL         string      `json:"sql"`
	Rows        int64       `json:"rows"`
	BytesPerRow int64       `json:"bytes_per_row"` // of the CSV, by a sample
	Chunks      int64       `json:"chunks"`        // each one job
	Batches     int64       `json:"bulk_batches"`
	APICalls    int64       `json:"api_calls"`
	Fields      []PlanField `json:"fields"`
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
	perJob, err := e.callsPerJob(ctx)
	if err != nil {
		return nil, err
	}
	for _, step := range report.Steps {
		planned, err := e.planStep(ctx, newStepPlan(step), options.Limit)
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

func (e *Engine) planStep(ctx context.Context, plan *stepPlan, limit int64) (PlanStep, error) {
	step := plan.Step
	out := PlanStep{
		Name: step.Name, Object: plan.Object.Name, Operation: string(step.Operation), SQL: plan.projection.SQL("", limit),
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
	if out.Rows, err = extract.Count(ctx, tx, step.Query); err != nil {
		return PlanStep{}, err
	}
	if limit > 0 {
		out.Rows = min(out.Rows, limit)
	}
	query, err := extract.Prepare(ctx, tx, plan.spec("", nil, sampleRows))
	if err != nil {
		return PlanStep{}, err
	}
	var sample sampler
	if err := query.Stream(ctx, sample.begin, sample.end); err != nil {
		return PlanStep{}, err
	}
	out.estimate(sample, step.Chunk.Rows, step.Chunk.Bytes)
	return out, nil
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
