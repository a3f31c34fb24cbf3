// Package preflight checks a pipeline against the database it reads and the
// org it loads into, before anything is sent: whether the query works and has
// the columns that are mapped, whether the object has the fields and lets the
// integration user write them, and what is certain to fail. It finds everything in one
// pass. It must never change anything, neither here nor there, and never
// refuse what would have worked.
package preflight

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/drift"
	"bulkhead/internal/extract"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/salesforce"
)

// Describer is the part of an org that preflight asks. Describe returns a
// *salesforce.NotFoundError for an object that the org does not show.
type Describer interface {
	Describe(ctx context.Context, object string) (*salesforce.Object, error)
	Objects(ctx context.Context) ([]salesforce.ObjectSummary, error)
}

// Report is what a check found, and how each step is going to run.
type Report struct {
	Findings []Finding   // by place in the file
	Steps    []*StepPlan // as asked for; whole only when Err is nil
	// Drift is what changed in the org, where it was known before.
	Drift []Drift
	// Seen is each object that the steps use as the org describes it now, by
	// name: what the next check is to know.
	Seen []drift.Object
}

// Err is an *Error with the findings that are errors; nil where there are none.
func (r Report) Err() error {
	var faults []Finding
	for _, f := range r.Findings {
		if f.Severity == SeverityError {
			faults = append(faults, f)
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return &Error{Findings: faults}
}

// StepPlan is a step with what the source and the org say about it.
type StepPlan struct {
	Step    *pipeline.Step
	Object  *salesforce.Object // nil where the org has no such object
	Columns []ColumnPlan       // one for each of the step's fields, in their order
	// ExternalIDCaseSensitive says whether the org tells "a" from "A" in the
	// external id of an upsert.
	ExternalIDCaseSensitive bool
	SQL                     string             // what the rows are read with
	KeyTypes                []string           // SQL types of the key columns
	LikelyRows              int64              // as the database's planner guesses
	Watermark               *extract.Watermark // nil where the step has none
}

// ColumnPlan is a column of what is uploaded.
type ColumnPlan struct {
	Target         string // the header, in the letter case of the org
	From           string // the column, expression or constant, as in the file
	SourceType     string // SQL type; empty for a constant
	SalesforceType string // of the field; of the lookup, for a parent
	MaxChars       int    // characters the field holds, for types that are text; 0: not limited
}

// Options say how far a check goes.
type Options struct {
	Known Known // what the org looked like before; nil where nobody knows
	// NoValues leaves the source's rows alone: for rows that were looked at before,
	// or are not those that will be read.
	NoValues bool
}

// Check checks steps of a pipeline. Only what keeps it from looking at all,
// such as a lost connection, is an error here; all else is in the report. It asks the org to describe each object that
// the steps use once, and where an object is not there to list those that are.
// A nil conn leaves the source out: then no plan is whole.
func Check(ctx context.Context, conn *pgx.Conn, org Describer, p *pipeline.Pipeline, steps []*pipeline.Step, options Options) (*Report, error) {
	c := &checker{conn: conn, org: org, file: p.File, known: options.Known, noValues: options.NoValues, objects: map[string]*salesforce.Object{}, used: map[string]*usage{}}
	for _, step := range steps {
		plan, err := c.step(ctx, step)
		if err != nil {
			return nil, err
		}
		c.report.Steps = append(c.report.Steps, plan)
	}
	slices.SortStableFunc(c.report.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	c.lookBack()
	return &c.report, nil
}

// checker is one check under way.
type checker struct {
	conn     *pgx.Conn
	org      Describer
	file     string
	known    Known
	noValues bool
	used     map[string]*usage             // what of each object, by its name in lower case
	objects  map[string]*salesforce.Object // by name in lower case; nil where the org has none
	names    []salesforce.ObjectSummary    // of all objects, once asked for
	report   Report
}

// step checks one step, first what it writes and then what it reads.
func (c *checker) step(ctx context.Context, step *pipeline.Step) (*StepPlan, error) {
	s := &stepCheck{checker: c, step: step, projection: step.Compile()}
	s.plan = &StepPlan{Step: step, SQL: s.projection.SQL("", 0), Columns: make([]ColumnPlan, len(step.Fields))}
	for i, f := range step.Fields {
		s.plan.Columns[i] = ColumnPlan{Target: f.Target, From: sourceOf(f)}
	}
	if err := s.checkObject(ctx); err != nil {
		return nil, err
	}
	if c.conn == nil {
		return s.plan, nil
	}
	if err := s.checkSource(ctx); err != nil {
		return nil, err
	}
	s.checkTypes()
	if c.noValues {
		return s.plan, nil
	}
	return s.plan, s.checkValues(ctx)
}

// stepCheck is the check of one step.
type stepCheck struct {
	*checker
	step       *pipeline.Step
	projection pipeline.Projection
	plan       *StepPlan
	fields     []*salesforce.Field // what each of the step's fields writes; nil where unknown
	sound      bool                // the query works and has all that is mapped
}

// fault records an error, warn a warning. field is empty for the step itself.
func (s *stepCheck) fault(at pipeline.Pos, field, message, fix string) {
	s.add(SeverityError, at, field, message, fix)
}

func (s *stepCheck) warn(at pipeline.Pos, field, message, fix string) {
	s.add(SeverityWarning, at, field, message, fix)
}

func (s *stepCheck) add(severity Severity, at pipeline.Pos, field, message, fix string) {
	s.report.Findings = append(s.report.Findings, Finding{
		File: s.file, Line: at.Line, Column: at.Column, Step: s.step.Name, Field: field,
		Severity: severity, Message: message, Fix: fix,
	})
}

// sourceOf is where a field's value comes from, in the words of the file.
func sourceOf(f pipeline.Field) string {
	switch {
	case f.Null:
		return "null"
	case f.Value != nil:
		return *f.Value
	case f.SQL != "":
		return f.SQL
	}
	return f.Column
}
