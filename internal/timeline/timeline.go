// Package timeline turns what the chunks of a run wrote down of their stages into a picture and a verdict:
// what the run waited for. It draws for a terminal (rows of cells; the caller colours them) and as SVG.
//
// It must never read or write anything itself, and never show a time as part of the run in which nobody
// drove it: a run that was resumed after days is as long as it was worked on.
package timeline

import (
	"slices"
	"time"

	"bulkhead/internal/state"
)

// Timeline is a run as its chunks went through it. Times in it are durations since its start, less the
// run's pauses.
type Timeline struct {
	Run    state.Run
	Step   string // the only step that is shown, or empty
	Bars   []Bar  // of the chunks, in the order of their steps and numbers
	Length time.Duration
	Breaks []Break
	Waits  Waits
	// Open is whether the run was still being driven when its record was read.
	Open bool

	axis axis
}

// Bar is one chunk.
type Bar struct {
	Chunk *state.Chunk
	Spans []Span
}

// Span is a stage that a chunk was in, from before to.
type Span struct {
	Stage    state.Stage
	From, To time.Duration
	feeding  bool // it was the extraction's, no worker's
}

// Break is a pause of the run: where it is, and how long nobody drove it.
type Break struct {
	At, Took time.Duration
}

// Now is a look at the state database's clock.
type Now struct {
	At     time.Time
	Driven bool // a process holds the lock of the run's pipeline
}

// New makes the timeline of a run from its chunks, or of one step of it from the step's. Chunks without
// stages, as older programs left them, are not in it.
func New(run state.Run, step string, chunks []*state.Chunk, now Now) *Timeline {
	t := &Timeline{Run: run, Step: step, Open: run.FinishedAt == nil && now.Driven}
	t.axis = newAxis(run, step, chunks, now)
	t.Length = t.axis.at(t.axis.end)
	for _, p := range t.axis.pauses {
		t.Breaks = append(t.Breaks, Break{At: t.axis.at(p.From), Took: p.To.Sub(p.From)})
	}
	for _, c := range chunks {
		if len(c.Trail) > 0 {
			t.Bars = append(t.Bars, Bar{Chunk: c, Spans: t.axis.spans(c.Trail)})
		}
	}
	t.Waits = waitsOf(t.Bars)
	return t
}

// axis places moments on the timeline.
type axis struct {
	start, end time.Time
	pauses     []state.Pause // those between start and end, in order, apart
}

func newAxis(run state.Run, step string, chunks []*state.Chunk, now Now) axis {
	a := axis{start: run.StartedAt, end: run.StartedAt}
	var first time.Time
	for _, c := range chunks {
		for _, turn := range c.Trail {
			if first.IsZero() || turn.At.Before(first) {
				first = turn.At
			}
			if turn.At.After(a.end) && !turn.At.After(now.At) {
				a.end = turn.At // of a dead process that is its last sign of life
			}
		}
	}
	if step != "" && !first.IsZero() {
		a.start = first
	}
	switch {
	case step != "" && !slices.ContainsFunc(chunks, func(c *state.Chunk) bool { return c.State != state.ChunkReconciled }):
		// The step ended before the run did.
	case run.FinishedAt != nil:
		a.end = later(a.end, *run.FinishedAt)
	case now.Driven:
		a.end = later(a.end, now.At)
	}
	a.start = earlier(a.start, a.end)
	a.takePauses(run.Pauses)
	return a
}

// takePauses keeps what of the pauses lies within the axis.
func (a *axis) takePauses(pauses []state.Pause) {
	last := a.start
	for _, p := range pauses {
		p.From, p.To = later(p.From, last), earlier(p.To, a.end)
		if p.To.After(p.From) {
			a.pauses = append(a.pauses, p)
			last = p.To
		}
	}
}

// at is where a moment lies; one that is outside lies at the end that is nearer to it.
func (a *axis) at(moment time.Time) time.Duration {
	moment = later(a.start, earlier(moment, a.end))
	d := moment.Sub(a.start)
	for _, p := range a.pauses {
		if moment.After(p.From) {
			d -= earlier(moment, p.To).Sub(p.From)
		}
	}
	return d
}

// spans are the stages of a trail that took any time.
func (a *axis) spans(trail state.Trail) []Span {
	var spans []Span
	feeding := trail[0].Stage == state.StageRead || trail[0].Stage == state.StageRoom
	for i, turn := range trail {
		end := a.end
		if i+1 < len(trail) {
			end = trail[i+1].At
		}
		feeding = feeding && (turn.Stage == state.StageRead || turn.Stage == state.StageRoom || turn.Stage == state.StageState)
		span := Span{Stage: turn.Stage, From: a.at(turn.At), To: a.at(end), feeding: feeding}
		if turn.Stage != state.StageDone && span.To > span.From {
			spans = append(spans, span)
		}
	}
	return spans
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
