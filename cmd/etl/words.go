package main

import (
	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/state"
)

// stateWords says in words how a run stands.
func stateWords(s state.RunState) string {
	switch s {
	case state.RunRunning:
		return "running"
	case state.RunSucceeded:
		return "all loaded"
	case state.RunCompletedWithFailures:
		return "completed, some records did not load"
	case state.RunStopped:
		return "stopped before its end"
	case state.RunFailed:
		return "failed"
	case state.RunInconsistent:
		return "inconsistent: the books do not balance"
	case state.RunInterrupted:
		return "interrupted"
	}
	return string(s)
}

// paintState colours words about a run by how it stands.
func paintState(p console.Paint, s state.RunState, words string) console.Painted {
	switch s {
	case state.RunSucceeded:
		words = p.Good(words)
	case state.RunCompletedWithFailures, state.RunRunning, state.RunInterrupted:
		words = p.Warn(words)
	case state.RunStopped, state.RunFailed, state.RunInconsistent:
		words = p.Bad(words)
	}
	return console.Painted(words)
}
