package timeline

import (
	"fmt"
	"time"
)

// Tick is a mark on the axis of time.
type Tick struct {
	At    time.Duration
	Label string
}

// Ticks are marks at round times, at most about n of them, the first at the start.
func (t *Timeline) Ticks(n int) []Tick {
	step := roundStep(t.Length, max(n, 1))
	var ticks []Tick
	for at := time.Duration(0); at <= t.Length; at += step {
		ticks = append(ticks, Tick{at, Clock(at)})
	}
	return ticks
}

// roundStep is the smallest round time of which n cover the length.
func roundStep(length time.Duration, n int) time.Duration {
	const ms, day = time.Millisecond, 24 * time.Hour
	for _, step := range []time.Duration{
		ms, 2 * ms, 5 * ms, 10 * ms, 20 * ms, 50 * ms, 100 * ms, 200 * ms, 500 * ms,
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	} {
		if step*time.Duration(n) >= length {
			return step
		}
	}
	return day * (1 + length/(day*time.Duration(n)))
}

// Clock writes a time on the axis: 0s, 250ms, 1.5s, 2m30s, 3h.
func Clock(d time.Duration) string {
	switch {
	case d == 0:
		return "0s"
	case d < time.Minute:
		return d.Round(time.Millisecond).String()
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0 && d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}

// short writes a time that was measured: to the millisecond below a second, to a tenth below a minute.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return Clock(d.Round(time.Millisecond))
	case d < time.Minute:
		return Clock(d.Round(100 * time.Millisecond))
	}
	return Clock(d.Round(time.Second))
}
