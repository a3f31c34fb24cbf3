// Command etl is the command line of Bulkhead: it loads rows from Postgres into
// Salesforce through Bulk API 2.0, and works what did not load.
//
// Each command has a file of its own: newXCmd holds its flags and help, runX
// does the work. The package must hold no logic that a test would want without
// a terminal, and never print a secret.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // schedules name time zones, and a small container has none
)

// gcPercent keeps the heap to half more than what is in use. There is little garbage, so that collecting
// it twice as often as usual costs next to nothing. GOGC wins.
const gcPercent = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		cancel(&interruptedError{<-signals})
		<-signals
		fmt.Fprintln(os.Stderr, "etl: stopped at once; what was under way is settled by the next \"etl resume\"")
		os.Exit(exitInterrupted)
	}()
	code := execute(ctx, invocation{
		args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv,
	})
	cancel(nil)
	os.Exit(code)
}
