package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/project"
	"bulkhead/internal/yamlfile"
)

type validateOptions struct {
	files    []string
	withJSON bool
}

func newValidateCmd(a *app) *cobra.Command {
	var opts validateOptions
	cmd := &cobra.Command{
		Use:   "validate [FILE...]",
		Short: "Check files, without a connection",
		Long: `Check etl.yaml and pipeline files, without a connection: all mistakes at once, each
with file, line and column. FILE is a file or the name of a pipeline; without
one, all pipelines of the project are checked.

Exit codes: 0 no mistakes; 2 some.`,
		Example: `  etl validate
  etl validate crm-nightly pipelines/products.yaml
  etl validate --json`,
		Args:              wants("[FILE]..."),
		ValidArgsFunction: a.pipelineNames,
		RunE: func(_ *cobra.Command, args []string) error {
			opts.files = args
			return runValidate(a, opts)
		},
	}
	addJSON(cmd, &opts.withJSON)
	return cmd
}

// checkedFile is what was found in one file.
type checkedFile struct {
	File     string        `json:"file"`
	Pipeline string        `json:"pipeline,omitempty"`
	Steps    int           `json:"steps,omitempty"`
	Valid    bool          `json:"valid"`
	Problems []problemView `json:"problems"`
	Warnings []problemView `json:"warnings"`
}

type problemView struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
}

func (p problemView) String() string {
	return yamlfile.Problem{File: p.File, Line: p.Line, Column: p.Column, Path: p.Path, Message: p.Message}.String()
}

// asWarning is the problem on one line that says it is none to mend.
func (p problemView) asWarning() string {
	if p.Path == "" {
		p.Message = "warning: " + p.Message
	} else {
		p.Path = "warning: " + p.Path
	}
	return p.String()
}

func problemViews(problems []yamlfile.Problem) []problemView {
	views := []problemView{}
	for _, p := range problems {
		views = append(views, problemView{shortPath(p.File), p.Line, p.Column, p.Path, p.Message})
	}
	return views
}

func runValidate(a *app, opts validateOptions) error {
	checked, err := validateAll(a, opts.files)
	if err != nil {
		return err
	}
	valid := true
	for _, c := range checked {
		valid = valid && c.Valid
	}
	if opts.withJSON {
		view := struct {
			Valid bool          `json:"valid"`
			Files []checkedFile `json:"files"`
		}{valid, list(checked)}
		if err := a.printJSON(view); err != nil {
			return err
		}
	} else {
		printChecked(a, checked)
	}
	if !valid {
		return &doneError{exitUsage}
	}
	return nil
}

// validateAll checks etl.yaml and the named files, or all of the project's.
func validateAll(a *app, names []string) ([]checkedFile, error) {
	var checked []checkedFile
	var dir string
	if err := checkFolder(a.dir); err != nil {
		return nil, err
	}
	p, err := project.Load(a.dir, a.env)
	var wrong *yamlfile.Error
	switch {
	case errors.As(err, &wrong):
		checked = append(checked, checkedFile{File: shortPath(wrong.Problems[0].File), Problems: problemViews(wrong.Problems), Warnings: []problemView{}})
		dir = filepath.Dir(wrong.Problems[0].File)
	case err != nil:
		return nil, asUsage(err)
	default:
		dir = p.Dir
		if p.File != "" {
			checked = append(checked, checkedFile{File: shortPath(p.File), Valid: true, Problems: []problemView{}, Warnings: []problemView{}})
		}
	}
	files, err := filesToCheck(dir, names)
	if err != nil {
		return nil, err
	}
	named := map[string]string{}
	for _, file := range files {
		file = shortPath(file)
		c, err := checkFile(file)
		if err != nil {
			return nil, err
		}
		if first, taken := named[c.Pipeline]; taken && c.Pipeline != "" {
			c.Valid = false
			c.Problems = append(c.Problems, problemView{File: file, Path: "name", Message: fmt.Sprintf("%s is named %q too; runs and failed records are kept by this name", first, c.Pipeline)})
		}
		named[c.Pipeline] = file
		checked = append(checked, c)
	}
	return checked, nil
}

func filesToCheck(dir string, names []string) ([]string, error) {
	if len(names) == 0 {
		files, err := pipeline.List(filepath.Join(dir, pipeline.Folder))
		if err == nil && len(files) == 0 {
			err = &usageError{err: fmt.Errorf("there are no pipelines in %s", filepath.Join(dir, pipeline.Folder)), hint: "\"etl init\" writes one to start from."}
		}
		return files, err
	}
	var files []string
	for _, name := range names {
		if filepath.Base(name) == project.File {
			continue // checked already, with the project
		}
		file, err := pipeline.Find(dir, name)
		if err != nil {
			return nil, asUsage(err)
		}
		files = append(files, file)
	}
	return files, nil
}

func checkFile(file string) (checkedFile, error) {
	c := checkedFile{File: file, Problems: []problemView{}, Warnings: []problemView{}}
	p, err := pipeline.Load(file)
	var wrong *yamlfile.Error
	switch {
	case errors.As(err, &wrong):
		c.Problems = problemViews(wrong.Problems)
	case err != nil:
		return c, asUsage(err)
	default:
		c.Valid, c.Pipeline, c.Steps, c.Warnings = true, p.Name, len(p.Steps), problemViews(p.Warnings)
	}
	return c, nil
}

// shortPath is a path as seen from the working directory, where that is shorter.
func shortPath(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	relative, err := filepath.Rel(here, path)
	if err != nil || len(relative) > len(path) {
		return path
	}
	return relative
}

func printChecked(a *app, checked []checkedFile) {
	paint := a.paint(a.stdout)
	mistakes := int64(0)
	for _, c := range checked {
		switch {
		case c.Valid && c.Steps > 0:
			a.printf("%s %s: pipeline %q, %s\n", paint.Good("✓"), c.File, c.Pipeline, console.Plural(int64(c.Steps), "step"))
		case c.Valid:
			a.printf("%s %s\n", paint.Good("✓"), c.File)
		default:
			a.printf("%s %s\n", paint.Bad("✗"), c.File)
		}
		for _, p := range c.Problems {
			a.printf("%s\n", p)
			mistakes++
		}
		for _, w := range c.Warnings {
			a.printf("%s\n", w.asWarning())
		}
	}
	if mistakes > 0 {
		a.printf("\n%s.\n", console.Plural(mistakes, "mistake"))
	}
}
