// Package state keeps the `etl` schema's record of runs, steps and chunks: what was decided, durably,
// before it was done. It owns the SQL of those tables, the lock that lets one process run a pipeline
// at a time, and the fence (a run's epoch) that stops a process which lost its run.
//
// It must never decide what happens next (package run does), never speak to Salesforce, and never
// update a row of a run without checking the run's epoch in the same statement.
package state
