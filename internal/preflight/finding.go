package preflight

import (
	"fmt"
	"strings"

	"bulkhead/internal/yamlfile"
)

// Severity says whether a finding stands in the way of a run.
type Severity string

// The severities of findings.
const (
	SeverityError   Severity = "error"   // a run would fail, wholly or in this field
	SeverityWarning Severity = "warning" // a run may go, but this is worth to know
)

// Finding is one thing that does not fit, with its place in the pipeline file.
type Finding struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Step     string   `json:"step"`
	Field    string   `json:"field,omitempty"` // as mapped; empty where it concerns the step
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`       // what does not fit
	Fix      string   `json:"fix,omitempty"` // what to do about it
}

// String is the finding on one line, beginning with its place.
func (f Finding) String() string {
	where := fmt.Sprintf("step %q", f.Step)
	if f.Field != "" {
		where += ", field " + f.Field
	}
	problem := yamlfile.Problem{File: f.File, Line: f.Line, Column: f.Column, Path: where, Message: f.Message}
	if f.Fix != "" {
		problem.Message += "; " + f.Fix
	}
	return problem.String()
}

// Error is what stands in the way of a run: the findings that are errors.
type Error struct {
	Findings []Finding
}

// Error lists the findings, one a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}
