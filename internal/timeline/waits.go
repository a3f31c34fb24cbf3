package timeline

import (
	"cmp"
	"slices"
	"time"

	"bulkhead/internal/state"
)

// Waits is what a run waited for. Each moment at which any chunk was under way counts once:
//
//   - for what the extraction does, while it reads and no finished chunk waits for a worker (or none of
//     them works): all others wait for it then;
//   - else in equal parts for what each of the chunks waits for that workers have in hand;
//   - else, while chunks are ready and nobody takes them, for the spool and the workers; and while records
//     only rest before they are sent again, for Salesforce, whose locks they hit.
type Waits struct {
	Shares []Share // the largest first; they add up to Total
	Total  time.Duration
	// Ready is how long finished chunks waited while workers were busy, and Workers how many chunks those
	// had in hand at most.
	Ready   time.Duration
	Workers int

	pieces []piece
}

// Share is how much of the time was for one thing.
type Share struct {
	For     Wait
	Took    time.Duration
	Percent int // of the total; those of all shares add up to 100
}

// piece is a time in which all chunks stayed in their stages, and what it counts for.
type piece struct {
	from, to time.Duration
	parts    map[Wait]float64 // which add up to 1
}

// crowd is how many chunks are in which stage.
type crowd struct {
	feeding map[state.Stage]int // the extraction's
	worked  map[state.Stage]int // the others
}

func (c crowd) add(s Span, n int) {
	if s.feeding {
		c.feeding[s.Stage] += n
		return
	}
	c.worked[s.Stage] += n
}

// ready is how many chunks wait for nothing but their turn.
func (c crowd) ready() int { return c.worked[state.StageQueue] + c.worked[state.StageTurn] }

// held is how many chunks workers have in hand.
func (c crowd) held() int {
	n := 0
	for stage, count := range c.worked {
		if inHand(stage) {
			n += count
		}
	}
	return n
}

// ready reports whether a chunk in the stage waits for nothing but its turn.
func ready(s state.Stage) bool { return s == state.StageQueue || s == state.StageTurn }

// inHand reports whether somebody works on a chunk in the stage, which a newer program may have made up.
func inHand(s state.Stage) bool {
	return Of(s).For != "" && !ready(s) && s != state.StageRest && s != state.StageRoom
}

// parts says what such a moment counts for; nil: for nothing.
func (c crowd) parts() map[Wait]float64 {
	ready, held := c.ready(), c.held()
	room := c.feeding[state.StageRoom] > 0
	switch {
	case (c.feeding[state.StageRead] > 0 || c.feeding[state.StageState] > 0) && (ready == 0 || held == 0):
		return equally(c.feeding, inHand)
	case held > 0:
		return equally(c.worked, inHand)
	case ready > 0, room:
		return map[Wait]float64{Spool: 1}
	case c.worked[state.StageRest] > 0:
		return map[Wait]float64{Salesforce: 1}
	}
	return nil
}

// equally divides a moment among the chunks in the stages that count.
func equally(stages map[state.Stage]int, counts func(state.Stage) bool) map[Wait]float64 {
	parts, total := map[Wait]float64{}, 0.0
	for stage, n := range stages {
		if n > 0 && counts(stage) {
			parts[Of(stage).For] += float64(n)
			total += float64(n)
		}
	}
	for w := range parts {
		parts[w] /= total
	}
	return parts
}

// edge is where a chunk enters a stage (n is 1) or leaves it (-1).
type edge struct {
	at   time.Duration
	span Span
	n    int
}

func edgesOf(bars []Bar) []edge {
	var edges []edge
	for _, bar := range bars {
		for _, span := range bar.Spans {
			edges = append(edges, edge{span.From, span, 1}, edge{span.To, span, -1})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	return edges
}

// waitsOf goes through the run from edge to edge.
func waitsOf(bars []Bar) Waits {
	var w Waits
	now := crowd{map[state.Stage]int{}, map[state.Stage]int{}}
	edges := edgesOf(bars)
	took := map[Wait]float64{}
	for i, e := range edges {
		now.add(e.span, e.n)
		if i+1 == len(edges) || edges[i+1].at == e.at {
			continue
		}
		parts := now.parts()
		if parts == nil {
			continue
		}
		p := piece{e.at, edges[i+1].at, parts}
		w.pieces = append(w.pieces, p)
		for to, part := range parts {
			took[to] += part * float64(p.to-p.from)
		}
		held := now.held()
		w.Workers = max(w.Workers, held)
		if held > 0 && now.ready() > 0 {
			w.Ready += p.to - p.from
		}
		w.Total += p.to - p.from
	}
	w.Shares = sharesOf(took, w.Total)
	return w
}

// sharesOf rounds what was measured so that the shares add up.
func sharesOf(took map[Wait]float64, total time.Duration) []Share {
	var shares []Share
	if total == 0 {
		return shares
	}
	leftTime, leftPercent := total, 100
	for _, w := range AllWaits() {
		s := Share{For: w, Took: time.Duration(took[w]), Percent: int(100 * took[w] / float64(total))}
		leftTime -= s.Took
		leftPercent -= s.Percent
		shares = append(shares, s)
	}
	// What rounding down has left goes to those that lost the most by it.
	slices.SortStableFunc(shares, func(a, b Share) int { return cmp.Compare(lost(b, took, total), lost(a, took, total)) })
	for i := range min(leftPercent, len(shares)) {
		shares[i].Percent++
	}
	slices.SortStableFunc(shares, func(a, b Share) int { return cmp.Compare(b.Took, a.Took) })
	shares[0].Took += leftTime
	return shares
}

func lost(s Share, took map[Wait]float64, total time.Duration) float64 {
	return 100*took[s.For]/float64(total) - float64(s.Percent)
}
