package run

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/extract"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/preflight"
	"bulkhead/internal/rowstate"
	"bulkhead/internal/state"
)

// stepPlan is a step with all that is known of it before it runs.
type stepPlan struct {
	*preflight.StepPlan
	projection pipeline.Projection
	// matchBy is the column that identifies a record in the results: the external id, or Id; empty
	// where only the whole content does.
	matchBy string
	keys    rowstate.Keys // how rows are kept, where only those whose content changed are sent
}

// preflight checks the steps against the source and the org, changing nothing. It returns what the org's
// objects look like beside the plans. resumed is the run that is to go on, or 0 for a new one.
func (e *Engine) preflight(ctx context.Context, steps []*pipeline.Step, options Options, resumed int64) ([]*stepPlan, []state.Describe, error) {
	known, err := e.known(ctx, resumed)
	if err != nil {
		return nil, nil, err
	}
	// A resume and a retry send no rows that were not looked at before.
	report, err := e.check(ctx, steps, preflight.Options{Known: known, NoValues: resumed != 0 || options.Retry != nil})
	if err != nil {
		return nil, nil, err
	}
	if err := report.Err(); err != nil {
		return nil, nil, err
	}
	if len(report.Drift) > 0 && e.pipeline.OnDrift == pipeline.DriftStop && !options.AcceptDrift && resumed == 0 {
		return nil, nil, &preflight.DriftError{Drift: report.Drift}
	}
	for _, change := range report.Drift {
		e.log.Warn("preflight: " + change.String() + " (changed in the org since the last run)")
	}
	for _, finding := range report.Findings {
		e.log.Warn("preflight: " + finding.String())
	}
	plans := make([]*stepPlan, len(report.Steps))
	for i, plan := range report.Steps {
		plans[i] = newStepPlan(plan)
	}
	seen, err := describes(report.Seen)
	return plans, seen, err
}

// check runs the preflight of the given steps and returns its whole report.
func (e *Engine) check(ctx context.Context, steps []*pipeline.Step, options preflight.Options) (*preflight.Report, error) {
	conn, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return preflight.Check(ctx, conn, e.cfg.Org, e.pipeline, steps, options)
}

func (e *Engine) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := extract.Connect(ctx, e.cfg.Source)
	if err != nil {
		return nil, fmt.Errorf("source database: %w", err)
	}
	return conn, nil
}

func newStepPlan(plan *preflight.StepPlan) *stepPlan {
	p := &stepPlan{StepPlan: plan, projection: plan.Step.Compile()}
	identifier := "Id"
	if plan.Step.Operation == pipeline.Upsert {
		identifier = plan.Step.ExternalID
	}
	for _, column := range plan.Columns {
		if strings.EqualFold(column.Target, identifier) {
			p.matchBy = column.Target
		}
	}
	if p.byContent() {
		p.sortKeys()
	}
	return p
}

// parent is the header that names a record's parent, by which records sent again are grouped so that
// children of one parent do not fight over its lock; empty where there is none.
func (p *stepPlan) parent() string {
	for _, column := range p.Columns {
		if strings.Contains(column.Target, ".") {
			return column.Target
		}
	}
	return ""
}

// spec is the extraction of the step's rows that satisfy where.
func (p *stepPlan) spec(where string, args []any, limit int64) extract.Spec {
	step := p.Step
	spec := extract.Spec{
		Step: step.Name, SQL: p.projection.SQL(where, limit), Args: args,
		Key: p.projection.Key, KeyNames: p.projection.KeyNames,
		Null: marker(step.Nulls), Empty: marker(step.Empty),
		ExternalID: -1, FoldExternalID: !p.ExternalIDCaseSensitive && step.Operation == pipeline.Upsert,
		MaxRows: step.Chunk.Rows, MaxBytes: step.Chunk.Bytes,
	}
	for i, field := range p.projection.Fields {
		column := p.Columns[i]
		spec.Columns = append(spec.Columns, extract.Column{
			Header: column.Target, Index: field.Index, Const: field.Const, ConstNull: field.ConstNull, MaxChars: column.MaxChars,
		})
		if column.Target == p.matchBy {
			spec.ExternalID = i
		}
	}
	return spec
}

// marker is what a missing value is written as: Salesforce clears a field for #N/A and leaves it
// alone for nothing (Bulk API 2.0 guide, "Valid CSV Record Rows").
func marker(policy pipeline.NullPolicy) string {
	if policy == pipeline.NullsClear {
		return "#N/A"
	}
	return ""
}

func (p *stepPlan) keyExprs() []string {
	exprs := make([]string, len(p.projection.Key))
	for i := range exprs {
		exprs[i] = p.projection.KeyExpr(i)
	}
	return exprs
}
