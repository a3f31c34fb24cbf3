package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/internal/profile"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
	"bulkhead/internal/timeline"
)

// profilePatience bounds how long the end of a run waits for the stages of its trace.
const profilePatience = 30 * time.Second

// addProfile adds the flag that every command has that loads something.
func addProfile(cmd *cobra.Command, to *string) {
	cmd.Flags().Var(pathFlag{to}, "profile", "write Go profiles and a trace of stages and requests into this `folder`; see docs/timeline.md")
	complete(cmd.MarkFlagDirname("profile"))
}

// profiled lets start be measured into a folder; an empty one is no profile. What has been measured is
// written however the run ends. That it cannot be written is said, and changes nothing of how it ended.
func (a *app) profiled(s *session, dir string, start func(context.Context) (*run.Summary, error)) func(context.Context) (*run.Summary, error) {
	if dir == "" {
		return start
	}
	return func(ctx context.Context) (*run.Summary, error) {
		p, err := profile.Start(dir)
		if err != nil {
			return nil, usagef("--profile: %w; nothing was sent", err)
		}
		a.profile = p
		summary, err := start(ctx)
		tracks, tracksErr := tracksOf(ctx, s.state, summary)
		for _, problem := range []error{tracksErr, p.Stop(tracks)} {
			if problem != nil {
				fmt.Fprintf(a.lines, "etl: --profile: %v\n", problem)
			}
		}
		fmt.Fprintf(a.lines, "etl: the profile is in %s: cpu, heap, block and mutex for \"go tool pprof\", %s for ui.perfetto.dev\n", dir, profile.TraceFile)
		return summary, err
	}
}

// tracksOf are the stages of a run's chunks on this machine's clock; none of a run that was not recorded.
func tracksOf(ctx context.Context, store *state.Store, summary *run.Summary) ([]profile.Track, error) {
	if summary == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), profilePatience)
	defer cancel()
	chunks, err := store.Chunks(ctx, summary.ID, "")
	if err != nil {
		return nil, fmt.Errorf("the trace lacks the stages: %w", err)
	}
	server, _, err := store.Pulse(ctx, summary.Pipeline)
	if err != nil {
		return nil, fmt.Errorf("the trace lacks the stages: %w", err)
	}
	now := time.Now()
	local := func(at time.Time) time.Time { return now.Add(at.Sub(server)) }
	tracks := make([]profile.Track, len(chunks))
	for i, c := range chunks {
		tracks[i].Name = fmt.Sprintf("%s, chunk %d", c.Step, c.Seq)
		for j, turn := range c.Trail {
			end := now
			if j+1 < len(c.Trail) && c.Trail[j+1].At.Before(server) { // a rest may end later than the run
				end = local(c.Trail[j+1].At)
			}
			if turn.Stage != state.StageDone {
				tracks[i].Stages = append(tracks[i].Stages, profile.Stage{Name: string(turn.Stage), For: string(timeline.Of(turn.Stage).For), From: local(turn.At), To: end})
			}
		}
	}
	return tracks, nil
}
