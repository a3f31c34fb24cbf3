package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.uber.org/zap/zapcore"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/preflight"
	"bulkhead/internal/run"
	"bulkhead/internal/yamlfile"
)

// placed is a warning about a place in a file, with or without the word that
// says who found it.
var placed = regexp.MustCompile(`^(?:preflight: )?(.+?)(:\d+:\d+: )(.+)$`)

// readableCore is the log of a terminal. It writes warnings about a place in a
// file as compilers do, for people to read and editors to jump to, and a chunk
// that halts as a line that leaves the reason to the summary; everything else
// goes to the log as it is.
type readableCore struct {
	zapcore.Core
	lines  *console.Log
	fields []zapcore.Field // those of the logger
}

// With keeps the core around the one inside.
func (c readableCore) With(fields []zapcore.Field) zapcore.Core {
	return readableCore{c.Core.With(fields), c.lines, slices.Concat(c.fields, fields)}
}

// Check adds the core to those that write the entry.
func (c readableCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write writes one entry.
func (c readableCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if entry.Message == run.ChunkHalted {
		return c.halted(fields)
	}
	parts := placed.FindStringSubmatch(entry.Message)
	if entry.Level != zapcore.WarnLevel || parts == nil {
		return c.Core.Write(entry, fields)
	}
	_, err := fmt.Fprintf(c.lines, "%s%swarning: %s\n", shortPath(parts[1]), parts[2], parts[3])
	return err
}

// halted says that a chunk cannot go on.
func (c readableCore) halted(fields []zapcore.Field) error {
	entry := zapcore.NewMapObjectEncoder()
	for _, field := range slices.Concat(c.fields, fields) {
		field.AddTo(entry)
	}
	f := entry.Fields
	_, err := fmt.Fprintf(c.lines, "etl: %v: chunk %v cannot go on; \"etl show %v\" says why\n", f["step"], f["chunk"], f["run_id"])
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
