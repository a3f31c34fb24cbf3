package console

import (
	"fmt"
	"io"
	"strings"
	"time"

	"bulkhead/internal/state"
	"bulkhead/internal/timeline"
)

// The most of a timeline's lines, and the least and the most of a line's cells.
const (
	ganttLines = 40
	ganttLeast = 20
	ganttMost  = 240
)

// The sequences of a timeline's cells.
const (
	cellPostgres   = "\x1b[97;44m"
	cellNetwork    = "\x1b[30;43m"
	cellSalesforce = "\x1b[30;42m"
	cellState      = "\x1b[97;45m"
	cellHalted     = "\x1b[97;41m"
	cellSpool      = "\x1b[2m"
)

// Gantt draws a timeline as wide as the terminal that w is: a line for what the run waited for, and one for
// each chunk, or for several neighbours where there are many.
func Gantt(w io.Writer, paint Paint, t *timeline.Timeline) {
	width, ok := Width(w)
	if !ok {
		width = noTerminal
	}
	g := gantt{paint: paint, stepWidth: len("waited"), labelWidth: len("chunk")}
	rows := t.Rows(1, ganttLines) // for their labels
	for _, row := range rows {
		g.stepWidth = min(max(g.stepWidth, len([]rune(row.Step))), 20)
		g.labelWidth = max(g.labelWidth, len(row.Label))
	}
	cells := min(max(width-g.stepWidth-g.labelWidth-4, ganttLeast), ganttMost)
	g.line("STEP", "CHUNK", g.axis(t, cells))
	g.line("waited", "for", g.bottleneck(t.Bottleneck(cells)))
	step := ""
	for _, row := range t.Rows(cells, ganttLines) {
		name := row.Step
		if name == step {
			name = ""
		}
		step = row.Step
		g.line(name, row.Label, g.cells(row.Cells))
	}
	if len(t.Breaks) > 0 {
		g.line("", "", g.marks(t, cells))
	}
	for _, b := range t.Breaks {
		fmt.Fprintf(&g.out, "^ at %s: nobody drove the run for %s\n", Duration(b.At), Duration(b.Took))
	}
	g.legend(t, width)
	_, _ = io.WriteString(w, g.out.String())
}

// gantt is a timeline being drawn.
type gantt struct {
	paint                 Paint
	stepWidth, labelWidth int
	out                   strings.Builder
}

func (g *gantt) line(step, label, cells string) {
	text := fmt.Sprintf("%s  %*s  %s", name(OneLine(step), g.stepWidth), g.labelWidth, label, cells)
	g.out.WriteString(strings.TrimRight(text, " ") + "\n")
}

// axis are the times above the cells, as many as have room.
func (g *gantt) axis(t *timeline.Timeline, cells int) string {
	line := []byte(strings.Repeat(" ", cells))
	free := 0
	for _, tick := range t.Ticks(cells / 10) {
		at := place(t, tick.At, cells)
		if at < free || at+len(tick.Label) > cells {
			continue
		}
		copy(line[at:], tick.Label)
		free = at + len(tick.Label) + 1
	}
	return string(line)
}

// marks are below the cells, where the run was paused.
func (g *gantt) marks(t *timeline.Timeline, cells int) string {
	line := []byte(strings.Repeat(" ", cells))
	for _, b := range t.Breaks {
		line[place(t, b.At, cells)] = '^'
	}
	return string(line)
}

func place(t *timeline.Timeline, at time.Duration, cells int) int {
	if t.Length <= 0 {
		return 0
	}
	return min(int(float64(at)/float64(t.Length)*float64(cells)), cells-1)
}

func (g *gantt) cells(stages []state.Stage) string {
	return paintRuns(stages, func(s state.Stage, n int) string {
		if s == "" {
			return strings.Repeat(" ", n)
		}
		of := timeline.Of(s)
		return g.paint.cell(of.For, strings.Repeat(string(of.Letter), n))
	})
}

func (g *gantt) bottleneck(waits []timeline.Wait) string {
	return paintRuns(waits, func(w timeline.Wait, n int) string {
		if w == "" {
			return strings.Repeat(" ", n)
		}
		return g.paint.cell(w, strings.Repeat(letterOf(w), n))
	})
}

// paintRuns paints equal neighbours together.
func paintRuns[T comparable](cells []T, paint func(what T, n int) string) string {
	var out strings.Builder
	for from := 0; from < len(cells); {
		to := from + 1
		for to < len(cells) && cells[to] == cells[from] {
			to++
		}
		out.WriteString(paint(cells[from], to-from))
		from = to
	}
	return out.String()
}

// letterOf is the letter of a wait: that of its first stage.
func letterOf(w timeline.Wait) string {
	switch w {
	case timeline.Postgres:
		return "R"
	case timeline.Spool:
		return "."
	case timeline.Network:
		return "U"
	case timeline.Salesforce:
		return "P"
	case timeline.StateDB:
		return "s"
	}
	return " "
}

// legend explains the letters that occur, in lines of at most width characters.
func (g *gantt) legend(t *timeline.Timeline, width int) {
	there := map[state.Stage]bool{}
	for _, bar := range t.Bars {
		for _, span := range bar.Spans {
			there[span.Stage] = true
		}
	}
	g.out.WriteString("\n")
	for _, s := range timeline.Stages() {
		if !there[s.Stage] {
			continue
		}
		text := fmt.Sprintf("%-8s %-25s %s", s.Stage, s.For, s.Says)
		fmt.Fprintf(&g.out, "%s %s\n", g.paint.cell(s.For, string(s.Letter)), Shorten(text, max(width-2, ganttLeast)))
	}
}

// cell colours cells by what they wait for.
func (p Paint) cell(w timeline.Wait, s string) string {
	code := cellHalted
	switch w {
	case timeline.Postgres:
		code = cellPostgres
	case timeline.Network:
		code = cellNetwork
	case timeline.Salesforce:
		code = cellSalesforce
	case timeline.StateDB:
		code = cellState
	case timeline.Spool:
		code = cellSpool
	}
	return p.wrap(code, s)
}

// Shares lists what a run waited for, with bars.
func Shares(w io.Writer, paint Paint, waits timeline.Waits) {
	table := NewTable(Left("waited for"), Right("time"), Right("share"), Left(""))
	for _, s := range waits.Shares {
		bar := paint.cell(s.For, strings.Repeat(letterOf(s.For), s.Percent*30/100))
		table.Row(s.For, Duration(s.Took), fmt.Sprintf("%d%%", s.Percent), Painted(bar))
	}
	table.Render(w)
}
