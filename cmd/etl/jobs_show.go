package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/project"
	"bulkhead/internal/state"
)

type jobsShowOptions struct {
	org, job string
	withJSON bool
}

func newJobsShowCmd(a *app) *cobra.Command {
	var opts jobsShowOptions
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one ingest job, and which run of ours it belongs to",
		Example: `  etl jobs show 7505g00000AbCdEAAV
  etl jobs show 7505g00000AbCdEAAV --json`,
		Args: wants("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.job = args[0]
			return runJobsShow(cmd.Context(), a, opts)
		},
	}
	addOrg(a, cmd, &opts.org)
	addJSON(cmd, &opts.withJSON)
	return cmd
}

// jobOwner is the chunk that a job of ours loads.
type jobOwner struct {
	RunID int64  `json:"run_id"`
	Step  string `json:"step"`
	Chunk int    `json:"chunk"`
}

func runJobsShow(ctx context.Context, a *app, opts jobsShowOptions) error {
	bulk, _, err := a.openJobs(ctx, opts.org)
	if err != nil {
		return err
	}
	job, err := bulk.Info(ctx, opts.job)
	if err != nil {
		return jobError(opts.job, err)
	}
	owner, err := a.ownerOf(ctx, job.ID)
	if err != nil {
		return err
	}
	view := newJobView(job)
	if opts.withJSON {
		return a.printJSON(struct {
			jobView
			Owner *jobOwner `json:"belongs_to"`
		}{view, owner})
	}
	line := func(name, value string) {
		if value != "" {
			a.printf("%-12s %s\n", name, console.OneLine(value))
		}
	}
	line("job", view.ID)
	line("state", view.State)
	line("error", view.ErrorMessage)
	line("object", fmt.Sprintf("%s (%s)", view.Object, view.Operation))
	line("external id", view.ExternalIDField)
	line("created", fmt.Sprintf("%s by %s", console.Time(view.CreatedAt), view.CreatedByID))
	line("modified", console.Time(view.ModifiedAt))
	if job.CountersKnown {
		line("processed", fmt.Sprintf("%s, %s failed", console.Plural(job.RecordsProcessed, "record"), console.Count(job.RecordsFailed)))
		line("took", fmt.Sprintf("%s processing, %s of it in the API, %s in Apex", console.Duration(job.TotalProcessing), console.Duration(job.APIActive), console.Duration(job.Apex)))
		line("retries", console.Count(int64(job.Retries)))
	}
	if owner != nil {
		line("belongs to", fmt.Sprintf("run %d, step %q, chunk %d", owner.RunID, owner.Step, owner.Chunk))
	}
	return nil
}

// ownerOf returns which chunk a job belongs to; nil when none of ours, or when
// no state database is set up.
func (a *app) ownerOf(ctx context.Context, jobID string) (*jobOwner, error) {
	p, err := a.openProject()
	if err != nil {
		return nil, err
	}
	if p.Getenv(project.DatabaseURL) == "" {
		return nil, nil
	}
	store, err := openState(ctx, p)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	chunk, err := store.ChunkOfJob(ctx, jobID)
	if errors.Is(err, state.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &jobOwner{RunID: chunk.RunID, Step: chunk.Step, Chunk: chunk.Seq}, nil
}
