package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/preflight"
	"bulkhead/internal/project"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

type planOptions struct {
	pipeline, step string
	since          string
	limit          int64
	full, withJSON bool
}

func newPlanCmd(a *app) *cobra.Command {
	var opts planOptions
	cmd := &cobra.Command{
		Use:   "plan PIPELINE",
		Short: "Show what a run would do and cost; sends nothing",
		Long: `Check the pipeline against the columns of the source and the fields of the org,
and show for each step the mapping, the SQL, how many rows, chunks, batches and
API calls a run would take, and what the org has left. The source is read,
nothing is sent.

Exit codes: 0 a run can start; 1 could not look; 2 wrong usage or an invalid
pipeline; 4 a run would be refused, the findings say why.`,
		Example: `  etl plan crm-nightly
  etl plan crm-nightly --step contacts
  etl plan crm-nightly --json`,
		Args:              wants("PIPELINE"),
		ValidArgsFunction: a.pipelineNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.pipeline = args[0]
			return runPlan(cmd.Context(), a, opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.step, "step", "", "only this `step`")
	flags.Int64Var(&opts.limit, "limit", 0, "as if run with --limit `rows`")
	addChanges(cmd, &opts.full, &opts.since)
	addJSON(cmd, &opts.withJSON)
	complete(cmd.RegisterFlagCompletionFunc("step", a.stepNames))
	return cmd
}

func runPlan(ctx context.Context, a *app, opts planOptions) error {
	s, err := a.openLoad(ctx, opts.pipeline, opts.step, opts.limit)
	if err != nil {
		return err
	}
	defer s.close()
	if err := checkSince(s.pipeline, opts.step, opts.since, opts.full); err != nil {
		return err
	}
	plan, err := s.engine.Plan(ctx, run.PlanOptions{Step: opts.step, Limit: opts.limit, Full: opts.full, Since: opts.since})
	if err != nil {
		return err
	}
	plan.Findings, plan.Drift = shortFindings(plan.Findings), shortDrift(plan.Drift)
	refused := wouldRefuse(s.pipeline, plan.Findings, plan.Drift) || slices.ContainsFunc(plan.Allowances, run.Allowance.Passed) && s.project.Limits().When != project.AtLimitWarn
	if err := a.printPlan(plan, !refused, opts.withJSON); err != nil {
		return err
	}
	if refused {
		return &doneError{exitRefused}
	}
	return nil
}

// wouldRefuse says whether a run would be refused for what was found.
func wouldRefuse(p *pipeline.Pipeline, findings []preflight.Finding, changes []preflight.Drift) bool {
	return preflight.Report{Findings: findings}.Err() != nil || len(changes) > 0 && p.OnDrift == pipeline.DriftStop
}

func (a *app) printPlan(plan *run.Plan, ready, asJSON bool) error {
	if asJSON {
		view := struct {
			*run.Plan
			Ready      bool                 `json:"ready"`
			Findings   []preflight.Finding  `json:"findings"`
			Drift      []preflight.Drift    `json:"drift"`
			Steps      []run.PlanStep       `json:"steps"`
			Limits     map[string]limitView `json:"limits"`
			Allowances []run.Allowance      `json:"allowances"`
		}{plan, ready, list(plan.Findings), list(plan.Drift), list(plan.Steps), limitViews(plan.Limits), list(plan.Allowances)}
		return a.printJSON(view)
	}
	paint := a.paint(a.stdout)
	for _, step := range plan.Steps {
		printPlanStep(a, paint, step)
	}
	printDrift(a, paint, plan.Drift)
	printFindings(a, paint, plan.Findings)
	if len(plan.Steps) == 0 {
		a.printf("A run would be refused: mend the errors first.\n")
		return nil
	}
	printCost(a, paint, plan)
	for _, allowance := range plan.Allowances {
		switch {
		case allowance.Passed():
			a.printf("%s %s; --over-limits goes beyond.\n", paint.Bad("limit"), allowance)
		case allowance.Crosses():
			a.printf("%s %s: a run will not get through without going beyond.\n", paint.Warn("limit"), allowance)
		}
	}
	if !ready {
		a.printf("\nA run would be refused, as things are: see the above. --accept-drift and --over-limits of \"etl run\" start it all the same.\n")
	}
	return nil
}

func printPlanStep(a *app, paint console.Paint, step run.PlanStep) {
	a.printf("%s: %s %s\n", paint.Bold(step.Name), step.Operation, step.Object)
	a.printf("  %s of about %s in %s, %s, %s\n\n", console.Plural(step.Rows, "row"), console.Bytes(step.BytesPerRow),
		console.Plural(step.Chunks, "chunk"), console.Plural(step.Batches, "batch"), console.Plural(step.APICalls, "API call"))
	if step.Unchanged > 0 {
		a.printf("  %s not sent: their content is what was loaded last\n\n", console.Plural(step.Unchanged, "row"))
	}
	if w := step.Window; w != nil {
		a.printf("  %s\n\n", windowLine(w))
	}
	table := console.NewTable(console.Left("field"), console.Left("type"), console.Cut("from", 60), console.Left("source type"))
	for _, f := range step.Fields {
		table.Row(f.Target, f.SalesforceType, f.Source, cmp.Or(f.SourceType, "constant"))
	}
	table.Render(a.stdout)
	a.printf("\n")
	for line := range strings.SplitSeq(strings.TrimSpace(step.SQL), "\n") {
		a.printf("  %s\n", strings.TrimRight(line, " \r"))
	}
	a.printf("\n")
}

func printDrift(a *app, paint console.Paint, changes []preflight.Drift) {
	if len(changes) == 0 {
		return
	}
	a.printf("%s\n", paint.Bold("Changed in the org since the last run"))
	for _, d := range changes {
		a.printf("  %s\n", d)
	}
	a.printf("\n")
}

// windowLine says which changes are read.
func windowLine(w *state.Window) string {
	from := "from the beginning"
	if w.Low != nil {
		from = "from " + *w.Low
	}
	return fmt.Sprintf("changes by %s: %s up to, without, %s", w.Column, from, w.High)
}

func printFindings(a *app, paint console.Paint, findings []preflight.Finding) {
	if len(findings) == 0 {
		return
	}
	a.printf("%s\n", paint.Bold("Findings"))
	for _, f := range findings {
		mark := paint.Warn("warning")
		if f.Severity == preflight.SeverityError {
			mark = paint.Bad("error")
		}
		a.printf("  %s  %s\n", mark, f)
	}
	a.printf("\n")
}

// printCost sets what the run takes beside what the org has left.
func printCost(a *app, paint console.Paint, plan *run.Plan) {
	a.printf("%s\n", paint.Bold("Cost"))
	table := console.NewTable(console.Left(""), console.Right("this run"), console.Right("left today"), console.Right("of"))
	rows := int64(0)
	for _, step := range plan.Steps {
		rows += step.Rows
	}
	row := func(what string, need int64, limit string) {
		l, ok := plan.Limits[limit]
		switch {
		case limit == "":
			table.Row(what, need, "", "")
		case !ok:
			table.Row(what, need, "unknown", "")
		case need > l.Remaining:
			table.Row(what, need, console.Painted(paint.Bad(console.Count(l.Remaining))), l.Max)
		default:
			table.Row(what, need, l.Remaining, l.Max)
		}
	}
	row("rows", rows, "")
	row("batches", plan.Batches, run.LimitBatches)
	row("API calls", plan.APICalls, run.LimitCalls)
	table.Render(a.stdout)
}
