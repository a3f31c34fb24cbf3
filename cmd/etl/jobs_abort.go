package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/bulkv2"
	"bulkhead/internal/project"
	"bulkhead/internal/state"
)

type jobsAbortOptions struct {
	org, job      string
	yes, withJSON bool
}

func newJobsAbortCmd(a *app) *cobra.Command {
	var opts jobsAbortOptions
	cmd := &cobra.Command{
		Use:   "abort ID",
		Short: "Abort an ingest job",
		Long: `Abort an ingest job. What it has processed stays in the org. A job of an
unfinished run of ours is not aborted here: interrupt the run, or resume it,
which settles the job with everything that belongs to it.`,
		Example: `  etl jobs abort 7505g00000AbCdEAAV
  etl jobs abort 7505g00000AbCdEAAV --yes`,
		Args: wants("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.job = args[0]
			return runJobsAbort(cmd.Context(), a, opts)
		},
	}
	addOrg(a, cmd, &opts.org)
	cmd.Flags().BoolVarP(&opts.yes, "yes", "y", false, "do not ask")
	addJSON(cmd, &opts.withJSON)
	return cmd
}

func runJobsAbort(ctx context.Context, a *app, opts jobsAbortOptions) error {
	bulk, _, err := a.openJobs(ctx, opts.org)
	if err != nil {
		return err
	}
	job, err := bulk.Info(ctx, opts.job)
	if err != nil {
		return jobError(opts.job, err)
	}
	if job.Terminal() {
		return usagef("job %s is %s already", job.ID, job.State)
	}
	if err := a.guardJob(ctx, job.ID); err != nil {
		return err
	}
	if !opts.yes {
		question := fmt.Sprintf("Abort job %s (%s %s, %s, created %s)?", job.ID, job.Operation, job.Object, job.State, console.Time(&job.CreatedAt))
		if err := a.confirm(question); err != nil {
			return err
		}
	}
	aborted, err := bulk.Abort(ctx, job.ID)
	if err != nil {
		return err
	}
	if opts.withJSON {
		return a.printJSON(newJobView(aborted))
	}
	a.printf("Job %s is %s.\n", job.ID, aborted.State)
	return nil
}

// guardJob refuses to touch a job that an unfinished run is going to settle.
func (a *app) guardJob(ctx context.Context, jobID string) error {
	p, err := a.openProject()
	if err != nil {
		return err
	}
	if p.Getenv(project.DatabaseURL) == "" {
		return nil // no state database, so no runs
	}
	store, err := openState(ctx, p)
	if err != nil {
		return err
	}
	defer store.Close()
	chunk, err := store.ChunkOfJob(ctx, jobID)
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	run, err := store.Run(ctx, chunk.RunID)
	if err != nil {
		return err
	}
	if run.Unfinished && chunk.JobID == jobID && chunk.State != state.ChunkReconciled {
		return &guardError{fmt.Sprintf("job %s belongs to chunk %d of step %q in the unfinished run %d; stop that run instead, and let \"etl resume %d\" settle it",
			jobID, chunk.Seq, chunk.Step, run.ID, run.ID)}
	}
	return nil
}

// confirm asks on the terminal; without one, --yes is needed.
func (a *app) confirm(question string) error {
	if !console.Interactive(a.stdin) {
		return usagef("nobody is there to ask; add --yes")
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && answer == "" {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("left as it is")
}

// abortAll aborts jobs one after the other, and returns those that are aborted.
func abortAll(ctx context.Context, bulk *bulkv2.Client, jobs []bulkv2.Job) ([]bulkv2.Job, error) {
	var done []bulkv2.Job
	var problems []error
	for _, job := range jobs {
		if err := ctx.Err(); err != nil {
			return done, context.Cause(ctx)
		}
		if _, err := bulk.Abort(ctx, job.ID); err != nil {
			problems = append(problems, err)
			continue
		}
		done = append(done, job)
	}
	return done, errors.Join(problems...)
}
