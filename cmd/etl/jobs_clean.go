package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/bulkv2"
)

type jobsCleanOptions struct {
	org              string
	olderThan        time.Duration
	dryRun, withJSON bool
}

func newJobsCleanCmd(a *app) *cobra.Command {
	var opts jobsCleanOptions
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Abort our jobs that nobody will ever close",
		Long: `Abort jobs that are Open, were created by our user, are older than --older-than
and belong to no chunk of ours. A process that dies between the org's answer and
its own note of it leaves such a job; it is empty, and harmless.

Jobs that another program of the same user has just opened, or an etl with
another state database, look the same: look with --dry-run first where there are
any.`,
		Example: `  etl jobs clean --dry-run
  etl jobs clean --older-than 24h`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runJobsClean(cmd.Context(), a, opts) },
	}
	addOrg(a, cmd, &opts.org)
	flags := cmd.Flags()
	flags.DurationVar(&opts.olderThan, "older-than", time.Hour, "spare jobs that are younger than this `time`")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "only list them")
	addJSON(cmd, &opts.withJSON)
	return cmd
}

func runJobsClean(ctx context.Context, a *app, opts jobsCleanOptions) error {
	if opts.olderThan < 0 {
		return usagef("--older-than: want a time such as 1h, got %v", opts.olderThan)
	}
	store, err := a.openState(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	bulk, user, err := a.openJobs(ctx, opts.org)
	if err != nil {
		return err
	}
	if user == "" {
		return errors.New("the org does not say which user we are, so our jobs cannot be told from those of others")
	}
	before := time.Now().Add(-opts.olderThan)
	jobs, err := listJobs(ctx, bulk, func(j bulkv2.Job) bool {
		return j.State == bulkv2.Open && sameID(j.CreatedByID, user) && !j.CreatedAt.IsZero() && j.CreatedAt.Before(before)
	})
	if err != nil {
		return err
	}
	if jobs, err = unknownTo(ctx, store.KnownJobs, jobs); err != nil {
		return err
	}
	aborted := jobs
	if !opts.dryRun {
		aborted, err = abortAll(ctx, bulk, jobs)
	}
	return errors.Join(printCleaned(a, opts, aborted), err)
}

// unknownTo leaves out the jobs that belong to a chunk.
func unknownTo(ctx context.Context, known func(context.Context, []string) (map[string]bool, error), jobs []bulkv2.Job) ([]bulkv2.Job, error) {
	ids := make([]string, len(jobs))
	for i, j := range jobs {
		ids[i] = j.ID
	}
	ours, err := known(ctx, ids)
	if err != nil {
		return nil, err
	}
	var orphans []bulkv2.Job
	for _, j := range jobs {
		if !ours[j.ID] {
			orphans = append(orphans, j)
		}
	}
	return orphans, nil
}

func printCleaned(a *app, opts jobsCleanOptions, jobs []bulkv2.Job) error {
	if opts.withJSON {
		views := make([]jobView, len(jobs))
		for i, j := range jobs {
			views[i] = newJobView(j)
		}
		return a.printJSON(struct {
			DryRun bool      `json:"dry_run"`
			Jobs   []jobView `json:"jobs"`
		}{opts.dryRun, views})
	}
	if len(jobs) == 0 {
		a.printf("No orphaned jobs.\n")
		return nil
	}
	table := console.NewTable(console.Left("job"), console.Left("object"), console.Left("operation"), console.Left("created"))
	for _, j := range jobs {
		table.Row(j.ID, j.Object, j.Operation, console.Time(&j.CreatedAt))
	}
	table.Render(a.stdout)
	if opts.dryRun {
		a.printf("\n%s would be aborted.\n", console.Plural(int64(len(jobs)), "job"))
		return nil
	}
	a.printf("\n%s aborted.\n", console.Plural(int64(len(jobs)), "job"))
	return nil
}
