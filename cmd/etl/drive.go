package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// drive lets a run go, shows its progress and sums it up.
func (a *app) drive(ctx context.Context, s *session, asJSON bool, start func(context.Context) (*run.Summary, error)) error {
	// Somebody who reads only the beginning, as "head" does, must not take the
	// load down by going away.
	signal.Ignore(syscall.SIGPIPE)
	unannounce := context.AfterFunc(ctx, func() {
		fmt.Fprintf(a.lines, "etl: %v: stopping cleanly, what is under way is brought to a safe point; a second signal stops at once; go on later with \"etl resume\"\n", context.Cause(ctx))
	})
	defer unannounce()
	stop := console.Watch(a.watching(s))
	summary, err := start(ctx)
	stop()
	if summary == nil {
		return err
	}
	if asJSON {
		if err := a.printJSON(summary); err != nil {
			return err
		}
	} else {
		a.printSummary(summary)
	}
	return a.verdict(ctx, summary, asJSON, err)
}

// watching says how the progress is shown: bars, lines, or entries of the log
// where that is JSON.
func (a *app) watching(s *session) console.Watching {
	w := console.Watching{Steps: s.engine.Progress().Steps, Err: a.stderr, Log: a.lines, Paint: a.paint(a.stderr)}
	for _, step := range s.pipeline.Steps {
		w.Names = append(w.Names, step.Name)
	}
	w.Plain = func(_ run.Counts, _ float64, text string) { fmt.Fprintf(a.lines, "etl: %s\n", text) }
	if a.logFormat == "json" {
		w.Err = a.lines // never bars
		w.Plain = func(c run.Counts, rate float64, _ string) {
			a.log.Info("progress", zap.Any("progress", c), zap.Float64("rows_per_second", rate))
		}
	}
	return w
}

// verdict is the error that a run ends with, when its summary is printed, as
// text or as JSON. Why it did not complete stands in the former already.
func (a *app) verdict(ctx context.Context, summary *run.Summary, asJSON bool, err error) error {
	switch {
	case err == nil && summary.State == state.RunCompletedWithFailures:
		return &doneError{exitLeftovers}
	case err == nil:
		return nil
	case ctx.Err() != nil && summary.State == state.RunInterrupted:
		fmt.Fprintf(a.stderr, "etl: run %d is interrupted; %s\n", summary.ID, a.continuation(summary))
		return &doneError{exitInterrupted}
	case errors.Is(err, run.ErrIncomplete):
		why := ""
		if asJSON {
			why = ": " + summary.Error
		}
		fmt.Fprintf(a.stderr, "etl: run %d could not complete%s\netl: %s\n", summary.ID, why, a.continuation(summary))
		return &doneError{exitIncomplete}
	}
	return err
}

// continuation says how to go on with a run that did not complete.
func (a *app) continuation(s *run.Summary) string {
	switch {
	case s.Unfinished && s.State == state.RunInconsistent:
		return fmt.Sprintf("go on with \"etl resume %d\", or look its records up with \"etl verify %d\"", s.ID, s.ID)
	case s.Unfinished:
		return fmt.Sprintf("go on with \"etl resume %d\"", s.ID)
	case s.State == state.RunInconsistent:
		return fmt.Sprintf("see which chunk with \"etl show %d\"", s.ID)
	case s.Trigger == state.TriggerRetry:
		return "nothing was sent; start it again with \"etl failed retry\""
	}
	return fmt.Sprintf("nothing was sent; start it again with \"etl run %s\"", a.pipelineWord(s))
}
