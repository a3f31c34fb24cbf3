package console_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/run"
)

// TestLines has a line when a step begins, every ten seconds, and when it ends.
func TestLines(t *testing.T) {
	t.Parallel()
	var got []string
	update := console.NewLines(func(_ run.Counts, _ float64, text string) { got = append(got, text) })
	start := time.Unix(1_000_000, 0)
	a := run.Counts{Name: "accounts", Read: 1000}
	update(start, []run.Counts{a})
	a.Processed, a.Uploaded = 2000, 4000
	a.Read, a.Extracted = 4000, true
	update(start.Add(5*time.Second), []run.Counts{a})
	update(start.Add(10*time.Second), []run.Counts{a})
	a.Processed, a.Failed, a.Finished, a.Elapsed = 4000, 3, true, 12*time.Second
	b := run.Counts{Name: "contacts"}
	update(start.Add(12*time.Second), []run.Counts{a, b})
	update(start.Add(60*time.Second), []run.Counts{a, b})
	b.Extracted, b.Finished = true, true
	update(start.Add(61*time.Second), []run.Counts{a, b})
	update(start.Add(90*time.Second), []run.Counts{a, b})
	want := []string{
		"accounts: 0 of 1,000+, 0 uploaded, 1,000 read",
		"accounts: 2,000 of 4,000, 10s left, 200/s, 4,000 uploaded, 4,000 read",
		"accounts: 4,000 of 4,000, 3 failed, in 12s, 4,000 uploaded, 4,000 read",
		"contacts: 0 of 0+, 0 uploaded, 0 read",
		"contacts: 0 of 0+, 0 uploaded, 0 read",
		"contacts: 0 of 0, in 0.0s, 0 uploaded, 0 read",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines differ (-want +got):\n%s", diff)
	}
}

// TestRejectedRowsAreNoSpeed: they are done from the start, and say nothing of
// how fast the org is.
func TestRejectedRowsAreNoSpeed(t *testing.T) {
	t.Parallel()
	var got []string
	update := console.NewLines(func(_ run.Counts, _ float64, text string) { got = append(got, text) })
	start := time.Unix(1_000_000, 0)
	c := run.Counts{Name: "accounts", Read: 500}
	update(start, []run.Counts{c})
	c.Read, c.Rejected, c.Uploaded, c.Extracted = 11_000, 1000, 10_000, true
	update(start.Add(10*time.Second), []run.Counts{c})
	c.Processed = 5000
	update(start.Add(20*time.Second), []run.Counts{c})
	want := []string{
		"accounts: 0 of 500+, 0 uploaded, 500 read",
		"accounts: 1,000 of 11,000, 1,000 rejected, 10,000 uploaded, 11,000 read",
		"accounts: 6,000 of 11,000, 20s left, 250/s, 1,000 rejected, 10,000 uploaded, 11,000 read",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines differ (-want +got):\n%s", diff)
	}
}

func TestDescribeFitsNarrowTerminals(t *testing.T) {
	t.Parallel()
	c := run.Counts{Name: "accounts", Read: 1_000_000, Processed: 250_000, Failed: 12, Rejected: 5, Uploaded: 300_000, Extracted: true}
	for width, want := range map[int]string{
		0:  "250,005 of 1,000,000, 12 failed, 12m 30s left, 1,000/s, 5 rejected, 300,000 uploaded, 1,000,000 read",
		50: "250,005 of 1,000,000, 12 failed, 12m 30s left",
		10: "250,005 of 1,000,000",
	} {
		if got := console.Describe(c, 1000, width); got != want {
			t.Errorf("width %d: got %q, want %q", width, got, want)
		}
	}
}

// TestWatchEnds has the watching of a run that ends at once.
func TestWatchEnds(t *testing.T) {
	t.Parallel()
	var lines []string
	stop := console.Watch(console.Watching{
		Steps: func() []run.Counts { return []run.Counts{{Name: "accounts", Finished: true, Extracted: true}} },
		Plain: func(_ run.Counts, _ float64, text string) { lines = append(lines, text) },
	})
	stop()
	stop()
	if len(lines) != 1 {
		t.Errorf("got %q", lines)
	}
}
