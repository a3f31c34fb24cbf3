package preflight

import (
	"fmt"

	"bulkhead/internal/extract"
)

// checkWatermark checks that the order of the column that a step goes by says what changed later, and
// that its overlap is of the same kind.
func (s *stepCheck) checkWatermark(columns []extract.ColumnInfo) {
	changes := s.step.Changes
	if changes == nil || changes.By == "" {
		return
	}
	for _, column := range columns {
		if column.Name != changes.By {
			continue
		}
		mark, err := extract.NewWatermark(s.projection.Query, s.projection.ColumnExpr(changes.By), column)
		if err != nil {
			s.fault(s.step.ChangesPos, "", fmt.Sprintf("changes: %v", err),
				"take a timestamptz, timestamp, date, whole number or xid8 that grows with every change, cast it in the query, or use by: hash")
			return
		}
		s.plan.Watermark = mark
		s.checkOverlap(mark, column)
	}
}

func (s *stepCheck) checkOverlap(mark *extract.Watermark, column extract.ColumnInfo) {
	changes := s.step.Changes
	message, fix := "", ""
	switch {
	case !mark.TakesOverlap() && (changes.Overlap > 0 || changes.OverlapCount > 0):
		message, fix = "transaction ids need no overlap", "remove it"
	case mark.Counts() && changes.Overlap > 0:
		message, fix = fmt.Sprintf("column %q is a whole number, so an overlap of %v means nothing", column.Name, changes.Overlap), "write how many numbers to read again, such as overlap: 1000"
	case mark.Timed() && changes.OverlapCount > 0:
		message, fix = fmt.Sprintf("column %q is a %s, so an overlap of %d has no unit", column.Name, column.TypeName, changes.OverlapCount), "write a time, such as overlap: 10m"
	default:
		return
	}
	s.fault(s.step.ChangesPos, "", "changes: "+message, fix)
}
