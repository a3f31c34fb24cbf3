package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/bulkv2"
)

type jobsListOptions struct {
	org, state         string
	allUsers, withJSON bool
	limit              int
}

func newJobsListCmd(a *app) *cobra.Command {
	var opts jobsListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List ingest jobs, the newest first",
		Example: `  etl jobs list
  etl jobs list --state InProgress --all-users
  etl jobs list --limit 0 --json`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runJobsList(cmd.Context(), a, opts) },
	}
	addOrg(a, cmd, &opts.org)
	flags := cmd.Flags()
	flags.StringVar(&opts.state, "state", "", "only jobs in this `state`, such as Open, InProgress or Failed")
	flags.BoolVar(&opts.allUsers, "all-users", false, "jobs of all users, not only ours")
	flags.IntVar(&opts.limit, "limit", 50, "list at most this `many`; 0 for all")
	addJSON(cmd, &opts.withJSON)
	complete(cmd.RegisterFlagCompletionFunc("state", fixed("Open", "UploadComplete", "InProgress", "JobComplete", "Failed", "Aborted")))
	return cmd
}

func runJobsList(ctx context.Context, a *app, opts jobsListOptions) error {
	if opts.limit < 0 {
		return usagef("--limit: want 0 or more, got %d", opts.limit)
	}
	bulk, user, err := a.openJobs(ctx, opts.org)
	if err != nil {
		return err
	}
	if user == "" && !opts.allUsers {
		return errors.New("the org does not say which user we are; list with --all-users")
	}
	jobs, err := listJobs(ctx, bulk, func(j bulkv2.Job) bool {
		return (opts.allUsers || sameID(j.CreatedByID, user)) && (opts.state == "" || strings.EqualFold(string(j.State), opts.state))
	})
	if err != nil {
		return err
	}
	total := len(jobs)
	if opts.limit > 0 && total > opts.limit {
		jobs = jobs[:opts.limit]
	}
	if opts.withJSON {
		views := make([]jobView, len(jobs))
		for i, j := range jobs {
			views[i] = newJobView(j)
		}
		return a.printJSON(struct {
			Total int       `json:"total"`
			Jobs  []jobView `json:"jobs"`
		}{total, views})
	}
	if total == 0 {
		a.printf("No jobs.\n")
		return nil
	}
	table := console.NewTable(console.Left("job"), console.Left("object"), console.Left("operation"), console.Left("state"), console.Left("created"), console.Left("by"))
	for _, j := range jobs {
		table.Row(j.ID, j.Object, j.Operation, j.State, console.Time(&j.CreatedAt), j.CreatedByID)
	}
	table.Render(a.stdout)
	if more := total - len(jobs); more > 0 {
		a.printf("\n%s more; --limit 0 lists all.\n", console.Count(int64(more)))
	}
	return nil
}
