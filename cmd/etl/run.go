package main

import (
	"context"

	"github.com/spf13/cobra"

	"bulkhead/internal/run"
)

type runOptions struct {
	pipeline, step, profile string
	limit                   int64
	full, abandon, withJSON bool
	acceptDrift, overLimits bool
}

func newRunCmd(a *app) *cobra.Command {
	var opts runOptions
	cmd := &cobra.Command{
		Use:   "run PIPELINE",
		Short: "Load a pipeline",
		Long: `Load a pipeline: check it against the source and the org, then run its steps in
the order of their needs. PIPELINE is a file, or the name of one under pipelines/.

Progress goes to stderr, the summary to stdout. Interrupting is safe at any
moment: the run stops at a safe point, and "etl resume" finishes it. Only one run
of a pipeline goes at a time, and while an earlier one waits to be resumed no new
one starts, unless --abandon gives it up.

` + exitHelp,
		Example: `  etl run crm-nightly
  etl run pipelines/crm-nightly.yaml --step accounts
  etl run crm-nightly --limit 100          # try it with a few rows of each step
  etl run crm-nightly --profile profiles   # where do time and memory go?
  etl run crm-nightly --json > summary.json`,
		Args:              wants("PIPELINE"),
		ValidArgsFunction: a.pipelineNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.pipeline = args[0]
			return runRun(cmd.Context(), a, opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.step, "step", "", "run only this `step`, without those that it needs")
	flags.Int64Var(&opts.limit, "limit", 0, "load at most this many `rows` of each step (default all)")
	flags.BoolVar(&opts.full, "full", false, "load every row, changed or not; a run does so anyway as yet, also where the pipeline says \"changes\"")
	flags.BoolVar(&opts.abandon, "abandon", false, "give up unfinished runs of this pipeline; jobs of theirs that the org has taken go on there, uncounted")
	addProfile(cmd, &opts.profile)
	flags.BoolVar(&opts.overLimits, "over-limits", false, overLimits)
	flags.BoolVar(&opts.acceptDrift, "accept-drift", false, "start although the org has changed since the last run, where the pipeline says \"on_drift: stop\"")
	addJSON(cmd, &opts.withJSON)
	complete(cmd.RegisterFlagCompletionFunc("step", a.stepNames))
	return cmd
}

func runRun(ctx context.Context, a *app, opts runOptions) error {
	s, err := a.openLoad(ctx, opts.pipeline, opts.step, opts.limit)
	if err != nil {
		return err
	}
	defer s.close()
	if opts.overLimits {
		s.engine.LiftLimits()
	}
	return a.drive(ctx, s, opts.withJSON, a.profiled(s, opts.profile, func(ctx context.Context) (*run.Summary, error) {
		return s.engine.Run(ctx, run.Options{Step: opts.step, Limit: opts.limit, Abandon: opts.abandon, AcceptDrift: opts.acceptDrift})
	}))
}
