package console_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/state"
	"bulkhead/internal/timeline"
)

// pausedRun is a run of ten seconds of work, and an hour's pause.
func pausedRun() *timeline.Timeline {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	end := at(3610)
	run := state.Run{StartedAt: start, FinishedAt: &end, Pauses: []state.Pause{{From: at(5), To: at(3605)}}}
	chunk := func(step string, seq int) *state.Chunk {
		return &state.Chunk{Step: step, Seq: seq, State: state.ChunkReconciled, Trail: state.Trail{
			{Stage: state.StageRead, At: at(0)}, {Stage: state.StageQueue, At: at(2)}, {Stage: state.StageProcess, At: at(3605)}, {Stage: state.StageDone, At: end},
		}}
	}
	return timeline.New(run, "", []*state.Chunk{chunk("accounts", 1), chunk("accounts", 2), chunk("a step with a long, long name", 1)}, timeline.Now{At: end})
}

func TestGantt(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	console.Gantt(&out, console.Paint{}, pausedRun())
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{
		"STEP                  CHUNK  0s            2s            4s            6s            8s",
		"waited                  for  RRRRRRRRRRRRRR......................PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP",
		"accounts                  1  RRRRRRRRRRRRRR......................PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP",
		"                          2  RRRRRRRRRRRRRR......................PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP",
		"a step with a long,…      1  RRRRRRRRRRRRRR......................PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP",
		"                                                                ^",
		"^ at 5.0s: nobody drove the run for 1h 00m",
		"",
		"R read     Postgres                  rows are read from the source into the chunk's file",
	} {
		if i >= len(lines) || lines[i] != want {
			t.Errorf("line %d, want\n%s\ngot\n%s", i+1, want, strings.Join(lines, "\n"))
			break
		}
	}
}

// TestGanttColours: the colours are around the letters, and all of them may pass to a terminal.
func TestGanttColours(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	console.Gantt(&out, console.Paint{On: true}, pausedRun())
	if text := out.String(); !strings.Contains(text, "\x1b[97;44mRRRR") || !strings.Contains(text, "PPPP\x1b[0m") {
		t.Errorf("got %q", text)
	}
}
