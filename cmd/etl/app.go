package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/nearest"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/profile"
	"bulkhead/internal/project"
	"bulkhead/internal/state"
)

// pace is how patiently a run waits; the zero value is what users get.
type pace struct {
	pollMin, pollMax, countersSettle, retryWait time.Duration
	tick                                        time.Duration // of "etl serve"
}

// app is what all commands share: the streams, the environment and the global
// flags. The streams take out what could steer a terminal; see [app.data] for
// what must stay as it is.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	raw            io.Writer // stdout as it is
	env            func(string) (string, bool)
	pace           pace

	dir                 string
	logLevel, logFormat string
	noColor             bool

	lines *console.Log // stderr, beside the progress bars
	log   *zap.Logger

	profile *profile.Profile // nil: none is written

	helpErr error // why the help that was asked for is not there
}

func newApp(inv invocation) *app {
	return &app{
		stdin: inv.stdin, stdout: console.NewCleaner(inv.stdout), stderr: console.NewCleaner(inv.stderr), raw: inv.stdout, env: inv.env, pace: inv.pace,
		dir: ".", lines: console.NewLog(inv.stderr), log: zap.NewNop(),
	}
}

// usualLevel is the annotation of a command whose log is at another level than warn where --log-level
// does not say.
const usualLevel = "log-level"

// prepare checks the global flags and makes the logger of a command.
func (a *app) prepare(cmd *cobra.Command) error {
	formats := []string{"console", "json"}
	if !slices.Contains(formats, a.logFormat) {
		return usagef("--log-format: want console or json, got %q", a.logFormat)
	}
	if a.logLevel == "" {
		a.logLevel = cmp.Or(cmd.Annotations[usualLevel], "warn")
		if a.logFormat == "json" {
			a.logLevel = "info"
		}
	}
	level, err := zapcore.ParseLevel(a.logLevel)
	if err != nil || level < zapcore.DebugLevel || level > zapcore.ErrorLevel {
		return usagef("--log-level: want debug, info, warn or error, got %q", a.logLevel)
	}
	core := zapcore.NewCore(a.encoder(), a.lines, level)
	if a.logFormat == "console" {
		core = readableCore{Core: core, lines: a.lines}
	}
	a.log = zap.New(core)
	return nil
}

func (a *app) encoder() zapcore.Encoder {
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.ISO8601TimeEncoder
	config.EncodeDuration = zapcore.StringDurationEncoder
	if a.logFormat == "json" {
		config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
		return zapcore.NewJSONEncoder(config)
	}
	config.EncodeLevel = zapcore.CapitalLevelEncoder
	return zapcore.NewConsoleEncoder(config)
}

// paint colours what goes to w, if that is a terminal and nobody objects.
func (a *app) paint(w io.Writer) console.Paint {
	_, terminal := console.Width(w)
	// See no-color.org: any value but the empty one.
	refused, _ := a.env("NO_COLOR")
	kind, _ := a.env("TERM")
	return console.Paint{On: terminal && !a.noColor && refused == "" && kind != "dumb"}
}

// printJSON prints a report for scripts.
func (a *app) printJSON(v any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(v)
	if err == nil {
		_, err = a.raw.Write(console.EscapeJSON(text.Bytes()))
	}
	if err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}

// data is where records go that a program will read: as they are, unless it is
// somebody's terminal.
func (a *app) data() io.Writer {
	if _, terminal := console.Width(a.raw); terminal {
		return a.stdout
	}
	return a.raw
}

// printf prints a line of a report for people.
func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.stdout, format, args...) }

// openProject reads etl.yaml and .env.
func (a *app) openProject() (*project.Project, error) {
	if err := checkFolder(a.dir); err != nil {
		return nil, err
	}
	p, err := project.Load(a.dir, a.env)
	return p, asUsage(err)
}

// checkFolder refuses a --dir that is no folder.
func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return usagef("--dir: %w", err)
	case !info.IsDir():
		return usagef("--dir: %s is no folder", dir)
	}
	return nil
}

func pipelineFolder(p *project.Project) string { return filepath.Join(p.Dir, pipeline.Folder) }

// loadPipeline finds and checks a pipeline, and passes its warnings on.
func (a *app) loadPipeline(p *project.Project, nameOrPath string) (*pipeline.Pipeline, error) {
	file, err := pipeline.Find(p.Dir, nameOrPath)
	if err != nil {
		return nil, asUsage(err)
	}
	loaded, err := pipeline.Load(file)
	if err != nil {
		return nil, asUsage(err)
	}
	for _, w := range loaded.Warnings {
		a.log.Warn(w.String())
	}
	return loaded, nil
}

// checkStep refuses the name of a step that the pipeline does not have.
func checkStep(p *pipeline.Pipeline, name string) error {
	if name == "" {
		return nil
	}
	var names []string
	for _, step := range p.Steps {
		if step.Name == name {
			return nil
		}
		names = append(names, step.Name)
	}
	e := &usageError{err: fmt.Errorf("--step: pipeline %q has no step %q", p.Name, name), hint: fmt.Sprintf("It has %s.", quoteAll(names))}
	if best, ok := nearest.Name(name, names); ok {
		e.hint = fmt.Sprintf("Did you mean %q?", best)
	}
	return e
}

func quoteAll(names []string) string {
	text := ""
	for i, name := range names {
		if i > 0 {
			text += ", "
		}
		text += strconv.Quote(name)
	}
	return text
}

// openState connects to the state database, whose schema it brings up to date.
func (a *app) openState(ctx context.Context) (*state.Store, error) {
	p, err := a.openProject()
	if err != nil {
		return nil, err
	}
	return openState(ctx, p)
}

func openState(ctx context.Context, p *project.Project) (*state.Store, error) {
	dsn, err := p.StateDSN()
	if err != nil {
		return nil, asUsage(err)
	}
	store, err := state.Open(ctx, dsn)
	if err != nil {
		return nil, connectError(project.DatabaseURL, dsn, err)
	}
	return store, nil
}

// schemaBehind reports whether the state schema lacks a migration.
func (a *app) schemaBehind(ctx context.Context) (bool, error) {
	p, err := a.openProject()
	if err != nil {
		return false, err
	}
	dsn, err := p.StateDSN()
	if err != nil {
		return false, err
	}
	list, err := state.Migrations(ctx, dsn)
	return slices.ContainsFunc(list, func(m state.MigrationStatus) bool { return !m.Applied }), err
}

// readID reads the number of a run or of a reconciliation row.
func readID(what, text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 {
		return 0, usagef("%s %q: want a number, as %q lists them", what, text, map[string]string{"run": "etl runs", "record": "etl failed list"}[what])
	}
	return id, nil
}

// notFound makes a mistake of the user of a number that nothing has.
func notFound(err error, is error, hint string) error {
	if errors.Is(err, is) {
		return &usageError{err: err, hint: hint}
	}
	return err
}
