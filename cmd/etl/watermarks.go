package main

import (
	"context"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

func newWatermarksCmd(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "watermarks",
		Short: "Where the next run of a step that sends only changes begins",
		Long: `A step with "changes: { by: COLUMN }" reads the rows whose COLUMN is not less than
its watermark. A run moves it when the step is done and every record is accounted
for; these commands show it, and put it elsewhere.`,
		Example: `  etl watermarks list
  etl watermarks set crm-nightly accounts "2026-11-01 00:00:00+00"`,
	}, newWatermarksListCmd(a), newWatermarksSetCmd(a))
}

func newWatermarksListCmd(a *app) *cobra.Command {
	var pipeline string
	var withJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the watermarks",
		Example: `  etl watermarks list
  etl watermarks list --pipeline crm-nightly --json`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runWatermarksList(cmd.Context(), a, pipeline, withJSON)
		},
	}
	cmd.Flags().StringVar(&pipeline, "pipeline", "", "only those of this `pipeline`")
	addJSON(cmd, &withJSON)
	complete(cmd.RegisterFlagCompletionFunc("pipeline", a.pipelineNames))
	return cmd
}

func runWatermarksList(ctx context.Context, a *app, pipeline string, withJSON bool) error {
	store, err := a.openState(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	marks, err := store.Watermarks(ctx, pipeline)
	if err != nil {
		return err
	}
	if withJSON {
		return a.printJSON(struct {
			Watermarks []state.Watermark `json:"watermarks"`
		}{list(marks)})
	}
	if len(marks) == 0 {
		a.printf("No watermarks: no step with \"changes: { by: COLUMN }\" has been run to its end.\n")
		return nil
	}
	table := console.NewTable(console.Left("pipeline"), console.Left("step"), console.Left("column"), console.Left("type"),
		console.Left("next run begins at"), console.Left("moved"), console.Left("by"))
	for _, m := range marks {
		by := "etl watermarks set"
		if m.RunID != nil {
			by = "run " + strconv.FormatInt(*m.RunID, 10)
		}
		table.Row(m.Pipeline, m.Step, m.Column, m.Type, m.Value, console.Time(&m.UpdatedAt), by)
	}
	table.Render(a.stdout)
	return nil
}

func newWatermarksSetCmd(a *app) *cobra.Command {
	var withJSON bool
	cmd := &cobra.Command{
		Use:   "set PIPELINE STEP VALUE",
		Short: "Say where the next run of a step begins",
		Long: `Say where the next run of a step begins: with the rows whose column under
"changes" is VALUE or more. Rows with less are not looked at again until they
change, so this can leave rows out. It is refused while a run of the pipeline is
under way or unfinished.`,
		Example: `  etl watermarks set crm-nightly accounts "2026-11-01 00:00:00+00"
  etl watermarks set crm-nightly orders 481200`,
		Args:              wants("PIPELINE", "STEP", "VALUE"),
		ValidArgsFunction: a.pipelineNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runWatermarksSet(cmd.Context(), a, args, withJSON)
		},
	}
	addJSON(cmd, &withJSON)
	return cmd
}

func runWatermarksSet(ctx context.Context, a *app, args []string, withJSON bool) error {
	project, err := a.openProject()
	if err != nil {
		return err
	}
	pipe, err := a.loadPipeline(project, args[0])
	if err != nil {
		return err
	}
	if err := checkStep(pipe, args[1]); err != nil {
		return err
	}
	if !slices.ContainsFunc(pipe.Steps, func(s *pipeline.Step) bool { return s.Name == args[1] && hasWatermark(s) }) {
		return usagef("step %q has no watermark: it does not read what changed by a column (changes: { by: COLUMN })", args[1])
	}
	store, err := openState(ctx, project)
	if err != nil {
		return err
	}
	defer store.Close()
	source, err := openSource(ctx, project, pipe)
	if err != nil {
		return err
	}
	mark, err := run.SetWatermark(ctx, store, source, pipe, args[1], args[2])
	if err != nil {
		return err
	}
	if withJSON {
		return a.printJSON(mark)
	}
	a.printf("The next run of step %s reads the rows whose %s is %s or more.\n", mark.Step, mark.Column, mark.Value)
	return nil
}
