package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

type showOptions struct {
	run, step, svg            string
	timeline, force, withJSON bool
}

func newShowCmd(a *app) *cobra.Command {
	var opts showOptions
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "Show a run with its steps, chunks and errors",
		Long: `Show a run: its steps, each chunk with its job in the org, and the records that
did not load, grouped by error code and field.

` + timelineHelp,
		Example: `  etl show 42
  etl show 42 --step contacts
  etl show 42 --timeline                  # what each chunk waited for, and when
  etl show 42 --svg run42.svg             # the same as a picture
  etl show 42 --json`,
		Args:              wants("RUN"),
		ValidArgsFunction: a.runIDs(state.RunFilter{}),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.run = args[0]
			if opts.force && opts.svg == "" {
				return usagef("--force is for the file of --svg, which is not given")
			}
			return runShow(cmd.Context(), a, opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.step, "step", "", "only the chunks of this `step`")
	flags.BoolVar(&opts.timeline, "timeline", false, "draw the chunks' stages over time, and say what the run waited for")
	flags.Var(pathFlag{&opts.svg}, "svg", "write the timeline as a picture into this `file`")
	flags.BoolVar(&opts.force, "force", false, "overwrite the file of --svg")
	addJSON(cmd, &opts.withJSON)
	return cmd
}

// shown is a run with its chunks.
type shown struct {
	*run.Summary
	Chunks []*state.Chunk `json:"chunks"`
}

func runShow(ctx context.Context, a *app, opts showOptions) error {
	id, err := readID("run", opts.run)
	if err != nil {
		return err
	}
	store, err := a.openState(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	summary, err := run.Summarize(ctx, store, reconcile.NewStore(store.Pool()), id)
	if err != nil {
		return notFound(err, state.ErrNotFound, "See \"etl runs\".")
	}
	if err := hasStep(summary, opts.step); err != nil {
		return err
	}
	chunks, err := store.Chunks(ctx, id, opts.step)
	if err != nil {
		return err
	}
	if opts.timeline || opts.svg != "" {
		return runTimeline(ctx, a, store, summary.Run, chunks, opts)
	}
	if opts.withJSON {
		return a.printJSON(shown{summary, list(chunks)})
	}
	a.printSummary(summary)
	a.printf("\n%s\n", a.paint(a.stdout).Bold("Details"))
	a.printf("  started   %s on %s by process %d (%s)\n", console.Time(&summary.StartedAt), summary.Host, summary.PID, summary.Trigger)
	a.printf("  finished  %s\n", orDash(console.Time(summary.FinishedAt)))
	a.printf("  org       %s %s\n", summary.InstanceURL, summary.OrgID)
	a.printf("  file      %s\n", summary.File)
	if len(chunks) > 0 {
		a.printf("\n%s\n", a.paint(a.stdout).Bold("Chunks"))
		chunkTable(a.paint(a.stdout), chunks).Render(a.stdout)
	}
	return nil
}

// hasStep refuses the name of a step that the run does not have.
func hasStep(s *run.Summary, name string) error {
	var names []string
	for _, step := range s.Steps {
		names = append(names, step.Name)
	}
	if name == "" || slices.Contains(names, name) {
		return nil
	}
	return &usageError{err: fmt.Errorf("--step: run %d has no step %q", s.ID, name), hint: fmt.Sprintf("It has %s.", quoteAll(names))}
}

func chunkTable(paint console.Paint, chunks []*state.Chunk) *console.Table {
	table := console.NewTable(console.Left("step"), console.Right("chunk"), console.Left("keys"), console.Left("state"), console.Left("job"), console.Left("job state"),
		console.Right("sent"), console.Right("size"), console.Right("loaded"), console.Right("failed"), console.Right("unprocessed"), console.Right("rejected"), console.Cut("note", 100))
	for _, c := range chunks {
		table.Row(c.Step, c.Seq, keyRange(c), c.State, c.JobID, c.JobState, c.RowsSent, console.Bytes(c.Bytes), c.Loaded,
			red(paint, c.Failed), red(paint, c.Unprocessed), red(paint, c.Rejected), chunkNote(c))
	}
	return table
}

// keyRange says which rows a chunk holds.
func keyRange(c *state.Chunk) string {
	switch {
	case c.ParentID != nil:
		return "sent again"
	case c.Kind == state.ChunkKeys:
		return "retried by key"
	case c.Kind == state.ChunkPayload:
		return "retried as stored"
	}
	low := "start"
	if len(c.KeyLow) > 0 {
		low = "after " + strings.Join(c.KeyLow, ", ")
	}
	return fmt.Sprintf("%s to %s", console.Shorten(low, 24), console.Shorten(strings.Join(c.KeyHigh, ", "), 24))
}

func chunkNote(c *state.Chunk) string {
	var notes []string
	if c.Requeued > 0 {
		notes = append(notes, console.Count(c.Requeued)+" sent again in a later chunk")
	}
	if len(c.Replaced) > 0 {
		notes = append(notes, "replaced "+strings.Join(c.Replaced, ", "))
	}
	for _, text := range []string{c.JobError, c.Error} {
		if text != "" {
			notes = append(notes, text)
		}
	}
	return strings.Join(notes, "; ")
}
