// Package run drives a pipeline: its steps in the order of their needs, each step's rows into
// chunks, each chunk through its durable state machine, and every record to its end. It also resumes
// what was interrupted and sends again what failed.
//
// Every arrow of the state machine is committed before the deed that follows it, so that a process
// killed anywhere leaves a state from which the next one goes on (docs/architecture.md draws it).
// The package must never submit a record of a job that may have been closed, unless that job itself
// reports the record as not processed; it writes no SQL and speaks no HTTP of its own.
package run
