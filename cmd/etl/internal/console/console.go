// Package console is how the commands speak to a person: tables, numbers,
// colours and the progress of a run. It must never decide anything, and what it
// prints is for eyes only; scripts read the JSON of the commands.
package console

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Width returns the width of the terminal that w writes to; ok is false when w
// is no terminal.
func Width(w io.Writer) (columns int, ok bool) {
	file, isFile := behind(w).(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(file.Fd()))
	if err != nil || columns <= 0 {
		columns = 80
	}
	return columns, true
}

// Interactive reports whether r is a terminal, where somebody can be asked.
func Interactive(r io.Reader) bool {
	file, ok := r.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// The sequences of [Paint].
const (
	good  = "\x1b[32m"
	warn  = "\x1b[33m"
	bad   = "\x1b[31m"
	bold  = "\x1b[1m"
	plain = "\x1b[0m"
)

// Paint colours text, or leaves it alone.
type Paint struct{ On bool }

// Good is for what went well.
func (p Paint) Good(s string) string { return p.wrap(good, s) }

// Warn is for what somebody should look at.
func (p Paint) Warn(s string) string { return p.wrap(warn, s) }

// Bad is for what failed.
func (p Paint) Bad(s string) string { return p.wrap(bad, s) }

// Bold is for headings.
func (p Paint) Bold(s string) string { return p.wrap(bold, s) }

func (p Paint) wrap(code, s string) string {
	if !p.On || s == "" {
		return s
	}
	return code + s + plain
}
