package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/internal/state"
)

type scheduleChangeOptions struct {
	pipeline string
	withJSON bool
}

// changed is what a change of a schedule comes to, in our JSON.
type changed struct {
	Pipeline string `json:"pipeline"`
	Changed  bool   `json:"changed"`
}

// newScheduleChangeCmd makes a command that changes the schedule of one pipeline.
func newScheduleChangeCmd(a *app, cmd *cobra.Command, change func(context.Context, *app, *state.Store, scheduleChangeOptions) error) *cobra.Command {
	var opts scheduleChangeOptions
	cmd.Args = wants("PIPELINE")
	cmd.ValidArgsFunction = a.pipelineNames
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := a.openProject()
		if err != nil {
			return err
		}
		pipe, err := a.loadPipeline(p, args[0])
		if err != nil {
			return err
		}
		store, err := openState(cmd.Context(), p)
		if err != nil {
			return err
		}
		defer store.Close()
		opts.pipeline = pipe.Name
		return change(cmd.Context(), a, store, opts)
	}
	addJSON(cmd, &opts.withJSON)
	return cmd
}

func newScheduleRunCmd(a *app) *cobra.Command {
	return newScheduleChangeCmd(a, &cobra.Command{
		Use:   "run PIPELINE",
		Short: "Let the server run a pipeline now",
		Long: `Let the server that leads run a pipeline now, beside its schedule and also while
it is paused. It waits for a run of the pipeline that is going. The command comes
back at once; "etl schedule list" and "etl runs" show what becomes of it. Where no
server runs, use "etl run".`,
		Example: `  etl schedule run crm-nightly`,
	}, runScheduleRun)
}

func runScheduleRun(ctx context.Context, a *app, store *state.Store, opts scheduleChangeOptions) error {
	leader, err := store.CurrentLeader(ctx)
	if err != nil {
		return err
	}
	if leader == nil {
		return &usageError{
			err:  errNoServer,
			hint: "Start one with \"etl serve\", or run the pipeline here with \"etl run " + opts.pipeline + "\".",
		}
	}
	id, err := store.Request(ctx, opts.pipeline)
	if err != nil {
		return err
	}
	if opts.withJSON {
		return a.printJSON(struct {
			Pipeline string        `json:"pipeline"`
			Fire     int64         `json:"fire_id"`
			Leader   *state.Leader `json:"leader"`
		}{opts.pipeline, id, leader})
	}
	a.printf("Process %d on %s runs %s within seconds; see \"etl schedule list\".\n", leader.PID, leader.Host, opts.pipeline)
	return nil
}

func newSchedulePauseCmd(a *app) *cobra.Command {
	return newScheduleChangeCmd(a, &cobra.Command{
		Use:   "pause PIPELINE",
		Short: "Let no run of a pipeline begin by its schedule",
		Long: `Let no run of a pipeline begin by its schedule, on any server, until "etl schedule
resume". A run that is going goes on, and "etl run" still works. What would have
been due meanwhile is not made up for.`,
		Example: `  etl schedule pause crm-nightly`,
	}, runSchedulePause)
}

func runSchedulePause(ctx context.Context, a *app, store *state.Store, opts scheduleChangeOptions) error {
	done, err := store.Pause(ctx, opts.pipeline)
	if err != nil {
		return err
	}
	if opts.withJSON {
		return a.printJSON(changed{opts.pipeline, done})
	}
	if !done {
		a.printf("%s is paused already.\n", opts.pipeline)
		return nil
	}
	a.printf("%s is paused; go on with \"etl schedule resume %s\".\n", opts.pipeline, opts.pipeline)
	return nil
}

func newScheduleResumeCmd(a *app) *cobra.Command {
	return newScheduleChangeCmd(a, &cobra.Command{
		Use:     "resume PIPELINE",
		Short:   "Let a paused schedule go on",
		Long:    `Let a paused schedule go on, from now: what was due meanwhile is not made up for.`,
		Example: `  etl schedule resume crm-nightly`,
	}, runScheduleResume)
}

func runScheduleResume(ctx context.Context, a *app, store *state.Store, opts scheduleChangeOptions) error {
	done, err := store.Unpause(ctx, opts.pipeline, time.Now())
	if err != nil {
		return err
	}
	if opts.withJSON {
		return a.printJSON(changed{opts.pipeline, done})
	}
	if !done {
		a.printf("%s is not paused.\n", opts.pipeline)
		return nil
	}
	a.printf("%s goes on by its schedule.\n", opts.pipeline)
	return nil
}

// errNoServer says that nobody is there to do what is asked for.
var errNoServer = errors.New("no server is running")
