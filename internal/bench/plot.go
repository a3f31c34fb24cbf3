package bench

import (
	"bytes"
	"fmt"
	"math"
)

// Long is how the long load went.
type Long struct {
	Memory  []Point `json:"memory"`  // bytes
	Settled []Point `json:"settled"` // rows that were through, in all
}

// Point is a value at a time, in seconds since the start of the process.
type Point struct {
	At    float64 `json:"at"`
	Value float64 `json:"value"`
}

// The plot, in pixels. Two panels lie one above the other over the same seconds.
const (
	plotWidth, plotHeight  = 760, 430
	plotLeft, plotRight    = 70, 20
	panelHeight            = 140
	memoryTop, rateTop     = 40, 240
	rateBuckets            = 24
	memoryTarget           = 64 // MB
	labelsAcross, labelsUp = 8, 4
	plotStyle              = `
	text { font: 12px system-ui, sans-serif; fill: #768390 }
	.title { font-weight: 600 }
	.grid { stroke: #768390; stroke-opacity: .3 }
	.memory { fill: none; stroke: #388bfd; stroke-width: 1.5 }
	.rate { fill: #2da44e; fill-opacity: .65 }
	.target { stroke: #e5534b; stroke-dasharray: 5 4 }`
)

// plot draws memory and throughput over time as an SVG. It has no background, and
// its colours are readable on a light and on a dark one.
func (l *Long) plot() []byte {
	seconds := l.end()
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="Memory and throughput of the long load over time">`+"\n<style>%s\n</style>\n", plotWidth, plotHeight, plotStyle)
	memory := panel{top: memoryTop, seconds: seconds, title: "Resident memory of etl, MB"}
	memory.most = ceilNice(max(memoryTarget*1.1, maxOf(l.Memory)/megabyte))
	memory.frame(&b)
	b.WriteString(`<polyline class="memory" points="`)
	for _, p := range l.Memory {
		fmt.Fprintf(&b, "%.1f,%.1f ", memory.x(p.At), memory.y(p.Value/megabyte))
	}
	b.WriteString("\"/>\n")
	fmt.Fprintf(&b, `<line class="target" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`+"\n", plotLeft, plotWidth-plotRight, memory.y(memoryTarget), memory.y(memoryTarget))
	fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">target %d MB</text>`+"\n", plotWidth-plotRight, memory.y(memoryTarget)-4, memoryTarget)
	rates := l.rates(seconds)
	rate := panel{top: rateTop, seconds: seconds, title: "Rows settled per second, thousands"}
	rate.most = ceilNice(maxOf(rates) / 1000)
	rate.frame(&b)
	width := seconds / rateBuckets
	for _, p := range rates {
		fmt.Fprintf(&b, `<rect class="rate" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n",
			rate.x(p.At), rate.y(p.Value/1000), rate.x(p.At+width)-rate.x(p.At)-1, rate.y(0)-rate.y(p.Value/1000))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">seconds since the start</text>`+"\n</svg>\n", (plotLeft+plotWidth-plotRight)/2, plotHeight-8)
	return b.Bytes()
}

// end is when the last thing happened.
func (l *Long) end() float64 {
	end := 1e-3
	for _, list := range [][]Point{l.Memory, l.Settled} {
		if len(list) > 0 {
			end = max(end, list[len(list)-1].At)
		}
	}
	return end
}

// rates are rows a second, in buckets that each begin at their time.
func (l *Long) rates(seconds float64) []Point {
	width := seconds / rateBuckets
	rates := make([]Point, rateBuckets)
	for i := range rates {
		rates[i].At = float64(i) * width
	}
	before := 0.0
	for _, p := range l.Settled {
		bucket := min(int(p.At/width), rateBuckets-1)
		rates[bucket].Value += (p.Value - before) / width
		before = p.Value
	}
	return rates
}

// panel is a part of the plot with its own scale upwards.
type panel struct {
	top     float64
	seconds float64
	most    float64 // the value at its top
	title   string
}

func (p panel) x(seconds float64) float64 {
	return plotLeft + seconds/p.seconds*(plotWidth-plotLeft-plotRight)
}

func (p panel) y(value float64) float64 { return p.top + panelHeight*(1-value/p.most) }

// frame draws the title, the lines and the numbers at them.
func (p panel) frame(b *bytes.Buffer) {
	fmt.Fprintf(b, `<text class="title" x="%d" y="%.0f">%s</text>`+"\n", plotLeft, p.top-14, p.title)
	for i := range labelsUp + 1 {
		value := p.most * float64(i) / labelsUp
		fmt.Fprintf(b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, plotLeft, plotWidth-plotRight, p.y(value), p.y(value))
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%.4g</text>`+"\n", plotLeft-8, p.y(value)+4, value)
	}
	step := ceilNice(p.seconds / labelsAcross)
	for at := 0.0; at <= p.seconds; at += step {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%.3g</text>`+"\n", p.x(at), p.top+panelHeight+18, at)
	}
}

// ceilNice is the next number up that reads well: 1, 2, 4, 5 or 8 and zeros.
func ceilNice(v float64) float64 {
	if v <= 0 {
		return 1
	}
	scale := math.Pow(10, math.Floor(math.Log10(v)))
	for _, nice := range []float64{1, 2, 4, 5, 8} {
		if v <= nice*scale {
			return nice * scale
		}
	}
	return 10 * scale
}

func maxOf(points []Point) float64 {
	most := 0.0
	for _, p := range points {
		most = max(most, p.Value)
	}
	return most
}
