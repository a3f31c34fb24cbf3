package state

import "fmt"

// Counts says where rows ended. The same set of counts stands on runs, steps and chunks.
type Counts struct {
	Read        int64 `json:"rows_read" db:"rows_read"`
	Loaded      int64 `json:"rows_loaded" db:"rows_loaded"`
	Failed      int64 `json:"rows_failed" db:"rows_failed"`
	Unprocessed int64 `json:"rows_unprocessed" db:"rows_unprocessed"`
	Rejected    int64 `json:"rows_rejected" db:"rows_rejected"`
	Held        int64 `json:"rows_held" db:"rows_held"`
	Unchanged   int64 `json:"rows_unchanged" db:"rows_unchanged"`
}

// Settled is the number of rows whose end is known.
func (c Counts) Settled() int64 {
	return c.Loaded + c.Failed + c.Unprocessed + c.Rejected + c.Held + c.Unchanged
}

// NotLoaded is the number of rows that stand in the reconciliation table.
func (c Counts) NotLoaded() int64 { return c.Failed + c.Unprocessed + c.Rejected + c.Held }

// Balanced reports whether every row read has exactly one end (invariant I1).
func (c Counts) Balanced() bool { return c.Read == c.Settled() }

// Plus adds two sets of counts.
func (c Counts) Plus(o Counts) Counts {
	return Counts{
		Read: c.Read + o.Read, Loaded: c.Loaded + o.Loaded, Failed: c.Failed + o.Failed,
		Unprocessed: c.Unprocessed + o.Unprocessed, Rejected: c.Rejected + o.Rejected,
		Held: c.Held + o.Held, Unchanged: c.Unchanged + o.Unchanged,
	}
}

func (c Counts) String() string {
	return fmt.Sprintf("read %d = loaded %d + failed %d + unprocessed %d + rejected %d + held %d + unchanged %d",
		c.Read, c.Loaded, c.Failed, c.Unprocessed, c.Rejected, c.Held, c.Unchanged)
}
