// Package yamlfile reads a YAML file strictly, and finds all of its mistakes
// in one go: each with its place, the path of keys that leads there, and the
// nearest right name. A caller takes the document apart with Value and Mapping
// and asks Err at the end. The package must never guess: what it does not
// understand is a problem, not a default.
package yamlfile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// MaxBytes is the size up to which a file is read. The largest sensible
// pipeline is a few dozen kilobytes: what is larger is another kind of file.
const MaxBytes = 1 << 20

// Read returns the contents of a file, which may hold MaxBytes at most.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("read %s: larger than %d bytes, so this is no configuration file", path, MaxBytes)
	}
	return text, nil
}

// Blank says whether a file holds nothing but comments. Parse reports such a
// file; for a file that may be left out it is the same as none.
func Blank(text []byte) bool {
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

// Document is a file that is being taken apart, with the problems found so far.
type Document struct {
	file     string
	lines    []string
	root     *yaml.Node
	problems []Problem
}

// Parse reads text as YAML. A document that is no YAML has one problem and an
// empty root, so that the caller need not tell the cases apart: it decodes and
// then asks Err.
func Parse(file string, text []byte) *Document {
	d := &Document{file: file, lines: strings.Split(string(text), "\n")}
	if line, column, bad := firstInvalid(d.lines); bad {
		d.Report(Pos{line, column}, "", "this is no plain UTF-8 text: save the file as UTF-8, without control characters")
		return d
	}
	var documents []yaml.Node
	if err := yaml.Load(text, &documents, yaml.WithAllDocuments()); err != nil {
		d.reportSyntax(err)
		return d
	}
	switch {
	case len(documents) == 0 || len(documents[0].Content) == 0:
		d.Report(Pos{1, 1}, "", "the file is empty")
	case len(documents) > 1:
		second := documents[1]
		d.Report(Pos{second.Line, second.Column}, "", `a file holds one document: remove this "---" and what follows it`)
	default:
		d.root = documents[0].Content[0]
	}
	return d
}

// Root is the value that the whole file holds.
func (d *Document) Root() Value {
	return Value{doc: d, node: d.root}
}

// Report records a problem at a place that the caller knows, with the path of
// keys that leads there.
func (d *Document) Report(at Pos, path, format string, args ...any) {
	d.problems = append(d.problems, d.Problem(at, path, format, args...))
}

// Problem makes a problem of this file without recording it, such as a warning.
func (d *Document) Problem(at Pos, path, format string, args ...any) Problem {
	return Problem{File: d.file, Line: at.Line, Column: at.Column, Path: path, Message: fmt.Sprintf(format, args...)}
}

// Err is an *Error that lists all the problems in file order, or nil where
// there are none.
func (d *Document) Err() error {
	if len(d.problems) == 0 {
		return nil
	}
	sorted := slices.Clone(d.problems)
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{Problems: slices.Compact(sorted)}
}

// reportSyntax records what the parser could not read.
func (d *Document) reportSyntax(err error) {
	var syntax *yaml.LoadError
	if !errors.As(err, &syntax) || syntax.Mark.Line == 0 {
		d.Report(Pos{1, 1}, "", "this is no valid YAML: %v", err)
		return
	}
	at := Pos{syntax.Mark.Line, syntax.Mark.Column}
	d.Report(at, "", "this is no valid YAML: %s", d.explain(at, syntax.Message))
}

// explain puts the parser's message for the mistakes people make most into
// plain words; any other message stays as it is.
func (d *Document) explain(at Pos, message string) string {
	line := ""
	if at.Line <= len(d.lines) {
		line = d.lines[at.Line-1]
	}
	if indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.Contains(indent, "\t") {
		return "a tab indents this line; use spaces"
	}
	// The parser quotes the name, which is a secret that begins with an asterisk as likely as not.
	if strings.HasPrefix(message, "unknown anchor") {
		return "an alias (*name) stands here, but no anchor (&name) of its name: put a text that begins with an asterisk in quotes"
	}
	switch message {
	case "mapping values are not allowed in this context":
		return `a colon is not expected here: check the indentation of this line and the one above, and put a text that holds ": " in quotes`
	case "did not find expected key", "did not find expected '-' indicator":
		return "this line does not fit what stands above it: check its indentation (" + message + ")"
	case "found unexpected end of stream":
		return "a quote is opened but never closed"
	}
	return message
}

// firstInvalid finds the first byte that YAML allows in no text.
func firstInvalid(lines []string) (line, column int, bad bool) {
	for i, text := range lines {
		column = 0
		for at, r := range text {
			column++
			if r == utf8.RuneError && !strings.HasPrefix(text[at:], "\uFFFD") || r < ' ' && r != '\t' && r != '\r' || r == 0x7f {
				return i + 1, column, true
			}
		}
	}
	return 0, 0, false
}
