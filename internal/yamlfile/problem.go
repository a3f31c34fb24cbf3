package yamlfile

import (
	"fmt"
	"strings"
)

// Pos is a place in a file. Line and Column count from 1; both are 0 where the
// place is not known. A column counts characters, not bytes.
type Pos struct {
	Line, Column int
}

// Problem is one mistake in a file, or one thing to know about it.
type Problem struct {
	File         string
	Line, Column int
	Path         string // where in the document, such as steps[0].fields.Name; empty for the file as a whole
	Message      string // a sentence that says what is wrong and what to do
}

// String is "file:line:column: path: message", the form editors can jump to.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path)
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Error is all the mistakes found in one file, in the order of the file.
type Error struct {
	Problems []Problem
}

// Error lists the problems, one a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
