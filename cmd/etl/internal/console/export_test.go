package console

import (
	"time"

	"bulkhead/internal/run"
)

// NewLines gives tests the plain progress without its clock.
func NewLines(emit func(run.Counts, float64, string)) func(time.Time, []run.Counts) {
	return newLines(emit).update
}

// Describe is describe.
func Describe(c run.Counts, rate float64, width int) string { return describe(c, rate, width) }
