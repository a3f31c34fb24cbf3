package console

import (
	"fmt"
	"strings"
	"time"

	"bulkhead/internal/run"
)

// window is how far back the rate looks: long enough to smooth over chunks,
// short enough to follow an org that slows down.
const window = 30 * time.Second

// meter tells how fast a step goes.
type meter struct {
	samples []sample
}

type sample struct {
	at        time.Time
	processed int64
}

// done is how many rows of the step have come to their end in the org, or never
// went there.
func done(c run.Counts) int64 { return c.Processed + c.Rejected }

// rate notes a reading and returns rows per second; 0 while it is not known.
// Only what the org has processed counts: rows that were rejected here say
// nothing of how fast it is.
func (m *meter) rate(now time.Time, c run.Counts) float64 {
	m.samples = append(m.samples, sample{now, c.Processed})
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) >= window {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	took := now.Sub(first.at).Seconds()
	if took < 1 || c.Processed <= first.processed {
		return 0
	}
	return float64(c.Processed-first.processed) / took
}

// left is how long the step still takes at this rate; ok is false while nobody
// can know, because rows are still being read or nothing moves.
func left(c run.Counts, rate float64) (d time.Duration, ok bool) {
	if !c.Extracted || rate <= 0 {
		return 0, false
	}
	rest := max(c.Read-done(c), 0)
	return time.Duration(float64(rest) / rate * float64(time.Second)), true
}

// wholeSeconds is for times that nobody knows to a tenth of a second.
func wholeSeconds(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%ds", int(d.Round(time.Second).Seconds()))
	}
	return Duration(d)
}

// describe says where a step stands in at most width characters, the most
// important first; width 0 means no limit.
func describe(c run.Counts, rate float64, width int) string {
	total := Count(c.Read)
	if !c.Extracted {
		total += "+"
	}
	parts := []string{fmt.Sprintf("%s of %s", Count(done(c)), total)}
	if c.Failed > 0 {
		parts = append(parts, Count(c.Failed)+" failed")
	}
	if d, ok := left(c, rate); ok && !c.Finished {
		parts = append(parts, wholeSeconds(d)+" left")
	}
	if c.Finished {
		parts = append(parts, "in "+Duration(c.Elapsed))
	}
	if rate > 0 && !c.Finished {
		parts = append(parts, Count(int64(rate))+"/s")
	}
	if c.Rejected > 0 {
		parts = append(parts, Count(c.Rejected)+" rejected")
	}
	parts = append(parts, Count(c.Uploaded)+" uploaded", Count(c.Read)+" read")
	text := parts[0]
	for _, part := range parts[1:] {
		if width > 0 && len([]rune(text))+len(", ")+len(part) > width {
			break
		}
		text += ", " + part
	}
	return text
}

// name pads a step's name, so that the steps stand below each other.
func name(s string, width int) string {
	s = Shorten(s, width)
	return s + strings.Repeat(" ", width-len([]rune(s)))
}
