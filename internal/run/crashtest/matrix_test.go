package crashtest

import (
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// seedVar repeats a matrix; allVar kills at every point of every scenario instead of at a choice.
const (
	seedVar = "ETL_CRASH_SEED"
	allVar  = "ETL_CRASH_ALL"
)

// shareOfOthers is how many of the points that an earlier scenario has covered are tried again in
// another: one in so many.
const shareOfOthers = 12

// defaultSeed makes the matrix of `make test` the same each time; `make soak` is for chance.
const defaultSeed = 20261123

// requests are the points of the transport that must be among those of the matrix.
func requests() []string {
	names := []string{"http upload: middle", "http failedResults: middle"}
	for _, name := range []string{"login", "describe", "create", "upload", "close", "abort", "poll", "failedResults", "unprocessedrecords"} {
		names = append(names, "http "+name+": before", "http "+name+": after")
	}
	return names
}

// cell is one case of the matrix.
type cell struct {
	scenario scenario
	kill     kill
	again    kill // of the resume; no point: the resume is left alone
}

func (c cell) name() string {
	name := c.scenario.name + "/" + c.kill.String()
	if c.again.Point != "" {
		name += " and " + c.again.String()
	}
	return name
}

// TestCrashMatrix kills the process of a whole run at every point, resumes it, sometimes kills that too,
// and checks that every record is where it belongs, once.
func TestCrashMatrix(t *testing.T) {
	t.Parallel()
	seed := uint64(defaultSeed)
	if text := os.Getenv(seedVar); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVar, err)
		}
	}
	begun, stages := time.Now(), newLot(t)
	killed := &tally{}
	t.Cleanup(func() { mustCover(t, "was killed at", killed.all()) })
	cells := matrix(t, stages, rand.New(rand.NewPCG(seed, 0)))
	t.Logf("%s=%d: %d cases, recorded in %v", seedVar, seed, len(cells), time.Since(begun).Round(time.Millisecond))
	for _, c := range cells {
		t.Run(c.name(), func(t *testing.T) {
			t.Parallel()
			c.play(t, stages, killed)
		})
	}
}

// matrix runs every scenario once, unharmed, and makes cases of the points that it reaches.
func matrix(t *testing.T, l *lot, random *rand.Rand) []cell {
	t.Helper()
	var cells []cell
	covered := map[string]bool{}
	for _, sc := range scenarios() {
		hits := record(t, l, sc)
		points := slices.Sorted(maps.Keys(hits))
		for _, point := range points {
			if covered[point] && os.Getenv(allVar) == "" && random.IntN(shareOfOthers) > 0 {
				continue
			}
			c := cell{scenario: sc, kill: kill{point, 1 + random.IntN(hits[point])}}
			if random.IntN(4) == 0 {
				again := points[random.IntN(len(points))]
				c.again = kill{again, 1 + random.IntN(min(3, hits[again]))}
			}
			cells = append(cells, c)
		}
		for _, point := range points {
			covered[point] = true
		}
	}
	mustCover(t, "reaches", covered)
	return cells
}

// record runs a scenario without killing it and returns how often each point is reached. What it
// brings about is checked too: a matrix of a load that is wrong by itself proves nothing.
func record(t *testing.T, l *lot, sc scenario) map[string]int {
	t.Helper()
	var hits map[string]int
	t.Run(sc.name+"/unharmed", func(t *testing.T) {
		st := sc.setUp(t, l)
		_, r := st.kill(t, kill{})
		hits = r.Hits
		st.finish(t, sc.mendOf(t, st))
		st.verify(t, sc.want)
	})
	return hits
}

// mustCover fails when the code names a point that no scenario has come to: a new transition needs a
// scenario that makes it.
func mustCover(t *testing.T, what string, covered map[string]bool) {
	t.Helper()
	points := append(run.Points(), requests()...)
	for _, write := range state.Writes() {
		points = append(points, write.Points()...)
	}
	for _, point := range points {
		if !covered[point] {
			t.Errorf("no process %s %q", what, point)
		}
	}
}

func (sc scenario) mendOf(tb testing.TB, st *stage) func(error) {
	if sc.mend == nil {
		return nil
	}
	return func(err error) { sc.mend(tb, st, err) }
}

// tally remembers the points at which a process died.
type tally struct {
	mu     sync.Mutex
	points map[string]bool
}

func (y *tally) add(point string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.points == nil {
		y.points = map[string]bool{}
	}
	y.points[point] = true
}

func (y *tally) all() map[string]bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.points
}

func (c cell) play(t *testing.T, l *lot, deaths *tally) {
	st := c.scenario.setUp(t, l)
	killed, _ := st.kill(t, c.kill)
	if !killed && c.kill.Hit > 1 {
		// How often a point is reached differs from run to run.
		c.kill.Hit = 1
		st = c.scenario.setUp(t, l)
		killed, _ = st.kill(t, c.kill)
	}
	if killed {
		deaths.add(c.kill.Point)
	}
	if c.again.Point != "" {
		if again, _ := st.kill(t, c.again); again {
			deaths.add(c.again.Point)
		}
	}
	st.finish(t, c.scenario.mendOf(t, st))
	st.verify(t, c.scenario.want)
	if t.Failed() {
		t.Logf("killed at %s (%v), then %s", c.kill, killed, c.again)
	}
}
