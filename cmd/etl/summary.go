package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// printSummary prints how a run ended, so that five seconds are enough to know.
func (a *app) printSummary(s *run.Summary) {
	paint := a.paint(a.stdout)
	a.printf("%s of %s: %s\n", paint.Bold(fmt.Sprintf("Run %d", s.ID)), s.Pipeline, paintState(paint, s.State, stateWords(s.State)))
	if s.Error != "" {
		for line := range strings.SplitSeq(s.Error, "\n") {
			a.printf("  %s\n", console.OneLine(line))
		}
	}
	a.printf("  %s of %s loaded, %s, %s\n\n", console.Count(s.Loaded), console.Plural(s.Read, "row"),
		console.Duration(took(s.StartedAt, s.FinishedAt)), console.Plural(s.APICalls, "API call"))
	stepTable(paint, s).Render(a.stdout)
	if len(s.Drift) > 0 {
		a.printf("\n%s\n", paint.Bold("Changed in the org since the run before"))
		for _, change := range s.Drift {
			a.printf("  %s\n", change)
		}
	}
	if len(s.Errors) > 0 {
		a.printf("\n%s\n", paint.Bold("Records that did not load"))
		groupTable(s.Errors, false).Render(a.stdout)
	}
	if next := nextSteps(s, a.pipelineWord(s)); len(next) > 0 {
		a.printf("\n%s\n", paint.Bold("Next"))
		for _, line := range next {
			a.printf("  %s\n", line)
		}
	}
}

func took(from time.Time, to *time.Time) time.Duration {
	if to == nil {
		return time.Since(from)
	}
	return to.Sub(from)
}

func stepTable(paint console.Paint, s *run.Summary) *console.Table {
	columns := []console.Column{
		console.Left("step"), console.Left("object"), console.Left("state"), console.Right("read"), console.Right("loaded"),
		console.Right("failed"), console.Right("unprocessed"), console.Right("rejected"),
	}
	held, unchanged := s.Held > 0, s.Unchanged > 0
	if held {
		columns = append(columns, console.Right("held"))
	}
	if unchanged {
		columns = append(columns, console.Right("unchanged"))
	}
	columns = append(columns, console.Right("jobs"), console.Right("batches"), console.Right("time"))
	table := console.NewTable(columns...)
	for _, step := range s.Steps {
		cells := []any{step.Name, step.Object, step.State, step.Read, step.Loaded, red(paint, step.Failed), red(paint, step.Unprocessed), red(paint, step.Rejected)}
		if held {
			cells = append(cells, red(paint, step.Held))
		}
		if unchanged {
			cells = append(cells, step.Unchanged)
		}
		time := ""
		if step.StartedAt != nil {
			time = console.Duration(took(*step.StartedAt, step.FinishedAt))
		}
		table.Row(append(cells, step.Jobs, step.Batches, time)...)
	}
	return table
}

// red is a number that should be zero.
func red(paint console.Paint, n int64) any {
	if n == 0 {
		return n
	}
	return console.Painted(paint.Bad(console.Count(n)))
}

// groupTable lists errors by code and field, the most frequent first.
func groupTable(groups []reconcile.Group, withPipeline bool) *console.Table {
	columns := []console.Column{console.Right("records"), console.Left("step"), console.Left("kind"), console.Left("code"), console.Fit("fields", 12, 40), console.Fit("example", 24, 100)}
	if withPipeline {
		columns = append([]console.Column{console.Left("pipeline")}, columns...)
	}
	table := console.NewTable(columns...)
	for _, g := range groups {
		example := g.Message
		if g.SourceKey != nil {
			example = "key " + *g.SourceKey + ": " + example
		}
		cells := []any{g.Count, g.Step, g.Kind, orDash(g.ErrorCode), orDash(strings.Join(g.Fields, ", ")), example}
		if withPipeline {
			cells = append([]any{g.Pipeline}, cells...)
		}
		table.Row(cells...)
	}
	return table
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// pipelineWord is what names the pipeline of a run on a command line: its name,
// or its file where that lies elsewhere.
func (a *app) pipelineWord(s *run.Summary) string {
	p, err := a.openProject()
	if err != nil {
		return s.Pipeline
	}
	if found, err := pipeline.Find(p.Dir, s.Pipeline); err == nil && found == s.File {
		return s.Pipeline
	}
	if _, err := os.Stat(s.File); err != nil {
		return s.Pipeline
	}
	return shellQuote(shortPath(s.File))
}

// nextSteps are the commands that make sense after a run.
func nextSteps(s *run.Summary, pipe string) []string {
	var next []string
	add := func(command, why string) { next = append(next, fmt.Sprintf("%-44s %s", command, why)) }
	anew := fmt.Sprintf("etl run %s --abandon", pipe)
	if s.Unfinished {
		add(fmt.Sprintf("etl resume %d", s.ID), "finishes it; nothing is loaded twice")
		if s.State == state.RunStopped || s.State == state.RunFailed {
			add(anew, "begins anew, if the pipeline file was wrong: a resume keeps to the old one")
		}
	}
	if s.State == state.RunInconsistent {
		add(fmt.Sprintf("etl show %d", s.ID), "says which chunk does not add up")
		if s.Unfinished {
			add(fmt.Sprintf("etl verify %d", s.ID), "looks its records up, where a resume cannot account for them")
			add(anew, "begins anew, without accounting for them")
		}
	}
	if len(s.Errors) > 0 {
		add(fmt.Sprintf("etl failed list --run %d", s.ID), "shows the records, and why")
		if s.Unfinished {
			add(fmt.Sprintf("etl failed retry --run %d", s.ID), "sends them again, once the run is finished")
		} else {
			add(fmt.Sprintf("etl failed retry --run %d", s.ID), "sends them again, once the cause is mended")
			add(fmt.Sprintf("etl failed export --run %d --output FILE", s.ID), "writes them as CSV, to mend in a spreadsheet")
		}
	}
	if others := s.Open - groupsTotal(s.Errors); others > 0 {
		add(fmt.Sprintf("etl failed list --pipeline %s", s.Pipeline), fmt.Sprintf("shows %s of other runs too", console.Plural(others, "open record")))
	}
	return next
}

func groupsTotal(groups []reconcile.Group) int64 {
	total := int64(0)
	for _, g := range groups {
		total += g.Count
	}
	return total
}
