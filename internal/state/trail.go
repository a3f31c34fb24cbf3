package state

import (
	"slices"
	"time"
)

// Stage is what a chunk does, or waits for, as etl.chunks.stages holds it.
type Stage string

// The stages of a chunk, in the order in which it usually passes through them.
const (
	StageRoom    Stage = "room"    // the extraction waits for room in the spool
	StageRead    Stage = "read"    // rows come from the source and go into the chunk's file
	StageQueue   Stage = "queue"   // the file is whole and waits for a worker
	StageRest    Stage = "rest"    // records that failed for a passing reason wait before they are sent again
	StageLimit   Stage = "limit"   // the run pauses for a limit of the org
	StageCreate  Stage = "create"  // a job is made
	StageUpload  Stage = "upload"  // the file is sent
	StageTurn    Stage = "turn"    // the file is sent, and the org processes as many jobs as it is to
	StageClose   Stage = "close"   // the job is closed
	StageProcess Stage = "process" // Salesforce has the job, until we know that it has ended
	StageResults Stage = "results" // results are read
	StageState   Stage = "state"   // the state database writes
	StageHalted  Stage = "halted"  // it can go no further for now
	StageDone    Stage = "done"    // nothing more: the chunk is reconciled
)

// Turn is the moment at which a stage begins. It ends with the next one.
type Turn struct {
	Stage Stage     `json:"stage"`
	At    time.Time `json:"started_at"`
}

// Trail is a chunk's way through its stages, in order. A job that was replaced and a resume add to it.
type Trail []Turn

// maxTurns bounds the trail of a chunk that is halted and resumed again and again: the oldest turns go.
const maxTurns = 200

// Turn notes that a stage begins. Going on with the stage that it is in is no turn. A time before that of
// the last turn counts as that.
func (t *Trail) Turn(stage Stage, at time.Time) {
	trail := *t
	if n := len(trail); n > 0 {
		if trail[n-1].Stage == stage {
			return
		}
		if at.Before(trail[n-1].At) {
			at = trail[n-1].At
		}
	}
	if len(trail) >= maxTurns {
		trail = slices.Delete(trail, 0, len(trail)-maxTurns+1)
	}
	*t = append(trail, Turn{stage, at})
}

// write notes that the state database is written at a time, and what comes then. Of how long that takes
// the trail learns by written, and the database by the next write.
func (t *Trail) write(at time.Time, then Stage) {
	*t = slices.Clone(*t) // a write that fails leaves the chunk's own trail as it was
	t.Turn(StageState, at)
	t.Turn(then, at)
}

// written sets when the last write was done.
func (t Trail) written(at time.Time) {
	if last := &t[len(t)-1]; last.Stage != StageState && at.After(last.At) {
		last.At = at
	}
}

// columns are the trail as etl.chunks holds it.
func (t Trail) columns() (stages []string, at []time.Time) {
	stages, at = make([]string, len(t)), make([]time.Time, len(t))
	for i, turn := range t {
		stages[i], at[i] = string(turn.Stage), turn.At
	}
	return stages, at
}

// trailOf is the trail that columns has written.
func trailOf(stages []string, at []time.Time) Trail {
	t := make(Trail, 0, len(stages))
	for i := range min(len(stages), len(at)) {
		t = append(t, Turn{Stage(stages[i]), at[i].UTC()})
	}
	return t
}

// NextStage is what a worker does next with a chunk that stands as it does.
func (c *Chunk) NextStage() Stage {
	switch c.State {
	case ChunkPlanned:
		if c.Kind == ChunkPayload {
			return StageState // that is where its records come from
		}
		return StageRead
	case ChunkSpooled:
		return StageCreate
	case ChunkCreated:
		return StageUpload
	case ChunkUploaded:
		return StageTurn
	case ChunkClosing:
		return StageClose
	case ChunkSubmitted:
		return StageProcess
	case ChunkFinished:
		return StageResults
	case ChunkReconciled:
		return StageDone
	case ChunkStopped, ChunkFailed:
	}
	return StageHalted
}

// clock tells the state database's time without asking it again: it was read once, and the process's
// monotonic clock has counted on since. So the times of one run fit together whichever machine wrote
// them, and say when something came to pass, not when its record was committed.
type clock struct {
	server time.Time // as the server had it
	local  time.Time // when we heard of it
}

func newClock(server time.Time) clock { return clock{server: server.UTC(), local: time.Now()} }

func (c clock) now() time.Time { return c.server.Add(time.Since(c.local)) }

// Now is the time on the state database's clock.
func (l *Lease) Now() time.Time { return l.clock.now() }

// Pause is a time in which nobody drove a run.
type Pause struct {
	From time.Time `json:"paused_at"`
	To   time.Time `json:"resumed_at"`
}

func pausesOf(from, to []time.Time) []Pause {
	pauses := make([]Pause, 0, len(from))
	for i := range min(len(from), len(to)) {
		pauses = append(pauses, Pause{from[i].UTC(), to[i].UTC()})
	}
	return pauses
}
