package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/internal/reconcile"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

type failedRetryOptions struct {
	recordFilter
	from       string
	profile    string
	overLimits bool
	withJSON   bool
}

func newFailedRetryCmd(a *app) *cobra.Command {
	var opts failedRetryOptions
	cmd := &cobra.Command{
		Use:   "retry [ID]",
		Short: "Send records again",
		Long: `Send open records again, as a run of its own. By default their rows are read
again from the source by key, so that what was mended there flows through; rows
that are gone from the source stay open. --from payload sends what is stored,
with the edits of "etl failed import".

The pipeline file is found by the pipeline's name under pipelines/. Where records
of several pipelines fit, --pipeline says which.

` + exitHelp,
		Example: `  etl failed retry --run 42
  etl failed retry --pipeline crm-nightly --code UNABLE_TO_LOCK_ROW
  etl failed retry 17 --from payload`,
		Args: wants("[ID]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.take(args); err != nil {
				return err
			}
			return runFailedRetry(cmd.Context(), a, opts)
		},
	}
	opts.add(a, cmd)
	cmd.Flags().StringVar(&opts.from, "from", "source", "source: read the rows again; payload: send what is stored")
	addProfile(cmd, &opts.profile)
	cmd.Flags().BoolVar(&opts.overLimits, "over-limits", false, overLimits)
	addJSON(cmd, &opts.withJSON)
	complete(cmd.RegisterFlagCompletionFunc("from", fixed("source", "payload")))
	return cmd
}

func runFailedRetry(ctx context.Context, a *app, opts failedRetryOptions) error {
	if opts.from != "source" && opts.from != "payload" {
		return usagef("--from: want source or payload, got %q", opts.from)
	}
	project, err := a.openProject()
	if err != nil {
		return err
	}
	store, err := openState(ctx, project)
	if err != nil {
		return err
	}
	name, err := pipelineToRetry(ctx, store, opts.filter)
	if err != nil {
		store.Close()
		return err
	}
	pipe, err := a.loadPipeline(project, name)
	if err == nil && pipe.Name != name {
		err = usagef("pipeline %q: the file %s is of pipeline %q", name, pipe.File, pipe.Name)
	}
	if err == nil {
		err = checkStep(pipe, opts.filter.Step)
	}
	if err != nil {
		store.Close()
		return err
	}
	s, err := a.openSession(ctx, project, store, pipe)
	if err != nil {
		return err
	}
	defer s.close()
	if opts.overLimits {
		s.engine.LiftLimits()
	}
	return a.drive(ctx, s, opts.withJSON, a.profiled(s, opts.profile, func(ctx context.Context) (*run.Summary, error) {
		summary, err := s.engine.Retry(ctx, run.RetryOptions{Filter: opts.filter, FromPayload: opts.from == "payload"})
		if errors.Is(err, run.ErrNothingToRetry) {
			err = asUsage(err)
		}
		return summary, err
	}))
}

// pipelineToRetry is the one pipeline that the open records of the filter are of.
func pipelineToRetry(ctx context.Context, store *state.Store, filter reconcile.Filter) (string, error) {
	filter.Statuses = []reconcile.Status{reconcile.StatusOpen}
	groups, err := reconcile.NewStore(store.Pool()).Groups(ctx, filter)
	if err != nil {
		return "", err
	}
	var names []string
	for _, g := range groups {
		if !slices.Contains(names, g.Pipeline) {
			names = append(names, g.Pipeline)
		}
	}
	switch len(names) {
	case 0:
		return "", &usageError{err: run.ErrNothingToRetry, hint: "See \"etl failed list --status all\"."}
	case 1:
		return names[0], nil
	}
	slices.Sort(names)
	return "", &usageError{
		err:  fmt.Errorf("records of %d pipelines fit", len(names)),
		hint: "Say which one: --pipeline " + strings.Join(names, ", or --pipeline "),
	}
}
