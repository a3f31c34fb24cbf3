package pipeline

import (
	"errors"
	"fmt"
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
	Times    cron.Schedule  // the parsed Cron, in Location
	Location *time.Location // of Timezone
	Pos      Pos
}

// schedule decodes when a pipeline runs.
func (d *decoder) schedule(v yamlfile.Value) *Schedule {
	if !v.Exists() {
		return nil
	}
	m := v.Mapping()
	s := &Schedule{Pos: v.Pos(), Timezone: "UTC", Location: time.UTC, Overlap: OverlapSkip}
	expression := m.Require("cron", `when to run, such as "0 2 * * *" for two o'clock every night`)
	s.Cron = expression.NonEmpty()
	if zone := m.Get("timezone"); zone.Exists() {
		d.timezone(s, zone)
	}
	if overlap := m.Get("overlap"); overlap.Exists() {
		s.Overlap = oneOf(overlap, OverlapSkip, OverlapQueue)
	}
	m.Close()
	if s.Cron != "" {
		times, err := ParseCron(s.Cron, s.Location)
		if err != nil {
			expression.Problem("%v", err)
		}
		s.Times = times
	}
	d.warn(v, `"etl run" does not act on the schedule yet: start the pipeline from cron or another scheduler`)
	return s
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
	// Any instant will do to ask whether a time ever comes.
	if times.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, in)).IsZero() {
		return nil, fmt.Errorf("%q never comes: there is no such date", expression)
	}
	return times, nil
}
