package console

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Column describes a column of a [Table].
type Column struct {
	Title string
	Right bool // for numbers
	Max   int  // characters before the rest is cut off; 0: no limit
	Least int  // characters that are left of it on a terminal too narrow for the table; 0: all
}

// Left returns a column for text.
func Left(title string) Column { return Column{Title: title} }

// Right returns a column for numbers.
func Right(title string) Column { return Column{Title: title, Right: true} }

// Cut returns a column for text of which limit characters are enough.
func Cut(title string, limit int) Column { return Column{Title: title, Max: limit} }

// Fit returns a column for text of which limit characters are enough, and that
// is cut to no less than least where the lines would be too long.
func Fit(title string, least, limit int) Column {
	return Column{Title: title, Max: limit, Least: least}
}

// noTerminal is how long lines become where there is no terminal to fit.
const noTerminal = 100

// Table is rows under headings. The zero value is not usable; see [NewTable].
type Table struct {
	columns []Column
	configs []table.ColumnConfig
	widest  []int // the cells of each column, its title included
	writer  table.Writer
}

// NewTable returns an empty table.
func NewTable(columns ...Column) *Table {
	t := &Table{columns: columns, writer: table.NewWriter(), widest: make([]int, len(columns))}
	header := make(table.Row, len(columns))
	t.configs = make([]table.ColumnConfig, len(columns))
	for i, c := range columns {
		header[i] = c.Title
		t.widest[i] = text.StringWidthWithoutEscSequences(c.Title)
		t.configs[i] = table.ColumnConfig{Number: i + 1}
		if c.Right {
			t.configs[i].Align, t.configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
	}
	t.writer.AppendHeader(header)
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatUpper
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.writer.SetStyle(style)
	t.writer.SuppressTrailingSpaces()
	return t
}

// Row adds a row. Counts are written with commas; line breaks become spaces.
func (t *Table) Row(cells ...any) {
	row := make(table.Row, len(cells))
	for i, cell := range cells {
		s := t.cell(i, cell)
		if i < len(t.widest) {
			t.widest[i] = max(t.widest[i], text.StringWidthWithoutEscSequences(s))
		}
		row[i] = s
	}
	t.writer.AppendRow(row)
}

func (t *Table) cell(i int, cell any) string {
	switch v := cell.(type) {
	case int64:
		return Count(v)
	case int:
		return Count(int64(v))
	case *string:
		if v == nil {
			return ""
		}
		cell = *v
	case Painted:
		return string(v)
	}
	s := OneLine(fmt.Sprint(cell))
	if i < len(t.columns) && t.columns[i].Max > 0 {
		s = Shorten(s, t.columns[i].Max)
	}
	return s
}

// Painted is a cell that is written as it is, escape sequences of [Paint]
// included: for texts of our own only.
type Painted string

// Len is how many rows the table has.
func (t *Table) Len() int { return t.writer.Length() }

// Render writes the table, fitted to the terminal that w is.
func (t *Table) Render(w io.Writer) {
	width, ok := Width(w)
	if !ok {
		width = noTerminal
	}
	t.fit(width)
	t.writer.SetColumnConfigs(t.configs)
	_, _ = io.WriteString(w, t.writer.Render()+"\n")
}

// fit squeezes the columns that allow it, the last first, until lines have no
// more than width characters.
func (t *Table) fit(width int) {
	over := -width
	for i, n := range t.widest {
		if i > 0 {
			over += len("  ")
		}
		over += n
	}
	for i := len(t.columns) - 1; i >= 0 && over > 0; i-- {
		least := t.columns[i].Least
		if least == 0 || t.widest[i] <= least {
			continue
		}
		to := max(t.widest[i]-over, least)
		over -= t.widest[i] - to
		t.configs[i].WidthMax, t.configs[i].WidthMaxEnforcer = to, Shorten
	}
}

// Shorten cuts s to at most limit characters.
func Shorten(s string, limit int) string {
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	return string(runes[:limit-1]) + "…"
}
