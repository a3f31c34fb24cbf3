package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteTable writes the figures for a terminal.
func (r *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ITEM\tWHAT\tMEASURED\tFLOOR\tRATIO\tTARGET\tMET")
	for _, f := range r.Figures {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Item, f.What, f.measured(), f.floor(), f.ratio(), f.target(), f.met())
	}
	return t.Flush()
}

func (f Figure) measured() string { return number(f.Value, f.Unit) }

func (f Figure) floor() string {
	if f.Floor == 0 {
		return ""
	}
	return number(f.Floor, f.Unit)
}

func (f Figure) ratio() string {
	if f.Floor == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", f.Ratio())
}

func (f Figure) target() string {
	if f.Target == nil {
		return ""
	}
	sign := map[How]string{AtMost: "≤ ", AtLeast: "≥ ", Exactly: "= "}
	return sign[f.Target.How] + f.bound()
}

// bound is that of the ratio where there is a floor.
func (f Figure) bound() string {
	if f.Floor > 0 {
		return fmt.Sprintf("%.2f", f.Target.Bound)
	}
	return number(f.Target.Bound, f.Unit)
}

func (f Figure) met() string {
	switch {
	case f.Target == nil:
		return ""
	case f.Met():
		return "yes"
	}
	return "no"
}

func number(v float64, unit string) string {
	text := fmt.Sprintf("%.2f", v)
	if v >= 100 || v == float64(int64(v)) {
		text = fmt.Sprintf("%.0f", v)
	}
	if unit == "" {
		return text
	}
	return text + " " + unit
}
