package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/run"
)

type runOptions struct {
	pipeline, step, profile string
	since                   string
	limit                   int64
	full, accept            bool
	abandon, withJSON       bool
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
  etl run crm-nightly --full               # every row, also of steps that send only changes
  etl run crm-nightly --since 2026-11-01   # what changed since then
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
	addChanges(cmd, &opts.full, &opts.since)
	flags.BoolVar(&opts.accept, "accept", false, "send every row again where a step with \"changes\" by hash has another object, key or fields than before")
	flags.BoolVar(&opts.abandon, "abandon", false, "give up unfinished runs of this pipeline; jobs of theirs that the org has taken go on there, uncounted")
	addProfile(cmd, &opts.profile)
	flags.BoolVar(&opts.overLimits, "over-limits", false, overLimits)
	flags.BoolVar(&opts.acceptDrift, "accept-drift", false, "start although the org has changed since the last run, where the pipeline says \"on_drift: stop\"")
	addJSON(cmd, &opts.withJSON)
	complete(cmd.RegisterFlagCompletionFunc("step", a.stepNames))
	return cmd
}

// addChanges adds the flags that say where steps that send only changes begin.
func addChanges(cmd *cobra.Command, full *bool, since *string) {
	cmd.Flags().BoolVar(full, "full", false, "every row, changed or not, also of steps that have \"changes\"")
	cmd.Flags().StringVar(since, "since", "", "begin at this `value` of the column under \"changes\", instead of where the last run ended")
}

func runRun(ctx context.Context, a *app, opts runOptions) error {
	s, err := a.openLoad(ctx, opts.pipeline, opts.step, opts.limit)
	if err != nil {
		return err
	}
	defer s.close()
	if err := checkSince(s.pipeline, opts.step, opts.since, opts.full); err != nil {
		return err
	}
	if opts.overLimits {
		s.engine.LiftLimits()
	}
	err = a.driveRun(ctx, s, opts)
	var resend *run.ResendError
	if errors.As(err, &resend) && console.Interactive(a.stdin) {
		if err := a.confirm(resend.Question()); err != nil {
			return err
		}
		opts.accept = true
		err = a.driveRun(ctx, s, opts)
	}
	return err
}

func (a *app) driveRun(ctx context.Context, s *session, opts runOptions) error {
	return a.drive(ctx, s, opts.withJSON, a.profiled(s, opts.profile, func(ctx context.Context) (*run.Summary, error) {
		return s.engine.Run(ctx, run.Options{
			Step: opts.step, Limit: opts.limit, Full: opts.full, Since: opts.since, Accept: opts.accept, Abandon: opts.abandon, AcceptDrift: opts.acceptDrift,
		})
	}))
}

// checkSince refuses a --since that no step to run could mean: of all of them, or of the one named.
func checkSince(p *pipeline.Pipeline, step, since string, full bool) error {
	if since == "" {
		return nil
	}
	if full {
		return usagef("--full sends every row, and --since those from a value on: take one of them")
	}
	if !slices.ContainsFunc(p.Steps, func(s *pipeline.Step) bool { return (step == "" || s.Name == step) && hasWatermark(s) }) {
		return usagef("--since: no step to run reads what changed by a column (changes: { by: COLUMN }), so there is nothing it could mean")
	}
	return nil
}

func hasWatermark(s *pipeline.Step) bool { return s.Changes != nil && s.Changes.By != "" }
