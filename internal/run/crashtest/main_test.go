// Package crashtest proves that a run can be killed at any instant and resumed without losing or
// doubling a record: it runs whole pipelines in processes of their own, on a real Postgres and the
// emulator, and ends those processes with SIGKILL at every point that packages state and run name.
//
// TestCrashMatrix kills once or twice at each point; TestSoak kills at random for as long as it is
// told to (`make soak`).
package crashtest

import (
	"os"
	"testing"

	"bulkhead/internal/pgtest"
)

// TestMain is also the entry of the processes that are killed: they are this binary, told what to do
// by the environment.
func TestMain(m *testing.M) {
	if text, ok := os.LookupEnv(taskVar); ok {
		os.Exit(childMain(text))
	}
	pgtest.Main(m)
}
