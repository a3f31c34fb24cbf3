package timeline_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bulkhead/internal/state"
	"bulkhead/internal/timeline"
)

// epoch is when the runs of these tests start.
func epoch() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

func after(seconds float64) time.Time {
	return epoch().Add(time.Duration(seconds * float64(time.Second)))
}

// at is a turn so many seconds after the epoch.
func at(seconds float64, stage state.Stage) state.Turn {
	return state.Turn{Stage: stage, At: after(seconds)}
}

func ended(seconds float64) state.Run {
	end := after(seconds)
	return state.Run{ID: 1, Pipeline: "crm", State: state.RunSucceeded, StartedAt: epoch(), FinishedAt: &end}
}

// chunks are reconciled chunks of one step, with these trails.
func chunks(trails ...state.Trail) []*state.Chunk {
	var all []*state.Chunk
	for i, trail := range trails {
		all = append(all, &state.Chunk{Step: "accounts", Seq: i + 1, State: state.ChunkReconciled, Trail: trail})
	}
	return all
}

// longAfter is a look at the clock when all is over.
func longAfter() timeline.Now { return timeline.Now{At: after(1e6)} }

func percents(t *timeline.Timeline) map[timeline.Wait]int {
	got := map[timeline.Wait]int{}
	for _, s := range t.Waits.Shares {
		got[s.For] = s.Percent
	}
	return got
}

func TestWaits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		trails []state.Trail
		want   map[timeline.Wait]int
	}{
		{
			"one chunk, one thing after the other",
			[]state.Trail{{
				at(0, state.StageRead), at(4, state.StageState), at(5, state.StageQueue), at(5, state.StageCreate), at(6, state.StageUpload),
				at(7, state.StageProcess), at(9, state.StageResults), at(10, state.StageDone),
			}},
			map[timeline.Wait]int{timeline.Postgres: 40, timeline.StateDB: 10, timeline.Network: 30, timeline.Salesforce: 20},
		},
		{
			"reading is what idle workers wait for",
			[]state.Trail{
				{at(0, state.StageRead), at(5, state.StageQueue), at(5, state.StageProcess), at(6, state.StageDone)},
				{at(5, state.StageRead), at(9, state.StageQueue), at(9, state.StageProcess), at(10, state.StageDone)},
			},
			map[timeline.Wait]int{timeline.Postgres: 90, timeline.Salesforce: 10},
		},
		{
			"reading ahead of busy workers costs nothing",
			[]state.Trail{
				{at(0, state.StageRead), at(1, state.StageQueue), at(1, state.StageProcess), at(5, state.StageDone)},
				{at(1, state.StageRead), at(2, state.StageQueue), at(5, state.StageProcess), at(10, state.StageDone)},
				{at(2, state.StageRead), at(5, state.StageQueue), at(5, state.StageProcess), at(10, state.StageDone)},
			},
			map[timeline.Wait]int{timeline.Postgres: 20, timeline.Salesforce: 80},
		},
		{
			"a moment is divided among those in hand",
			[]state.Trail{
				{at(0, state.StageProcess), at(10, state.StageDone)},
				{at(0, state.StageProcess), at(10, state.StageDone)},
				{at(0, state.StageProcess), at(10, state.StageDone)},
				{at(0, state.StageUpload), at(10, state.StageDone)},
			},
			map[timeline.Wait]int{timeline.Salesforce: 75, timeline.Network: 25},
		},
		{
			"nobody takes the ready ones",
			[]state.Trail{{at(0, state.StageRead), at(2, state.StageQueue), at(8, state.StageProcess), at(10, state.StageDone)}},
			map[timeline.Wait]int{timeline.Postgres: 20, timeline.Spool: 60, timeline.Salesforce: 20},
		},
		{
			"locked rows rest",
			[]state.Trail{{at(0, state.StageRest), at(6, state.StageQueue), at(6, state.StageUpload), at(10, state.StageDone)}},
			map[timeline.Wait]int{timeline.Salesforce: 60, timeline.Network: 40},
		},
		{
			"a full spool is its workers' doing",
			[]state.Trail{
				{at(0, state.StageProcess), at(10, state.StageDone)},
				{at(0, state.StageRoom), at(10, state.StageDone)},
			},
			map[timeline.Wait]int{timeline.Salesforce: 100},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := percents(timeline.New(ended(10), "", chunks(test.trails...), longAfter()))
			for _, w := range timeline.AllWaits() {
				if got[w] != test.want[w] {
					t.Errorf("%s has %d%%, want %d%%", w, got[w], test.want[w])
				}
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	line := timeline.New(ended(10), "", chunks(
		state.Trail{at(0, state.StageProcess), at(10, state.StageDone)},
		state.Trail{at(0, state.StageQueue), at(9, state.StageProcess), at(10, state.StageDone)},
	), longAfter())
	if got := line.Verdict(); got != "The run waited most for Salesforce (processing): 100% of its time." {
		t.Errorf("got %q", got)
	}
	if got := line.Hint(); !strings.Contains(got, "90% of the time chunks were ready") || !strings.Contains(got, "chunk.parallel") {
		t.Errorf("the hint is %q", got)
	}
	nothing := timeline.New(ended(10), "", nil, longAfter())
	if nothing.Verdict() != "" || nothing.Hint() != "" {
		t.Errorf("of nothing it says %q, %q", nothing.Verdict(), nothing.Hint())
	}
}

// TestResumeAfterDays: the time in which nobody drove the run is no part of it.
func TestResumeAfterDays(t *testing.T) {
	t.Parallel()
	const day = 86_400
	run := ended(3*day + 10)
	run.Pauses = []state.Pause{{From: after(5), To: after(3 * day)}}
	line := timeline.New(run, "", chunks(state.Trail{
		at(0, state.StageRead), at(1, state.StageQueue), at(2, state.StageUpload), at(4, state.StageProcess), at(3*day+10, state.StageDone),
	}), longAfter())
	if line.Length != 15*time.Second {
		t.Errorf("the run is %s long", line.Length)
	}
	if len(line.Breaks) != 1 || line.Breaks[0].At != 5*time.Second || line.Breaks[0].Took != (3*day-5)*time.Second {
		t.Errorf("breaks %+v", line.Breaks)
	}
	if last := line.Bars[0].Spans[3]; last.Stage != state.StageProcess || last.From != 4*time.Second || last.To != 15*time.Second {
		t.Errorf("the last stage is %+v", last)
	}
}

func TestRunThatGoesOnAndRunThatDied(t *testing.T) {
	t.Parallel()
	run := state.Run{ID: 1, State: state.RunRunning, StartedAt: epoch()}
	all := chunks(state.Trail{at(0, state.StageRead), at(3, state.StageQueue), at(4, state.StageUpload)}, state.Trail{at(4, state.StageRest), at(99, state.StageQueue)})
	all[0].State, all[1].State = state.ChunkCreated, state.ChunkPlanned
	for driven, want := range map[bool]time.Duration{true: 20 * time.Second, false: 4 * time.Second} {
		line := timeline.New(run, "", all, timeline.Now{At: after(20), Driven: driven})
		if line.Length != want || line.Open != driven {
			t.Errorf("driven %v: %s long, open %v", driven, line.Length, line.Open)
		}
	}
}

func TestOneStepIsDrawnFromItsBeginToItsEnd(t *testing.T) {
	t.Parallel()
	line := timeline.New(ended(100), "accounts", chunks(state.Trail{at(40, state.StageRead), at(50, state.StageDone)}), longAfter())
	if line.Length != 10*time.Second || !strings.HasPrefix(line.Verdict(), `Step "accounts" waited most for Postgres: 100%`) {
		t.Errorf("%s long; %s", line.Length, line.Verdict())
	}
}

func TestManyChunksShareLines(t *testing.T) {
	t.Parallel()
	var trails []state.Trail
	for i := range 503 {
		trails = append(trails, state.Trail{at(0, state.StageQueue), at(float64(i), state.StageProcess), at(float64(i)+1, state.StageDone)})
	}
	line := timeline.New(ended(504), "", chunks(trails...), longAfter())
	rows := line.Rows(60, 40)
	if len(rows) > 40 || rows[0].Label != "1-13" || rows[len(rows)-1].Label != "495-503" {
		t.Fatalf("%d rows, from %s to %s", len(rows), rows[0].Label, rows[len(rows)-1].Label)
	}
	// One of 13 is processed and the others wait: that is the line's news.
	if rows[20].Cells[0] != state.StageQueue || !slices.Contains(rows[20].Cells, state.StageProcess) {
		t.Errorf("the middle is %v", rows[20].Cells)
	}
}

// TestAnyTrails has trails as no program would leave them: what is drawn stays within the run, and the
// shares add up.
func TestAnyTrails(t *testing.T) {
	t.Parallel()
	var names []state.Stage
	for _, s := range timeline.Stages() {
		names = append(names, s.Stage)
	}
	names = append(names, state.StageDone, "unheard of")
	moment := rapid.Custom(func(t *rapid.T) time.Time { return after(rapid.Float64Range(-50, 200).Draw(t, "s")) })
	rapid.Check(t, func(t *rapid.T) {
		var trails []state.Trail
		for range rapid.IntRange(0, 6).Draw(t, "chunks") {
			times := rapid.SliceOfN(moment, 0, 12).Draw(t, "times")
			slices.SortFunc(times, time.Time.Compare)
			var trail state.Trail
			for _, m := range times {
				trail.Turn(rapid.SampledFrom(names).Draw(t, "stage"), m)
			}
			trails = append(trails, trail)
		}
		run := ended(100)
		if rapid.Bool().Draw(t, "open") {
			run.FinishedAt = nil
		}
		for range rapid.IntRange(0, 3).Draw(t, "pauses") {
			run.Pauses = append(run.Pauses, state.Pause{From: moment.Draw(t, "from"), To: moment.Draw(t, "to")})
		}
		line := timeline.New(run, "", chunks(trails...), timeline.Now{At: after(150), Driven: rapid.Bool().Draw(t, "driven")})
		total, percent := time.Duration(0), 0
		for _, s := range line.Waits.Shares {
			total += s.Took
			percent += s.Percent
			if s.Took < 0 || s.Percent < 0 {
				t.Fatalf("share %+v", s)
			}
		}
		if total != line.Waits.Total || total > line.Length || total > 0 && percent != 100 {
			t.Fatalf("shares %+v: %s of %s in a run of %s, %d%%", line.Waits.Shares, total, line.Waits.Total, line.Length, percent)
		}
		for _, bar := range line.Bars {
			last := time.Duration(0)
			for _, s := range bar.Spans {
				if s.From < last || s.To <= s.From || s.To > line.Length {
					t.Fatalf("span %+v after %s in a run of %s", s, last, line.Length)
				}
				last = s.To
			}
		}
		line.Bottleneck(7)
		if err := line.SVG(io.Discard, "any"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTicks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		seconds float64
		want    string
	}{
		{0, "0s"},
		{0.004, "0s 1ms 2ms 3ms 4ms"},
		{3.8, "0s 1s 2s 3s"},
		{100, "0s 30s 1m 1m30s"},
		{4000, "0s 30m 1h"},
		{5000, "0s 30m 1h"},
		{400_000, "0s 48h 96h"},
	} {
		var labels []string
		for _, tick := range timeline.New(ended(test.seconds), "", nil, longAfter()).Ticks(4) {
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, " "); got != test.want {
			t.Errorf("%v seconds: %s, want %s", test.seconds, got, test.want)
		}
	}
}

func TestSVGStandsAloneAndIsEscaped(t *testing.T) {
	t.Parallel()
	all := chunks(state.Trail{at(0, state.StageRead), at(5, state.StageProcess), at(10, state.StageDone)})
	all[0].Step, all[0].JobID = `<script>&"`, `750<b>`
	run := ended(10)
	run.Pauses = []state.Pause{{From: after(6), To: after(7)}}
	var out bytes.Buffer
	if err := timeline.New(run, "", all, longAfter()).SVG(&out, "Run 1 of <crm>\x1b[2J & co"); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, bad := range []string{"<script", "<crm", "<b>", "\x1b", "href", "url(", "@import", "\x00"} {
		if strings.Contains(text, bad) {
			t.Errorf("it has %q", bad)
		}
	}
	for _, want := range []string{"prefers-color-scheme: dark", "&lt;script&gt;", "&lt;crm&gt;", "read for 5s", "process for 4s", "nobody drove the run for 1s"} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %q", want)
		}
	}
	decoder := xml.NewDecoder(&out)
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("it is no XML: %v", err)
		}
	}
}

func TestSVGLegendFits(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	all := chunks(state.Trail{at(0, state.StageRead), at(10, state.StageDone)})
	if err := timeline.New(ended(10), "", all, longAfter()).SVG(&out, "Run 1"); err != nil {
		t.Fatal(err)
	}
	wide := regexp.MustCompile(`viewBox="0 0 ([0-9]+) `).FindStringSubmatch(out.String())
	if wide == nil {
		t.Fatal("the picture has no width")
	}
	width, _ := strconv.ParseFloat(wide[1], 64)
	for _, s := range timeline.Stages() {
		name := string(s.Stage)
		text := regexp.MustCompile(`<text x="([0-9.]+)" y="[0-9.]+" class="dim">` + name + `<`).FindStringSubmatch(out.String())
		if text == nil {
			t.Errorf("the legend does not name %q", name)
			continue
		}
		if x, _ := strconv.ParseFloat(text[1], 64); x+7*float64(len(name)) > width {
			t.Errorf("%q begins at %s, and the picture is %v wide", name, text[1], width)
		}
	}
}
