package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/internal/pipeline"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

type resumeOptions struct {
	run        string // empty: the unfinished one
	profile    string
	overLimits bool
	withJSON   bool
}

func newResumeCmd(a *app) *cobra.Command {
	var opts resumeOptions
	cmd := &cobra.Command{
		Use:   "resume [RUN]",
		Short: "Finish an interrupted or stopped run",
		Long: `Finish a run that was interrupted, killed or stopped: chunks whose jobs were
closed are settled by what the org says of them, the others are sent, and rows
not read yet are read. Nothing is loaded twice. The run goes on with the pipeline
file as it was when it started; later edits do not touch it.

Without RUN it is the one unfinished run. Where several pipelines have one, they
are listed and nothing is done (exit code 2); where there is none, that is said
and all is well (exit code 0, with --json null).

` + exitHelp,
		Example: `  etl resume
  etl resume 42
  etl resume && etl run crm-nightly        # what is unfinished first, if anything is`,
		Args:              wants("[RUN]"),
		ValidArgsFunction: a.runIDs(state.RunFilter{Unfinished: true}),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				opts.run = args[0]
			}
			return runResume(cmd.Context(), a, opts)
		},
	}
	addProfile(cmd, &opts.profile)
	cmd.Flags().BoolVar(&opts.overLimits, "over-limits", false, overLimits)
	addJSON(cmd, &opts.withJSON)
	return cmd
}

func runResume(ctx context.Context, a *app, opts resumeOptions) error {
	s, found, err := a.openResume(ctx, func(store *state.Store) (state.Run, error) { return findUnfinished(ctx, store, opts.run) })
	if errors.Is(err, errNothingUnfinished) {
		return sayNothingUnfinished(a, opts)
	}
	if err != nil {
		return err
	}
	defer s.close()
	if opts.overLimits {
		s.engine.LiftLimits()
	}
	return a.drive(ctx, s, opts.withJSON, a.profiled(s, opts.profile, func(ctx context.Context) (*run.Summary, error) {
		return s.engine.Resume(ctx, found)
	}))
}

// openResume opens the session of a recorded run, with the pipeline as it was when the run started.
func (a *app) openResume(ctx context.Context, find func(*state.Store) (state.Run, error)) (*session, int64, error) {
	project, err := a.openProject()
	if err != nil {
		return nil, 0, err
	}
	store, err := openState(ctx, project)
	if err != nil {
		return nil, 0, err
	}
	found, err := find(store)
	if err != nil {
		store.Close()
		return nil, 0, err
	}
	pipe, err := pipeline.Parse(found.File, found.Definition)
	if err != nil {
		store.Close()
		return nil, 0, fmt.Errorf("run %d: its pipeline file as recorded: %w", found.ID, err)
	}
	s, err := a.openSession(ctx, project, store, pipe)
	return s, found.ID, err
}

// errNothingUnfinished says that there is nothing to go on with, which is how
// it should be.
var errNothingUnfinished = errors.New("no run is unfinished")

func sayNothingUnfinished(a *app, opts resumeOptions) error {
	if opts.withJSON {
		return a.printJSON(nil)
	}
	a.printf("No run is unfinished.\n")
	return nil
}

// findUnfinished returns the run to go on with.
func findUnfinished(ctx context.Context, store *state.Store, wanted string) (state.Run, error) {
	if wanted == "" {
		return onlyUnfinished(ctx, store)
	}
	id, err := readID("run", wanted)
	if err != nil {
		return state.Run{}, err
	}
	found, err := store.Run(ctx, id)
	if err != nil {
		return state.Run{}, notFound(err, state.ErrNotFound, "See \"etl runs\".")
	}
	if found.Unfinished {
		return found, nil
	}
	e := &usageError{err: fmt.Errorf("run %d of pipeline %q is %s: there is nothing to resume", id, found.Pipeline, found.State)}
	switch found.State {
	case state.RunRunning, state.RunStopped, state.RunFailed, state.RunInterrupted:
		e.hint = fmt.Sprintf("It ended before anything was sent; start it again with \"etl run %s\".", found.Pipeline)
	case state.RunCompletedWithFailures:
		e.hint = fmt.Sprintf("What did not load is sent again by \"etl failed retry --run %d\".", id)
	case state.RunSucceeded, state.RunInconsistent:
	}
	return state.Run{}, e
}

func onlyUnfinished(ctx context.Context, store *state.Store) (state.Run, error) {
	runs, err := store.Runs(ctx, state.RunFilter{Unfinished: true})
	if err != nil {
		return state.Run{}, err
	}
	switch len(runs) {
	case 0:
		return state.Run{}, errNothingUnfinished
	case 1:
		return runs[0], nil
	}
	var list strings.Builder
	list.WriteString("Say which one:")
	for _, r := range runs {
		fmt.Fprintf(&list, "\n  etl resume %d    # %s, %s, started %s", r.ID, r.Pipeline, r.State, r.StartedAt.Local().Format("2006-01-02 15:04"))
	}
	return state.Run{}, &usageError{err: fmt.Errorf("%d runs are unfinished", len(runs)), hint: list.String()}
}
