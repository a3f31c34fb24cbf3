package schedule

import (
	"time"

	"github.com/robfig/cron/v3"
)

// Times are the instants at which a schedule is due, in its time zone.
//
// An expression that names its hours ("30 2 * * *") is due once for every time
// of day that it names, whatever the clocks do: a time that the clocks jump
// over is due at the first instant after the jump, and one that comes twice is
// due the first time only. An expression of every hour ("*/15 * * * *") is due
// by what the clock shows, both times where an hour comes twice, and never
// waits longer than on any other day. "@every 6h" is due at the multiples of
// six hours since 1970 in UTC.
type Times struct {
	fields *cron.SpecSchedule // read as a wall clock without a zone; nil: every
	every  time.Duration
	zone   *time.Location
	hourly bool // of every hour
}

// allHours are the bits of every hour of a day.
const allHours = 1<<24 - 1

// NewTimes returns the times of a parsed expression in a zone.
func NewTimes(expression cron.Schedule, zone *time.Location) *Times {
	if constant, ok := expression.(cron.ConstantDelaySchedule); ok {
		return &Times{every: constant.Delay, zone: zone}
	}
	fields := *expression.(*cron.SpecSchedule)
	fields.Location = time.UTC
	return &Times{fields: &fields, zone: zone, hourly: fields.Hour&allHours == allHours}
}

// Next is the first instant after the given one at which the schedule is due;
// the zero time where there is none within years.
func (t *Times) Next(after time.Time) time.Time {
	switch {
	case t.fields == nil:
		every := int64(t.every / time.Second)
		return time.Unix((after.Unix()/every+1)*every, 0).In(t.zone)
	case t.hourly:
		return t.nextShown(after.In(t.zone))
	}
	return t.nextNamed(after.In(t.zone))
}

// nextNamed goes through the times of day that the expression names.
func (t *Times) nextNamed(after time.Time) time.Time {
	for wall := t.fields.Next(reading(after)); !wall.IsZero(); wall = t.fields.Next(wall) {
		if due := first(wall, t.zone); due.After(after) {
			return due
		}
	}
	return time.Time{}
}

// nextShown goes through the stretches of time between two changes of the clock,
// and finds where the clock shows what the expression says.
func (t *Times) nextShown(after time.Time) time.Time {
	for {
		wall := t.fields.Next(reading(after))
		if wall.IsZero() {
			return time.Time{}
		}
		due := after.Add(wall.Sub(reading(after)))
		_, change := after.ZoneBounds()
		if change.IsZero() || due.Before(change) {
			return due
		}
		change = change.In(t.zone)
		if t.shows(change) || t.overdue(change) {
			return change
		}
		after = change
	}
}

// shows reports whether the clock shows at an instant what the expression says.
func (t *Times) shows(at time.Time) bool {
	return t.fields.Next(reading(at).Add(-time.Second)).Equal(reading(at))
}

// overdue reports whether waiting on at a change of the clock would be longer
// than on other days, as where a clock goes back by half an hour.
func (t *Times) overdue(change time.Time) bool {
	before := reading(change.Add(-time.Second)).Add(time.Second)
	var last time.Time
	for wall := t.fields.Next(before.Add(-time.Hour - time.Second)); !wall.IsZero() && wall.Before(before); wall = t.fields.Next(wall) {
		last = wall
	}
	if last.IsZero() {
		return false
	}
	usual := t.fields.Next(last).Sub(last)
	now := reading(change)
	return usual <= time.Hour && before.Sub(last)+t.fields.Next(now).Sub(now) > usual
}

// reading is what the wall clock shows at an instant, as a time of UTC.
func reading(at time.Time) time.Time {
	return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), time.UTC)
}

// first is the first instant at which the wall clock of a zone shows a reading
// or, where it jumps over it, the instant of the jump.
func first(wall time.Time, zone *time.Location) time.Time {
	// Which side of a change this is on is not defined; the other side is looked at too.
	near := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), zone)
	start, end := near.ZoneBounds()
	if !start.IsZero() {
		before := start.Add(-time.Nanosecond).In(zone)
		switch earlier := before.Add(wall.Sub(reading(before))); {
		case earlier.Before(start):
			return earlier
		case reading(start.In(zone)).After(wall):
			return start.In(zone)
		}
	}
	if !reading(near).Equal(wall) && !end.IsZero() {
		return end.In(zone)
	}
	return near
}
