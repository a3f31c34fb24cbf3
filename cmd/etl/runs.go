package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/state"
)

type runsOptions struct {
	pipeline, state      string
	unfinished, withJSON bool
	limit                int
}

func newRunsCmd(a *app) *cobra.Command {
	var opts runsOptions
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "List runs, the newest first",
		Example: `  etl runs
  etl runs --pipeline crm-nightly --limit 5
  etl runs --unfinished
  etl runs --state completed_with_failures --json`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runRuns(cmd.Context(), a, opts) },
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.pipeline, "pipeline", "", "only runs of this `pipeline`")
	flags.StringVar(&opts.state, "state", "", "only runs in this `state`")
	flags.BoolVar(&opts.unfinished, "unfinished", false, "only runs that can be resumed")
	flags.IntVar(&opts.limit, "limit", 20, "list at most this `many`; 0 for all")
	addJSON(cmd, &opts.withJSON)
	complete(cmd.RegisterFlagCompletionFunc("pipeline", a.pipelineNames))
	complete(cmd.RegisterFlagCompletionFunc("state", fixed(runStates()...)))
	return cmd
}

func runStates() []string {
	var names []string
	for _, s := range []state.RunState{
		state.RunRunning, state.RunSucceeded, state.RunCompletedWithFailures, state.RunStopped, state.RunFailed,
		state.RunInconsistent, state.RunInterrupted,
	} {
		names = append(names, string(s))
	}
	return names
}

func runRuns(ctx context.Context, a *app, opts runsOptions) error {
	if opts.state != "" && !slices.Contains(runStates(), opts.state) {
		return usagef("--state: want one of %s, got %q", quoteAll(runStates()), opts.state)
	}
	if opts.limit < 0 {
		return usagef("--limit: want 0 or more, got %d", opts.limit)
	}
	store, err := a.openState(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	runs, err := store.Runs(ctx, state.RunFilter{
		Pipeline: opts.pipeline, State: state.RunState(opts.state), Unfinished: opts.unfinished, Limit: opts.limit,
	})
	if err != nil {
		return err
	}
	if opts.withJSON {
		return a.printJSON(struct {
			Runs []state.Run `json:"runs"`
		}{list(runs)})
	}
	if len(runs) == 0 {
		a.printf("No runs.\n")
		return nil
	}
	paint := a.paint(a.stdout)
	table := console.NewTable(console.Right("run"), console.Left("pipeline"), console.Left("state"), console.Left("started"),
		console.Right("time"), console.Right("read"), console.Right("loaded"), console.Right("not loaded"), console.Left(""))
	for _, r := range runs {
		note := ""
		if r.Unfinished {
			note = "unfinished"
		}
		table.Row(r.ID, r.Pipeline, paintState(paint, r.State, string(r.State)), console.Time(&r.StartedAt),
			console.Duration(took(r.StartedAt, r.FinishedAt)), r.Read, r.Loaded, red(paint, r.NotLoaded()), note)
	}
	table.Render(a.stdout)
	return nil
}

// list is never null in JSON.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}
