package schedule_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/pgtest"
	"bulkhead/internal/schedule"
	"bulkhead/internal/state"
)

func TestWhatIsDoneAboutWhatIsDue(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		about string
		plan  schedule.Plan
		after time.Duration
		busy  bool
		want  []string
	}{
		{"nothing yet", schedule.Plan{}, 13 * time.Hour, false, nil},
		{"in time", schedule.Plan{}, 14*time.Hour + time.Second, false, []string{"02 02:00 claimed"}},
		{"in time, and busy", schedule.Plan{}, 14 * time.Hour, true, []string{"02 02:00 skipped"}},
		{"in time, busy, and queueing", schedule.Plan{Queue: true}, 14 * time.Hour, true, []string{"02 02:00 claimed waits"}},
		{"late waits for what was interrupted", schedule.Plan{}, 20 * time.Hour, true, []string{"02 02:00 claimed waits"}},
		{"the latest of three", schedule.Plan{}, 3 * 24 * time.Hour, false, []string{"04 02:00 claimed waits missed"}},
		{
			"all of three",
			schedule.Plan{CatchUp: schedule.CatchUpAll},
			3 * 24 * time.Hour, false,
			[]string{"02 02:00 claimed waits", "03 02:00 claimed waits", "04 02:00 claimed waits"},
		},
		{"none of three", schedule.Plan{CatchUp: schedule.CatchUpNone}, 3 * 24 * time.Hour, false, []string{"04 02:00 skipped waits missed"}},
		{"none, but one is in time", schedule.Plan{CatchUp: schedule.CatchUpNone}, 62 * time.Hour, false, []string{"04 02:00 claimed missed"}},
	} {
		t.Run(test.about, func(t *testing.T) {
			t.Parallel()
			test.plan.Pipeline, test.plan.Times = "crm", times(t, "0 2 * * *", "UTC")
			if diff := cmp.Diff(test.want, test.plan.Decide(since, since.Add(test.after), test.busy)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestJitterIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	p := schedule.Plan{Pipeline: "crm", Jitter: 5 * time.Minute}
	q := schedule.Plan{Pipeline: "erp", Jitter: 5 * time.Minute}
	due := time.Date(2026, 6, 1, 2, 0, 0, 0, time.UTC)
	seen := map[time.Duration]bool{}
	for range 200 {
		late := p.Start(due).Sub(due)
		if late < 0 || late >= p.Jitter || late != p.Start(due.In(zone(t, "Asia/Kolkata"))).Sub(due) {
			t.Fatalf("begins %v after %v", late, due)
		}
		seen[late] = true
		seen[q.Start(due).Sub(due)] = true
		due = due.AddDate(0, 0, 1)
	}
	if len(seen) < 150 {
		t.Errorf("400 runs begin in %d seconds of 300", len(seen))
	}
}

// A server that was only paused while another took over begins nothing with the claim that it had.
func TestClaimsAreFenced(t *testing.T) {
	t.Parallel()
	store, err := state.Open(t.Context(), pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	first, err := store.Lead(t.Context())
	if err != nil || first == nil {
		t.Fatalf("%v, %v", first, err)
	}
	if second, err := store.Lead(t.Context()); err != nil || second != nil {
		t.Fatalf("two lead: %v", err)
	}
	begin := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	if err := store.BeginSchedule(t.Context(), "crm", "0 2 * * *", "UTC", begin); err != nil {
		t.Fatal(err)
	}
	known := state.Schedule{Pipeline: "crm", Cron: "0 2 * * *", Timezone: "UTC", DecidedUntil: &begin}
	due := []state.NewFire{{At: begin.Add(14 * time.Hour), State: state.FireClaimed}}
	for i, want := range []bool{true, false} { // of two that decide, the second finds it decided
		if decided, err := store.Decide(t.Context(), known, due[0].At, due); err != nil || decided != want {
			t.Fatalf("decision %d: %t, %v", i, decided, err)
		}
	}
	open, err := store.OpenFires(t.Context())
	if err != nil || len(open) != 1 {
		t.Fatalf("%v, %v", open, err)
	}
	first.Release(t.Context())
	second, err := store.Lead(t.Context())
	if err != nil || second == nil {
		t.Fatalf("nobody leads: %v", err)
	}
	defer second.Release(t.Context())
	if _, err := store.TakeFires(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	stale := open[0].Claim()
	run := state.NewRun{Pipeline: "crm", File: "f", Trigger: state.TriggerSchedule, Claim: &stale}
	if _, err := store.Start(t.Context(), run); !errors.Is(err, state.ErrNotClaimed) {
		t.Errorf("the one before begins a run: %v", err)
	}
	if err := store.FinishFire(t.Context(), stale, state.FireDone, ""); !errors.Is(err, state.ErrNotClaimed) {
		t.Errorf("the one before finishes it: %v", err)
	}
	if runs, err := store.Runs(t.Context(), state.RunFilter{}); err != nil || len(runs) != 0 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
}
