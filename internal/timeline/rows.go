package timeline

import (
	"fmt"
	"time"

	"bulkhead/internal/state"
)

// Row is a line of the drawing: one chunk, or several neighbours.
type Row struct {
	Step  string
	Label string // the chunk's number, or the first and the last one
	Bars  []Bar
	Cells []state.Stage // what took the most of each part of the time; empty: nothing
}

// Rows draws the chunks in at most about most lines of width cells. Where there are more chunks, neighbours of
// one step share a line, which shows what goes on with any of them before what waits.
func (t *Timeline) Rows(width, most int) []Row {
	each := max(1, (len(t.Bars)+most-1)/max(most, 1))
	var rows []Row
	for _, bar := range t.Bars {
		if n := len(rows); n == 0 || rows[n-1].Step != bar.Chunk.Step || len(rows[n-1].Bars) == each {
			rows = append(rows, Row{Step: bar.Chunk.Step})
		}
		row := &rows[len(rows)-1]
		row.Bars = append(row.Bars, bar)
	}
	for i := range rows {
		row := &rows[i]
		first, last := row.Bars[0].Chunk.Seq, row.Bars[len(row.Bars)-1].Chunk.Seq
		row.Label = fmt.Sprint(first)
		if first != last {
			row.Label = fmt.Sprintf("%d-%d", first, last)
		}
		row.Cells = t.cells(row.Bars, width)
	}
	return rows
}

func (t *Timeline) cells(bars []Bar, width int) []state.Stage {
	cells := make([]state.Stage, width)
	most := make([]float64, width)
	sums := make([]map[state.Stage]float64, width)
	for _, bar := range bars {
		for _, span := range bar.Spans {
			t.spread(span.From, span.To, width, func(cell int, part float64) {
				if !inHand(span.Stage) && len(bars) > 1 {
					part *= 1e-6 // shown only where nothing goes on
				}
				if sums[cell] == nil {
					sums[cell] = map[state.Stage]float64{}
				}
				sums[cell][span.Stage] += part
				if sums[cell][span.Stage] > most[cell] {
					cells[cell], most[cell] = span.Stage, sums[cell][span.Stage]
				}
			})
		}
	}
	return cells
}

// Bottleneck is what the run waited for in each of width parts of its time; empty: for nothing.
func (t *Timeline) Bottleneck(width int) []Wait {
	cells := make([]Wait, width)
	sums := make([]map[Wait]float64, width)
	most := make([]float64, width)
	for _, p := range t.Waits.pieces {
		for _, w := range AllWaits() {
			share := p.parts[w]
			if share == 0 {
				continue
			}
			t.spread(p.from, p.to, width, func(cell int, part float64) {
				if sums[cell] == nil {
					sums[cell] = map[Wait]float64{}
				}
				sums[cell][w] += part * share
				if sums[cell][w] > most[cell] {
					cells[cell], most[cell] = w, sums[cell][w]
				}
			})
		}
	}
	return cells
}

// spread gives each of width cells its part of the time from before to, in cells.
func (t *Timeline) spread(from, to time.Duration, width int, give func(cell int, part float64)) {
	if t.Length <= 0 || width <= 0 {
		return
	}
	scale := float64(width) / float64(t.Length)
	a, b := float64(from)*scale, float64(to)*scale
	for cell := int(a); cell < width && float64(cell) < b; cell++ {
		give(cell, min(b, float64(cell+1))-max(a, float64(cell)))
	}
}
