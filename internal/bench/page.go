package bench

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed page.md.tmpl
var pageTemplate string

// plotName is the file of the plot, beside the page.
const plotName = "performance-long.svg"

// WritePage writes the page, and beside it the plot of the long load, if there was
// one.
func (r *Report) WritePage(path string) error {
	if err := r.writePlot(filepath.Join(filepath.Dir(path), plotName)); err != nil {
		return fmt.Errorf("write the plot: %w", err)
	}
	var text strings.Builder
	if err := r.renderPage(&text); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

func (r *Report) writePlot(path string) error {
	if r.Long == nil {
		return nil
	}
	return os.WriteFile(path, r.Long.plot(), 0o644)
}

func (r *Report) renderPage(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{"count": count}).Parse(pageTemplate)
	if err != nil {
		return err
	}
	return t.Execute(w, struct {
		*Report
		Sections []pageSection
		Plot     string
		Extract  int64
	}{r, r.sections(), plotName, min(r.LongRows, extractRows)})
}

// pageSection is a part of the page.
type pageSection struct {
	section
	Figures []Figure
}

// sections are those of which something was measured.
func (r *Report) sections() []pageSection {
	var list []pageSection
	for _, s := range sections() {
		page := pageSection{section: s}
		for _, f := range r.Figures {
			if f.Item == s.Name {
				page.Figures = append(page.Figures, f)
			}
		}
		if len(page.Figures) > 0 {
			list = append(list, page)
		}
	}
	return list
}

// Targets is how many figures have one.
func (r *Report) Targets() int {
	n := 0
	for _, f := range r.Figures {
		if f.Target != nil {
			n++
		}
	}
	return n
}

// Missed are the figures whose target is not reached.
func (r *Report) Missed() []Figure {
	var missed []Figure
	for _, f := range r.Figures {
		if !f.Met() {
			missed = append(missed, f)
		}
	}
	return missed
}

// Row is a figure as a row of a table in Markdown.
func (f Figure) Row() string {
	return "| " + strings.Join([]string{f.What, f.measured(), f.floor(), f.ratio(), f.target(), f.met()}, " | ") + " |"
}

// Missing is a figure that misses its target, in words.
func (f Figure) Missing() string {
	measured := f.measured()
	if f.Floor > 0 {
		measured = "ratio " + f.ratio()
	}
	return fmt.Sprintf("%s (%s): %s, target %s", f.What, f.Item, measured, f.target())
}

// Kind is the machine in words.
func (m Machine) Kind() string {
	text := fmt.Sprintf("%d cores", m.Cores)
	if m.Memory > 0 {
		text += fmt.Sprintf(", %.0f GB of memory", float64(m.Memory)/(1<<30))
	}
	return text + ", " + m.System
}

// Busy reports whether others were at work on the machine.
func (m Machine) Busy() bool { return m.Load > float64(m.Cores)/2 }

// count prints thousands apart.
func count(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
