package console

import (
	"io"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/jedib0t/go-pretty/v6/text"

	"bulkhead/internal/run"
)

// Watching says how the progress of a run is shown.
type Watching struct {
	Steps func() []run.Counts // where the run stands
	Names []string            // of all the steps that may come, for their width
	Err   io.Writer           // where the bars go, if it is a terminal
	Log   *Log                // what else is written there meanwhile
	Paint Paint
	// Plain is given a line about a step when it begins, when it ends, and every
	// ten seconds between, where Err is no terminal.
	Plain func(step run.Counts, rate float64, text string)
}

// quiet is the time between two plain lines about a step.
const quiet = 10 * time.Second

// Watch shows the progress until the returned function is called, which waits
// until the last reading is shown.
func Watch(w Watching) (stop func()) {
	ended := make(chan struct{})
	var shown sync.WaitGroup
	width, terminal := Width(w.Err)
	if terminal {
		shown.Go(func() { newBars(w, width).follow(ended) })
	} else {
		shown.Go(func() { newLines(w.Plain).follow(w.Steps, ended) })
	}
	return sync.OnceFunc(func() {
		close(ended)
		shown.Wait()
	})
}

// lines shows progress as lines of text.
type lines struct {
	emit   func(step run.Counts, rate float64, text string)
	meters map[string]*meter
	last   map[string]time.Time
	over   map[string]bool
}

func newLines(emit func(run.Counts, float64, string)) *lines {
	return &lines{emit: emit, meters: map[string]*meter{}, last: map[string]time.Time{}, over: map[string]bool{}}
}

func (l *lines) follow(steps func() []run.Counts, ended <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			l.update(now, steps())
		case <-ended:
			l.update(time.Now(), steps())
			return
		}
	}
}

// update emits what is due.
func (l *lines) update(now time.Time, steps []run.Counts) {
	for _, c := range steps {
		m, known := l.meters[c.Name]
		if !known {
			m = &meter{}
			l.meters[c.Name] = m
		}
		rate := m.rate(now, c)
		due := !known || now.Sub(l.last[c.Name]) >= quiet
		if c.Finished {
			due = !l.over[c.Name]
		}
		if !due {
			continue
		}
		l.last[c.Name], l.over[c.Name] = now, c.Finished
		l.emit(c, rate, c.Name+": "+describe(c, rate, 0))
	}
}

// bars shows progress as one bar per step on a terminal.
type bars struct {
	watching Watching
	width    int // of the text beside a bar
	nameLen  int
	writer   progress.Writer
	trackers map[string]*progress.Tracker
	meters   map[string]*meter
}

// barWidth is the length of a bar with its percentage.
const barWidth = 20

func newBars(w Watching, terminal int) *bars {
	b := &bars{watching: w, trackers: map[string]*progress.Tracker{}, meters: map[string]*meter{}}
	for _, n := range w.Names {
		b.nameLen = min(max(b.nameLen, len([]rune(n))), 24)
	}
	b.width = max(terminal-barWidth-len(" 100% ")-b.nameLen-4, 16)
	b.writer = progress.NewWriter()
	b.writer.SetOutputWriter(behind(w.Err)) // the bars steer the terminal themselves
	b.writer.SetUpdateFrequency(200 * time.Millisecond)
	b.writer.SetTrackerLength(barWidth)
	b.writer.SetTrackerPosition(progress.PositionLeft)
	b.writer.SetTerminalWidth(terminal)
	style := progress.StyleBlocks
	style.Options.Separator = " "
	style.Options.PercentFormat = "%3.0f%%"
	style.Options.PercentIndeterminate = "  ? "
	style.Options.DoneString, style.Options.ErrorString = "", ""
	style.Visibility = progress.StyleVisibility{Percentage: true, Tracker: true}
	if w.Paint.On {
		style.Colors = progress.StyleColors{Tracker: text.Colors{text.FgCyan}}
	}
	b.writer.SetStyle(style)
	return b
}

func (b *bars) follow(ended <-chan struct{}) {
	b.watching.Log.put(b.writer.Log)
	defer b.watching.Log.put(nil)
	rendered := make(chan struct{})
	go func() {
		defer close(rendered)
		b.writer.Render()
	}()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for running := true; running; {
		select {
		case now := <-ticker.C:
			b.update(now)
		case <-ended:
			b.update(time.Now())
			running = false
		}
	}
	// A Stop before the rendering has begun is lost, so it is repeated.
	for {
		b.writer.Stop()
		select {
		case <-rendered:
			return
		case <-ticker.C:
		}
	}
}

func (b *bars) update(now time.Time) {
	for _, c := range b.watching.Steps() {
		t, known := b.trackers[c.Name]
		if !known {
			t = &progress.Tracker{AutoStopDisabled: true}
			b.trackers[c.Name], b.meters[c.Name] = t, &meter{}
			b.writer.AppendTracker(t)
		}
		if t.IsDone() {
			continue
		}
		rate := b.meters[c.Name].rate(now, c)
		t.UpdateMessage(name(c.Name, b.nameLen) + "  " + describe(c, rate, b.width))
		if c.Extracted {
			// Without a total go-pretty lets the bar run to and fro.
			t.UpdateTotal(max(c.Read, 1))
		}
		t.SetValue(min(done(c), c.Read))
		if c.Finished {
			t.MarkAsDone()
		}
	}
}
