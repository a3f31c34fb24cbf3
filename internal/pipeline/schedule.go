package pipeline

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"bulkhead/internal/yamlfile"
)

// Schedule is when a pipeline runs by itself.
type Schedule struct {
	Cron     string         // five fields, or @daily and its kin, or "@every 15m"
	Timezone string         // an IANA name; UTC where the file has none
	Overlap  Overlap        // OverlapSkip where the file has none
	CatchUp  CatchUp        // CatchUpLatest where the file has none
	Jitter   time.Duration  // each run begins up to this much later
	Times    cron.Schedule  // the parsed Cron; what it means when clocks change is package schedule's
	Location *time.Location // of Timezone
	Pos      Pos
}

// schedule decodes when a pipeline runs.
func (d *decoder) schedule(v yamlfile.Value) *Schedule {
	if !v.Exists() {
		return nil
	}
	m := v.Mapping()
	s := &Schedule{Pos: v.Pos(), Timezone: "UTC", Location: time.UTC, Overlap: OverlapSkip, CatchUp: CatchUpLatest}
	expression := m.Require("cron", `when to run, such as "0 2 * * *" for two o'clock every night`)
	s.Cron = expression.NonEmpty()
	if zone := m.Get("timezone"); zone.Exists() {
		d.timezone(s, zone)
	}
	if overlap := m.Get("overlap"); overlap.Exists() {
		s.Overlap = oneOf(overlap, OverlapSkip, OverlapQueue)
	}
	if catchUp := m.Get("catch_up"); catchUp.Exists() {
		s.CatchUp = oneOf(catchUp, CatchUpLatest, CatchUpAll, CatchUpNone)
	}
	jitter := m.Get("jitter")
	s.Jitter = jitter.Duration(0, 0, MaxJitter)
	m.Close()
	if s.Cron != "" {
		times, err := ParseCron(s.Cron, s.Location)
		if err != nil {
			expression.Problem("%v", err)
		}
		s.Times = times
	}
	if s.Jitter > 0 && s.Times != nil {
		if shortest := shortestWait(s.Times); s.Jitter >= shortest {
			jitter.Problem("must be less than the %s that can lie between two runs of %q", yamlfile.InWords(shortest), s.Cron)
		}
	}
	return s
}

// shortestWait is the shortest time between two runs, as a good many of them tell.
func shortestWait(times cron.Schedule) time.Duration {
	const many = 500
	shortest := time.Duration(math.MaxInt64)
	at := times.Next(anyTime())
	for range many {
		next := times.Next(at)
		if next.IsZero() {
			break
		}
		shortest = min(shortest, next.Sub(at))
		at = next
	}
	return shortest
}

func (d *decoder) timezone(s *Schedule, v yamlfile.Value) {
	s.Timezone = v.NonEmpty()
	if s.Timezone == "" {
		return
	}
	location, err := time.LoadLocation(s.Timezone)
	if err != nil || s.Timezone == "Local" {
		v.Problem("%q is no time zone: write a name such as Europe/Berlin, America/New_York or UTC", s.Timezone)
		return
	}
	s.Location = location
}

// ParseCron parses a cron expression for a time zone. It takes the standard
// five fields and descriptors, and refuses what the cron library lets through
// or trips over: a zone inside the expression, an interval that is not
// positive, and a date that never comes.
func ParseCron(expression string, in *time.Location) (cron.Schedule, error) {
	expression = strings.TrimSpace(expression)
	if strings.HasPrefix(expression, "TZ=") || strings.HasPrefix(expression, "CRON_TZ=") {
		return nil, errors.New("write the time zone under timezone:, not into the cron expression")
	}
	if every, ok := strings.CutPrefix(expression, "@every "); ok {
		if d, err := time.ParseDuration(every); err == nil && d < time.Minute {
			return nil, fmt.Errorf("%q is too often: an interval is at least 1m", expression)
		}
	}
	times, err := cron.ParseStandard(expression)
	if err != nil {
		return nil, fmt.Errorf("%q is no cron expression: it has five fields (minute, hour, day of month, month, day of week with Sunday as 0): %w", expression, err)
	}
	if fields, ok := times.(*cron.SpecSchedule); ok {
		fields.Location = in
	}
	if times.Next(anyTime()).IsZero() {
		return nil, fmt.Errorf("%q never comes: there is no such date", expression)
	}
	return times, nil
}

// anyTime is an instant from which to ask what a schedule is like.
func anyTime() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }
