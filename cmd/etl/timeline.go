package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/state"
	"bulkhead/internal/timeline"
)

// timelineHelp is the paragraph on timelines in the help of show.
const timelineHelp = `--timeline draws what each chunk did, or waited for, and when; where there are
many chunks, neighbours share a line. The line "waited for" and the shares say
what the run as a whole waited for. Each moment counts once: for Postgres (or
the state database, while a chunk is recorded) while rows are read and no
finished chunk waits for a worker; else in equal parts for what each chunk waits
for that workers have in hand; else, while chunks are ready and nobody takes
them, or the spool is full, for the spool and the workers. Times in which nobody
drove the run are left out and marked with ^. --svg writes the same as a picture.`

// timelineView is a timeline for scripts. Times are seconds of work on the run,
// without its pauses, unless they are moments.
type timelineView struct {
	RunID     int64           `json:"run_id"`
	Pipeline  string          `json:"pipeline"`
	State     state.RunState  `json:"state"`
	Step      string          `json:"step,omitempty"`
	StartedAt time.Time       `json:"started_at"`
	Driven    bool            `json:"driven"`
	Seconds   float64         `json:"seconds"`
	Pauses    []state.Pause   `json:"pauses"`
	Waited    []waitView      `json:"waited_for"`
	Ready     float64         `json:"ready_while_workers_busy_seconds"`
	Workers   int             `json:"most_chunks_in_hand"`
	Verdict   string          `json:"verdict"`
	Hint      string          `json:"hint"`
	Chunks    []timelineChunk `json:"chunks"`
}

type waitView struct {
	For     timeline.Wait `json:"for"`
	Seconds float64       `json:"seconds"`
	Percent int           `json:"percent"`
}

type timelineChunk struct {
	Step   string           `json:"step"`
	Seq    int              `json:"seq"`
	State  state.ChunkState `json:"state"`
	JobID  string           `json:"job_id,omitempty"`
	Rows   int64            `json:"rows_sent"`
	Stages []stageView      `json:"stages"`
}

type stageView struct {
	Stage   state.Stage   `json:"stage"`
	For     timeline.Wait `json:"waits_for,omitempty"`
	From    float64       `json:"from_seconds"`
	Seconds float64       `json:"seconds"`
}

func runTimeline(ctx context.Context, a *app, store *state.Store, found state.Run, chunks []*state.Chunk, opts showOptions) error {
	now, driven, err := store.Pulse(ctx, found.Pipeline)
	if err != nil {
		return err
	}
	t := timeline.New(found, opts.step, chunks, timeline.Now{At: now, Driven: driven && found.State == state.RunRunning})
	if opts.svg != "" {
		if err := writeSVG(opts.svg, opts.force, t, timelineTitle(t)); err != nil {
			return err
		}
	}
	if opts.withJSON {
		return a.printJSON(viewTimeline(t))
	}
	if opts.timeline {
		a.printTimeline(t)
	}
	if opts.svg != "" {
		a.printf("The timeline is in %s\n", opts.svg)
	}
	return nil
}

func timelineTitle(t *timeline.Timeline) string {
	words := stateWords(t.Run.State)
	if t.Run.State == state.RunRunning && !t.Open {
		words = "its process has died"
	}
	title := fmt.Sprintf("Run %d of %s: %s", t.Run.ID, t.Run.Pipeline, words)
	if t.Step != "" {
		title += fmt.Sprintf(", step %s", t.Step)
	}
	return fmt.Sprintf("%s, %s, %s", title, console.Plural(int64(len(t.Bars)), "chunk"), console.Duration(t.Length))
}

func (a *app) printTimeline(t *timeline.Timeline) {
	paint := a.paint(a.stdout)
	a.printf("%s\n\n", paint.Bold(timelineTitle(t)))
	if len(t.Bars) == 0 {
		a.printf("No chunk of it has stages: nothing was read yet, or it was loaded before stages were kept.\n")
		return
	}
	console.Gantt(a.stdout, paint, t)
	if len(t.Waits.Shares) == 0 {
		return
	}
	a.printf("\n")
	console.Shares(a.stdout, paint, t.Waits)
	a.printf("\n%s\n%s\n", paint.Bold(t.Verdict()), t.Hint())
}

func viewTimeline(t *timeline.Timeline) timelineView {
	v := timelineView{
		RunID: t.Run.ID, Pipeline: t.Run.Pipeline, State: t.Run.State, Step: t.Step, StartedAt: t.Run.StartedAt, Driven: t.Open,
		Seconds: t.Length.Seconds(), Pauses: list(t.Run.Pauses), Waited: []waitView{}, Ready: t.Waits.Ready.Seconds(), Workers: t.Waits.Workers,
		Verdict: t.Verdict(), Hint: t.Hint(), Chunks: []timelineChunk{},
	}
	for _, s := range t.Waits.Shares {
		v.Waited = append(v.Waited, waitView{s.For, s.Took.Seconds(), s.Percent})
	}
	for _, bar := range t.Bars {
		c := timelineChunk{Step: bar.Chunk.Step, Seq: bar.Chunk.Seq, State: bar.Chunk.State, JobID: bar.Chunk.JobID, Rows: bar.Chunk.RowsSent, Stages: []stageView{}}
		for _, s := range bar.Spans {
			c.Stages = append(c.Stages, stageView{s.Stage, timeline.Of(s.Stage).For, s.From.Seconds(), (s.To - s.From).Seconds()})
		}
		v.Chunks = append(v.Chunks, c)
	}
	return v
}

// writeSVG writes the picture into a file of its own.
func writeSVG(path string, force bool, t *timeline.Timeline, title string) error {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(path, mode, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usagef("--svg: %s exists already; --force overwrites it", path)
	}
	if err != nil {
		return usagef("--svg: %w", err)
	}
	return errors.Join(t.SVG(file, title), file.Close())
}
