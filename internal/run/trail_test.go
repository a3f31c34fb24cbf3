package run_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/spool"
	"bulkhead/internal/state"
)

// ways are the chunks' stages of a run, each as one line, in order.
func (b *bundle) ways(t *testing.T, runID int64) []string {
	t.Helper()
	chunks, err := b.store.Chunks(t.Context(), runID, "")
	if err != nil {
		t.Fatal(err)
	}
	var ways []string
	for _, c := range chunks {
		var names []string
		last := time.Time{}
		for _, turn := range c.Trail {
			names = append(names, string(turn.Stage))
			if turn.At.Before(last) {
				t.Errorf("chunk %d: %s begins before the stage before it", c.Seq, turn.Stage)
			}
			last = turn.At
		}
		ways = append(ways, strings.Join(names, " "))
	}
	return ways
}

func TestTrails(t *testing.T) {
	t.Parallel()
	const (
		made   = "create state create state " // the run is held before the job is made, and recorded after
		read   = "read state queue " + made
		sent   = "upload state turn close state close state process state "
		settle = "results state done"
	)
	for _, test := range []struct {
		name  string
		fault *emulator.Fault
		want  []string
	}{
		{"as it should be", nil, []string{read + sent + settle}},
		{
			"an upload breaks off", &emulator.Fault{Do: emulator.DoCutBefore, Method: "PUT", Path: "/batches", Times: 1},
			[]string{read + "upload state " + made + sent + settle},
		},
		{
			"locked rows", &emulator.Fault{On: emulator.OnRow, Do: emulator.DoRowError, Code: "UNABLE_TO_LOCK_ROW", Times: 1},
			[]string{read + sent + settle, "rest queue state " + made + sent + settle},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{})
			b.people(t, 20)
			if test.fault != nil {
				b.fault(t, *test.fault)
			}
			s, err := b.engine(t, accounts("upsert", "")).Run(t.Context(), run.Options{})
			mustComplete(t, s, err, state.RunSucceeded)
			if got := b.ways(t, s.ID); !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestTrailSaysThatTheSpoolWasFull(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 60)
	var err error
	if b.config.Spool, err = spool.Open(spool.Config{Dir: b.spoolDir, MaxBytes: 500}); err != nil {
		t.Fatal(err)
	}
	s, err := b.engine(t, accounts("insert", "    chunk: { rows: 20, parallel: 1 }\n")).Run(t.Context(), run.Options{})
	mustComplete(t, s, err, state.RunSucceeded)
	if ways := b.ways(t, s.ID); !strings.HasPrefix(ways[1], "read room read state queue ") {
		t.Errorf("the second chunk's way is %s", ways[1])
	}
}

// TestTrailOfAResume: what a chunk waited for before and after a pause is both there.
func TestTrailOfAResume(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 20)
	b.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		until(t, func() bool { return b.server.State().Jobs["InProgress"] == 1 })
		cancel(errors.New("stopped by the test"))
	}()
	engine := b.engine(t, accounts("insert", ""))
	s, err := engine.Run(ctx, run.Options{})
	if s == nil || s.State != state.RunInterrupted {
		t.Fatalf("got %+v, %v", s, err)
	}
	b.server.RemoveFault("")
	b.server.Release()
	s, err = engine.Resume(t.Context(), s.ID)
	mustComplete(t, s, err, state.RunSucceeded)
	if ways := b.ways(t, s.ID); !strings.HasSuffix(ways[0], "close state process queue process state results state done") {
		t.Errorf("its way is %s", ways[0])
	}
	if len(s.Pauses) != 1 || s.Pauses[0].To.Before(s.Pauses[0].From) {
		t.Errorf("pauses %v", s.Pauses)
	}
}
