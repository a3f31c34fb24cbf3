package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"bulkhead/internal/preflight"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
	"bulkhead/internal/yamlfile"
)

// The exit codes, which scripts rely on.
const (
	exitDone        = 0   // all records loaded
	exitIncomplete  = 1   // could not complete
	exitUsage       = 2   // wrong usage, or an invalid pipeline
	exitLeftovers   = 3   // completed, with records in reconciliation
	exitRefused     = 4   // refused by a guard before sending
	exitInterrupted = 130 // as shells have it for SIGINT
)

// exitHelp is the paragraph on exit codes in the help of commands that load.
const exitHelp = `Exit codes: 0 all records loaded; 1 could not complete, see the message and
"etl resume"; 2 wrong usage or an invalid pipeline; 3 completed, some records
are in reconciliation; 4 refused before anything was sent; 130 interrupted.`

// interruptedError is the cause with which a signal ends the context.
type interruptedError struct{ signal os.Signal }

func (e *interruptedError) Error() string { return fmt.Sprintf("stopped by a signal (%v)", e.signal) }

// usageError is a command line, or a setting, that cannot mean anything.
type usageError struct {
	err  error
	hint string // may be empty
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// asUsage makes a mistake of the user of err, which keeps its kind.
func asUsage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err: err}
}

// guardError is a refusal of a command to do harm.
type guardError struct{ reason string }

func (e *guardError) Error() string { return e.reason }

// doneError ends a command with a code when all is said already.
type doneError struct{ code int }

func (e *doneError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// exitCode is the code that the process ends with.
func exitCode(ctx context.Context, err error) int {
	var (
		done       *doneError
		usage      *usageError
		file       *yamlfile.Error
		guard      *guardError
		refused    *preflight.Error
		drifted    *preflight.DriftError
		limited    *run.LimitsError
		held       *state.HeldError
		unfinished *state.UnfinishedError
		resend     *run.ResendError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &done):
		return done.code
	case errors.As(err, &usage), errors.As(err, &file):
		return exitUsage
	case errors.As(err, &guard), errors.As(err, &refused), errors.As(err, &drifted), errors.As(err, &limited), errors.As(err, &held), errors.As(err, &unfinished), errors.As(err, &resend):
		return exitRefused
	case ctx.Err() != nil:
		return exitInterrupted
	}
	return exitIncomplete
}

// report tells the user why a command failed.
func report(ctx context.Context, w io.Writer, err error) {
	var (
		done    *doneError
		usage   *usageError
		file    *yamlfile.Error
		refused *preflight.Error
		drifted *preflight.DriftError
		limited *run.LimitsError
	)
	switch {
	case err == nil, errors.As(err, &done):
		return
	case errors.As(err, &file):
		// Each line begins with its place in the file, for editors to jump to.
		fmt.Fprintln(w, strings.Replace(err.Error(), file.Error(), shortProblems(file.Problems), 1))
	case errors.As(err, &refused):
		refused = &preflight.Error{Findings: shortFindings(refused.Findings)}
		fmt.Fprintf(w, "%v\netl: nothing was sent: mend the above first\n", refused)
	case errors.As(err, &drifted):
		drifted = &preflight.DriftError{Drift: shortDrift(drifted.Drift)}
		fmt.Fprintf(w, "%v\netl: nothing was sent: the org has changed since the last run, and the pipeline says \"on_drift: stop\"; "+
			"see to the above, then start it with \"etl run --accept-drift\"\n", drifted)
	case errors.As(err, &limited):
		fmt.Fprintf(w, "etl: nothing was sent: %v; wait until the org counts less, raise \"limits\" in etl.yaml, or start it with --over-limits\n", limited)
	case ctx.Err() != nil && exitCode(ctx, err) == exitInterrupted:
		fmt.Fprintf(w, "etl: %v\n", context.Cause(ctx))
	default:
		fmt.Fprintf(w, "etl: %v\n", err)
	}
	if errors.As(err, &usage) && usage.hint != "" {
		fmt.Fprintln(w, usage.hint)
	}
}
