package main

import (
	"fmt"
	"regexp"
	"strings"

	"go.uber.org/zap/zapcore"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/preflight"
	"bulkhead/internal/yamlfile"
)

// placed is a warning about a place in a file, with or without the word that
// says who found it.
var placed = regexp.MustCompile(`^(?:preflight: )?(.+?)(:\d+:\d+: )(.+)$`)

// placedCore writes warnings about a place in a file as compilers do, for people
// to read and editors to jump to; everything else goes to the log as it is.
type placedCore struct {
	zapcore.Core
	lines *console.Log
}

// With keeps the core around the one inside.
func (c placedCore) With(fields []zapcore.Field) zapcore.Core {
	return placedCore{c.Core.With(fields), c.lines}
}

// Check adds the core to those that write the entry.
func (c placedCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write writes one entry.
func (c placedCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	parts := placed.FindStringSubmatch(entry.Message)
	if entry.Level != zapcore.WarnLevel || parts == nil {
		return c.Core.Write(entry, fields)
	}
	_, err := fmt.Fprintf(c.lines, "%s%swarning: %s\n", shortPath(parts[1]), parts[2], parts[3])
	return err
}

// shortFindings are findings with their files as seen from the working directory.
func shortFindings(findings []preflight.Finding) []preflight.Finding {
	short := append([]preflight.Finding(nil), findings...)
	for i := range short {
		short[i].File = shortPath(short[i].File)
	}
	return short
}

// shortDrift is changes with their files as seen from the working directory.
func shortDrift(changes []preflight.Drift) []preflight.Drift {
	short := append([]preflight.Drift(nil), changes...)
	for i := range short {
		short[i].File = shortPath(short[i].File)
	}
	return short
}

// shortProblems lists mistakes, one a line, with their files as seen from the
// working directory.
func shortProblems(problems []yamlfile.Problem) string {
	lines := make([]string, len(problems))
	for i, p := range problems {
		p.File = shortPath(p.File)
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
