package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/state"
)

func newScheduleCmd(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "schedule",
		Short: "What is due when; run now, pause, resume",
		Example: `  etl schedule list
  etl schedule run crm-nightly
  etl schedule pause crm-nightly
  etl schedule resume crm-nightly`,
	}, newScheduleListCmd(a), newScheduleRunCmd(a), newSchedulePauseCmd(a), newScheduleResumeCmd(a))
}

type scheduleListOptions struct{ withJSON bool }

// scheduleView is a schedule in our JSON.
type scheduleView struct {
	Pipeline string      `json:"pipeline"`
	File     string      `json:"file"`
	Cron     string      `json:"cron"`
	Timezone string      `json:"timezone"`
	Overlap  string      `json:"overlap"`
	CatchUp  string      `json:"catch_up"`
	Jitter   string      `json:"jitter"`
	State    string      `json:"state"` // waiting, running, paused, broken, or new: no server has seen it
	Next     *time.Time  `json:"next"`
	PausedAt *time.Time  `json:"paused_at"`
	Mistake  string      `json:"mistake,omitempty"`
	Last     *state.Fire `json:"last"`
}

func newScheduleListCmd(a *app) *cobra.Command {
	var opts scheduleListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List schedules: when they are due, how they went last, who runs them",
		Example: `  etl schedule list
  etl schedule list --json`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runScheduleList(cmd.Context(), a, opts) },
	}
	addJSON(cmd, &opts.withJSON)
	return cmd
}

func runScheduleList(ctx context.Context, a *app, opts scheduleListOptions) error {
	p, err := a.openProject()
	if err != nil {
		return err
	}
	store, err := openState(ctx, p)
	if err != nil {
		return err
	}
	defer store.Close()
	files, err := readPipelines(p)
	if err != nil {
		return err
	}
	views, err := viewSchedules(ctx, store, files)
	if err != nil {
		return err
	}
	leader, err := store.CurrentLeader(ctx)
	if err != nil {
		return err
	}
	if opts.withJSON {
		return a.printJSON(struct {
			Leader    *state.Leader  `json:"leader"`
			Schedules []scheduleView `json:"schedules"`
		}{leader, list(views)})
	}
	a.printSchedules(views, leader)
	return nil
}

func viewSchedules(ctx context.Context, store *state.Store, files []pipelineFile) ([]scheduleView, error) {
	known, err := store.Schedules(ctx)
	if err != nil {
		return nil, err
	}
	fires, err := store.LastFires(ctx)
	if err != nil {
		return nil, err
	}
	open, err := store.OpenFires(ctx)
	if err != nil {
		return nil, err
	}
	var views []scheduleView
	for _, f := range files {
		if f.pipe == nil {
			views = append(views, scheduleView{File: shortPath(f.file), State: "broken", Mistake: f.mistake})
			continue
		}
		if f.pipe.Schedule == nil {
			continue
		}
		v := viewSchedule(f, known[f.pipe.Name])
		of := func(f state.Fire) bool { return f.Pipeline == v.Pipeline }
		if i := slices.IndexFunc(fires, of); i >= 0 {
			v.Last = &fires[i]
		}
		if i := slices.IndexFunc(open, of); i >= 0 {
			v.State, v.Last = "running", &open[i]
		}
		views = append(views, v)
	}
	return views, nil
}

func viewSchedule(f pipelineFile, known state.Schedule) scheduleView {
	s := f.pipe.Schedule
	v := scheduleView{
		Pipeline: f.pipe.Name, File: shortPath(f.file), Cron: s.Cron, Timezone: s.Timezone,
		Overlap: string(s.Overlap), CatchUp: string(s.CatchUp), Jitter: s.Jitter.String(), State: "waiting", PausedAt: known.PausedAt,
	}
	switch {
	case known.PausedAt != nil:
		v.State = "paused"
		return v
	case known.DecidedUntil == nil:
		v.State = "new"
	}
	if next := plan(f.pipe).Next(time.Now()); !next.IsZero() {
		v.Next = &next
	}
	return v
}

func (a *app) printSchedules(views []scheduleView, leader *state.Leader) {
	paint := a.paint(a.stdout)
	if len(views) == 0 {
		a.printf("No pipeline has a schedule: see \"schedule:\" in docs/schedules.md.\n")
		return
	}
	table := console.NewTable(console.Left("pipeline"), console.Left("cron"), console.Left("timezone"), console.Left("state"),
		console.Left("next"), console.Left("last"), console.Fit("how it went", 20, 60))
	for _, v := range views {
		last, how := "", v.Mistake
		if v.Last != nil {
			last, how = console.Time(&v.Last.At), howItWent(*v.Last)
		}
		word := v.State
		switch v.State {
		case "broken":
			word = paint.Bad(word)
		case "paused", "new":
			word = paint.Warn(word)
		}
		table.Row(cmp.Or(v.Pipeline, v.File), v.Cron, v.Timezone, console.Painted(word), console.Time(v.Next), last, how)
	}
	table.Render(a.stdout)
	if leader == nil {
		a.printf("\n%s Nothing runs until \"etl serve\" does.\n", paint.Warn("No server is running."))
		return
	}
	a.printf("\nServed by process %d on %s, since %s.\n", leader.PID, leader.Host, console.Time(&leader.Since))
}

// howItWent says what became of a time that was due.
func howItWent(f state.Fire) string {
	text := string(f.State)
	switch f.State {
	case state.FireDone, state.FireRunning:
		text = fmt.Sprintf("run %d, %s", f.RunID, f.RunState)
	case state.FireClaimed:
		text = "about to run, or to be tried again: see the server's log"
	case state.FireSkipped:
		text = "left out: " + f.Reason
	case state.FireFailed:
		text = "failed: " + f.Reason
	}
	if f.Missed > 0 {
		text = fmt.Sprintf("%s; %s missed before it", text, console.Plural(f.Missed, "time"))
	}
	return text
}
