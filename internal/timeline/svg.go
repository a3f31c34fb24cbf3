package timeline

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"time"

	"bulkhead/internal/state"
)

// Of the picture, in pixels.
const (
	svgWidth     = 1200
	svgLeft      = 190 // the labels
	svgRight     = 20
	svgTop       = 196 // the heading, the shares, the legend and the axis
	svgHighest   = 18  // a line of one chunk
	svgLowest    = 4
	svgTall      = 1400 // about as high as all lines may become
	svgMostLines = 2000
	svgThinnest  = 0.3
)

// svgStyle has each colour twice: for a light page and for a dark one.
const svgStyle = `
svg { font: 12px system-ui, -apple-system, "Segoe UI", "Liberation Sans", Arial, sans-serif; }
text { fill: #1f2328; } .dim { fill: #656d76; } .grid { stroke: #d0d7de; } .break { stroke: #656d76; stroke-dasharray: 3 3; }
.page { fill: #fff; } .head { font-size: 18px; font-weight: 600; } .say { font-size: 14px; } .band { fill: #f6f8fa; }
.postgres { fill: #0969da; } .network { fill: #bf8700; } .salesforce { fill: #1a7f37; } .state { fill: #8250df; }
.spool { fill: #afb8c1; } .halted { fill: #cf222e; } .soft { opacity: .6; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .dim { fill: #8d96a0; } .grid { stroke: #30363d; } .break { stroke: #8d96a0; }
.page { fill: #0d1117; } .band { fill: #161b22; }
.postgres { fill: #58a6ff; } .network { fill: #e3b341; } .salesforce { fill: #3fb950; } .state { fill: #bc8cff; }
.spool { fill: #484f58; } .halted { fill: #f85149; }
}
`

// SVG writes the timeline as a picture that needs nothing else: it follows the light or dark of the page,
// and says on hover what each bar is. title is its heading.
func (t *Timeline) SVG(w io.Writer, title string) error {
	rows := t.Rows(1, svgMostLines)
	line := max(svgLowest, min(svgHighest, svgTall/max(len(rows), 1)))
	bottom := svgTop + line*(len(rows)+1) + 8
	height := bottom + 20 + 18*len(t.Breaks)
	d := &drawing{t: t}
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">`, svgWidth, height, svgWidth, height)
	d.printf("<title>%s</title><style>%s</style>\n", escape(title), svgStyle)
	d.printf(`<rect class="page" width="%d" height="%d"/>`+"\n", svgWidth, height)
	d.text(svgRight, 32, "head", title)
	d.text(svgRight, 56, "say", t.Verdict())
	d.text(svgRight, 76, "dim", t.Hint())
	d.shares(92)
	d.legend(140)
	d.axis(svgTop-12, bottom)
	d.bottleneck(svgTop, max(line, 8))
	for i, row := range rows {
		d.row(row, svgTop+line*(i+1)+4, line)
	}
	d.breaks(bottom)
	d.printf("</svg>\n")
	if _, err := w.Write(d.out.Bytes()); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	return nil
}

// drawing is a picture in the making.
type drawing struct {
	t    *Timeline
	out  bytes.Buffer
	step string // whose name was written last
}

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(&d.out, format, args...) }

func (d *drawing) text(x, y float64, class, text string) {
	d.printf(`<text x="%.1f" y="%.1f" class="%s">%s</text>`+"\n", x, y, class, escape(text))
}

func (d *drawing) rect(x, y, width, height float64, class, title string) {
	d.printf(`<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" class="%s"><title>%s</title></rect>`+"\n", x, y, width, height, class, escape(title))
}

// x is where a time is.
func (d *drawing) x(at time.Duration) float64 {
	if d.t.Length <= 0 {
		return svgLeft
	}
	return svgLeft + float64(at)/float64(d.t.Length)*(svgWidth-svgLeft-svgRight)
}

// shares draws what the run waited for as one divided bar with its numbers below.
func (d *drawing) shares(y float64) {
	const width = svgWidth - 2*svgRight
	x, label := float64(svgRight), float64(svgRight)
	for _, s := range d.t.Waits.Shares {
		wide := width * float64(s.Took) / float64(d.t.Waits.Total)
		text := fmt.Sprintf("%s %d%%, %s", s.For, s.Percent, short(s.Took))
		d.rect(x, y, wide, 12, string(s.For), text)
		d.rect(label, y+18, 10, 10, string(s.For), text)
		d.text(label+14, y+27, "", text)
		x += wide
		label += 34 + 6.6*float64(len(text))
	}
}

// legend names the stages, spread over the width, however many there are.
func (d *drawing) legend(y float64) {
	x, stages := float64(svgRight), Stages()
	apart := float64(svgWidth-2*svgRight) / float64(len(stages))
	for _, s := range stages {
		d.rect(x, y, 10, 10, classOf(s.Stage), s.Says)
		d.text(x+14, y+9, "dim", string(s.Stage))
		x += apart
	}
}

func (d *drawing) axis(top, bottom int) {
	for _, tick := range d.t.Ticks(10) {
		x := d.x(tick.At)
		d.printf(`<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", x, x, top+4, bottom)
		d.printf(`<text x="%.1f" y="%d" class="dim" text-anchor="middle">%s</text>`+"\n", x, top, tick.Label)
	}
}

// bottleneck is the line above the chunks: what the run as a whole waited for.
func (d *drawing) bottleneck(y, height int) {
	d.text(svgRight, float64(y+height)-1, "dim", "waited for")
	const parts = (svgWidth - svgLeft - svgRight) / 2
	cells := d.t.Bottleneck(parts)
	for from := 0; from < len(cells); {
		to := from + 1
		for to < len(cells) && cells[to] == cells[from] {
			to++
		}
		if w := cells[from]; w != "" {
			d.rect(svgLeft+2*float64(from), float64(y), 2*float64(to-from), float64(height)-2, string(w), w.String())
		}
		from = to
	}
}

func (d *drawing) row(row Row, y, height int) {
	if row.Step != d.step {
		d.step = row.Step
		d.text(svgRight, float64(y+max(height, 11))-3, "", cut(row.Step, 20))
	}
	if height >= 11 {
		d.printf(`<text x="%d" y="%d" class="dim" text-anchor="end">%s</text>`+"\n", svgLeft-8, y+height-4, row.Label)
	}
	gap := 1
	if height < 8 {
		gap = 0
	}
	for _, bar := range row.Bars {
		for _, span := range bar.Spans {
			x, wide := d.x(span.From), d.x(span.To)-d.x(span.From)
			if wide < svgThinnest {
				continue
			}
			d.rect(x, float64(y), wide, float64(height-gap), classOf(span.Stage), titleOf(bar, span))
		}
	}
}

func (d *drawing) breaks(bottom int) {
	for i, b := range d.t.Breaks {
		x := d.x(b.At)
		d.printf(`<line class="break" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", x, x, svgTop-8, bottom)
		d.text(svgRight, float64(bottom+16+18*i), "dim", fmt.Sprintf("┆ at %s: nobody drove the run for %s", short(b.At), short(b.Took)))
	}
}

func titleOf(bar Bar, span Span) string {
	c := bar.Chunk
	text := fmt.Sprintf("%s, chunk %d: %s for %s, from %s\n%s", c.Step, c.Seq, span.Stage, short(span.To-span.From), short(span.From), Of(span.Stage).Says)
	if c.JobID != "" {
		text += "\njob " + c.JobID
	}
	return fmt.Sprintf("%s\n%d records", text, c.RowsSent)
}

// classOf is how a stage is coloured: by what it waits for, the short ones around it softer.
func classOf(s state.Stage) string {
	of := Of(s)
	switch {
	case of.For == "":
		return "halted"
	case s == state.StageRest, s == state.StageResults, ready(s):
		return string(of.For) + " soft"
	}
	return string(of.For)
}

func cut(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

func escape(s string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, []byte(s)) // a buffer takes everything
	return out.String()
}
