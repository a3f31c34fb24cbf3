package bench

import "time"

// Report is what was measured.
type Report struct {
	Date     time.Time `json:"date"`
	Machine  Machine   `json:"machine"`
	Rows     int64     `json:"rows"`
	LongRows int64     `json:"long_rows"`
	Rounds   int       `json:"rounds"`
	Figures  []Figure  `json:"figures"`
	// Long is how the long load went; nil where there was none.
	Long *Long `json:"long,omitempty"`
}

// Machine is where it was measured.
type Machine struct {
	Cores  int   `json:"cores"`
	Memory int64 `json:"memory_bytes"` // 0: unknown
	// Load is the load average of the minute before the start; what others do on the
	// machine spoils the times. 0 where it is not known.
	Load     float64 `json:"load_average"`
	System   string  `json:"system"`
	Go       string  `json:"go"`
	Postgres string  `json:"postgres"`
}

// Figure is one thing that was measured.
type Figure struct {
	Item  string  `json:"item"`
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"` // s, MB, or what is counted
	// Floor is what it is held against, in the same unit; 0: nothing.
	Floor float64 `json:"floor,omitempty"`
	// Target bounds the ratio of the two, or the value where there is no floor.
	Target *Target `json:"target,omitempty"`
}

// Target is how much may be, or must be.
type Target struct {
	Bound float64 `json:"bound"`
	How   How     `json:"how"`
}

// How a target bounds.
type How string

// A bound is the most, the least, or what it has to be.
const (
	AtMost  How = "at most"
	AtLeast How = "at least"
	Exactly How = "exactly"
)

// Ratio is the value over the floor; 0 where there is none.
func (f Figure) Ratio() float64 {
	if f.Floor == 0 {
		return 0
	}
	return f.Value / f.Floor
}

// Met reports whether the target is reached. What has none is met.
func (f Figure) Met() bool {
	if f.Target == nil {
		return true
	}
	measured := f.Value
	if f.Floor > 0 {
		measured = f.Ratio()
	}
	switch f.Target.How {
	case AtLeast:
		return measured >= f.Target.Bound
	case Exactly:
		return measured == f.Target.Bound
	}
	return measured <= f.Target.Bound
}

func atMost(bound float64) *Target  { return &Target{bound, AtMost} }
func atLeast(bound float64) *Target { return &Target{bound, AtLeast} }
func exactly(bound float64) *Target { return &Target{bound, Exactly} }
