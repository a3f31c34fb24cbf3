package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bulkhead/internal/pipeline"
	"bulkhead/internal/schedule"
)

func zone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	location, err := time.LoadLocation(name)
	if err != nil {
		tb.Fatal(err)
	}
	return location
}

func times(tb testing.TB, expression, in string) *schedule.Times {
	tb.Helper()
	location := zone(tb, in)
	parsed, err := pipeline.ParseCron(expression, location)
	if err != nil {
		tb.Fatal(err)
	}
	return schedule.NewTimes(parsed, location)
}

// between lists when a schedule is due, as UTC and as the clock on the wall shows it.
func between(tb testing.TB, expression, in, from, to string) []string {
	tb.Helper()
	t := times(tb, expression, in)
	due, err := time.ParseInLocation("2006-01-02 15:04", from, time.UTC)
	if err != nil {
		tb.Fatal(err)
	}
	until, err := time.ParseInLocation("2006-01-02 15:04", to, time.UTC)
	if err != nil {
		tb.Fatal(err)
	}
	due = due.Add(-time.Nanosecond)
	list := []string{}
	for {
		due = t.Next(due)
		if !due.Before(until) {
			return list
		}
		list = append(list, due.UTC().Format("15:04Z")+" "+due.Format("15:04"))
	}
}

func TestClockChanges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		about, expression, zone, from, to string
		want                              []string
	}{
		{"a time that does not exist is due after the jump", "30 2 * * *", "Europe/Berlin", "2026-03-28 22:00", "2026-03-29 22:00", []string{"01:00Z 03:00"}},
		{"a time that comes twice is due once, first", "30 2 * * *", "Europe/Berlin", "2026-10-24 22:00", "2026-10-25 23:00", []string{"00:30Z 02:30"}},
		{"New York, forward", "30 2 * * *", "America/New_York", "2026-03-08 05:00", "2026-03-09 04:00", []string{"07:00Z 03:00"}},
		{"New York, back", "30 1 * * *", "America/New_York", "2026-11-01 04:00", "2026-11-02 05:00", []string{"05:30Z 01:30"}},
		{"half an hour forward", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03 13:30", "2026-10-04 13:00", []string{"15:30Z 02:30"}},
		{"half an hour back", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04 13:00", "2026-04-05 13:30", []string{"14:45Z 01:45"}},
		{
			"named times that meet are one", "*/30 1-3 * * *", "Europe/Berlin", "2026-03-28 23:00", "2026-03-29 22:00",
			[]string{"00:00Z 01:00", "00:30Z 01:30", "01:00Z 03:00", "01:30Z 03:30"},
		},
		{
			"every second hour is named hours", "0 */2 * * *", "Europe/Berlin", "2026-03-28 23:00", "2026-03-29 05:00",
			[]string{"23:00Z 00:00", "01:00Z 03:00", "02:00Z 04:00", "04:00Z 06:00"},
		},
		{
			"hourly goes on by the hour, forward", "0 * * * *", "Europe/Berlin", "2026-03-29 00:00", "2026-03-29 03:00",
			[]string{"00:00Z 01:00", "01:00Z 03:00", "02:00Z 04:00"},
		},
		{
			"hourly goes on by the hour, back", "0 0-23 * * *", "Europe/Berlin", "2026-10-25 00:00", "2026-10-25 03:00",
			[]string{"00:00Z 02:00", "01:00Z 02:00", "02:00Z 03:00"},
		},
		{
			"at half past, without one more", "30 * * * *", "Europe/Berlin", "2026-03-29 00:00", "2026-03-29 03:00",
			[]string{"00:30Z 01:30", "01:30Z 03:30", "02:30Z 04:30"},
		},
		{
			"every 15 minutes, back", "*/15 * * * *", "America/New_York", "2026-11-01 05:30", "2026-11-01 06:30",
			[]string{"05:30Z 01:30", "05:45Z 01:45", "06:00Z 01:00", "06:15Z 01:15"},
		},
		{
			"hourly over half an hour forward", "15 * * * *", "Australia/Lord_Howe", "2026-10-03 14:30", "2026-10-03 17:00",
			[]string{"14:45Z 01:15", "15:30Z 02:30", "16:15Z 03:15"},
		},
		{
			"hourly over half an hour back", "0 * * * *", "Australia/Lord_Howe", "2026-04-04 13:30", "2026-04-04 17:00",
			[]string{"14:00Z 01:00", "15:00Z 01:30", "15:30Z 02:00", "16:30Z 03:00"},
		},
		{"hourly on one weekday is not stretched", "0 * * * 1", "Europe/Berlin", "2026-03-29 00:00", "2026-03-29 23:30", []string{"22:00Z 00:00", "23:00Z 01:00"}},
		{"an interval takes no notice", "@every 6h", "Europe/Berlin", "2026-10-25 00:00", "2026-10-25 12:00", []string{"00:00Z 02:00", "06:00Z 07:00"}},
		{"a day that a country left out", "30 2 * * *", "Pacific/Apia", "2011-12-29 10:00", "2011-12-31 10:00", []string{"12:30Z 02:30", "10:00Z 00:00", "12:30Z 02:30"}},
		{"no changes at all", "30 2 * * *", "Asia/Kolkata", "2026-03-28 18:30", "2026-03-29 18:30", []string{"21:00Z 02:30"}},
	} {
		t.Run(test.about, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, between(t, test.expression, test.zone, test.from, test.to)); diff != "" {
				t.Errorf("%s in %s (-want +got):\n%s", test.expression, test.zone, diff)
			}
		})
	}
}

// A nightly time is due once each day, at the first instant of the day at which
// the clock on the wall has come to it. The day is walked through by the minute.
func TestNightlyIsOnceADay(t *testing.T) {
	t.Parallel()
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Africa/Casablanca", "Asia/Kolkata", "UTC", "America/Santiago"}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(zones).Draw(t, "zone")
		location, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		hour, minute := rapid.IntRange(0, 3).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute")
		parsed, err := pipeline.ParseCron(fmt.Sprintf("%d %d * * *", minute, hour), location)
		if err != nil {
			t.Fatal(err)
		}
		nightly := schedule.NewTimes(parsed, location)
		from := time.Date(rapid.IntRange(2020, 2030).Draw(t, "year"), 1, 1, 12, 0, 0, 0, location)
		due := nightly.Next(from)
		for at, day := from, from.Day(); at.Before(from.AddDate(1, 0, 0)); {
			// To two hours before it is due, rather than by the minute all day.
			at = at.Add(time.Minute)
			if at.Day() == day {
				if ahead := due.Sub(at) - 2*time.Hour; ahead > 0 {
					at = at.Add(ahead.Truncate(time.Minute))
				}
				continue
			}
			for 60*at.Hour()+at.Minute() < 60*hour+minute {
				at = at.Add(time.Minute)
			}
			day = at.Day()
			if !due.Equal(at) {
				t.Fatalf("%02d:%02d in %s is due at %v, want %v", hour, minute, name, due, at)
			}
			due = nightly.Next(due)
		}
	})
}

// A schedule of every hour never waits longer than its minutes say.
func TestHourlyNeverWaitsLonger(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "UTC"}).Draw(t, "zone")
		location, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		step := rapid.SampledFrom([]int{5, 10, 15, 20, 30, 60}).Draw(t, "step")
		expression := fmt.Sprintf("%d/%d * * * *", rapid.IntRange(0, step-1).Draw(t, "first"), step)
		parsed, err := pipeline.ParseCron(expression, location)
		if err != nil {
			t.Fatal(err)
		}
		all := schedule.NewTimes(parsed, location)
		// The days around each change of the clock, or some days where there is none.
		at := time.Date(rapid.IntRange(2020, 2030).Draw(t, "year"), 1, 1, 0, 0, 0, 0, location)
		for range 3 {
			if _, change := at.ZoneBounds(); !change.IsZero() {
				at = change.AddDate(0, 0, -1)
			}
			due := all.Next(at)
			for at = at.AddDate(0, 0, 3); due.Before(at); {
				next := all.Next(due)
				if wait := next.Sub(due); wait <= 0 || wait > time.Duration(step)*time.Minute {
					t.Fatalf("%s in %s waits %v from %v to %v", expression, name, wait, due, next)
				}
				due = next
			}
		}
	})
}
