package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/internal/pipeline"
	"bulkhead/internal/project"
)

//go:embed templates
var templates embed.FS

// ignored is what git must not keep.
const ignored = ".env"

type initOptions struct {
	dir      string
	withJSON bool
}

func newInitCmd(a *app) *cobra.Command {
	opts := initOptions{dir: "."}
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a project to start from",
		Long: `Write a project to start from: etl.yaml, a pipeline that runs as it is,
.env.example, and an entry in .gitignore. Files that exist are left alone.`,
		Example: `  etl init my-project
  cd my-project && etl validate`,
		Args: wants("[DIR]"),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				opts.dir = args[0]
			}
			return runInit(a, opts)
		},
	}
	addJSON(cmd, &opts.withJSON)
	return cmd
}

// initialized says which files a project has got.
type initialized struct {
	Dir     string   `json:"dir"`
	Created []string `json:"created"`
	Kept    []string `json:"kept"` // existed before
}

func runInit(a *app, opts initOptions) error {
	done := initialized{Dir: opts.dir, Created: []string{}, Kept: []string{}}
	for _, file := range [][2]string{
		{"etl.yaml", project.File},
		{"example.yaml", filepath.Join(pipeline.Folder, "example.yaml")},
		{"env.example", ".env.example"},
	} {
		text, err := templates.ReadFile("templates/" + file[0])
		if err != nil {
			return fmt.Errorf("init: %w", err)
		}
		if err := done.note(file[1], writeNew(filepath.Join(opts.dir, file[1]), text)); err != nil {
			return err
		}
	}
	if err := done.note(".gitignore", ignore(filepath.Join(opts.dir, ".gitignore"))); err != nil {
		return err
	}
	if opts.withJSON {
		return a.printJSON(done)
	}
	for _, name := range done.Created {
		a.printf("wrote  %s\n", filepath.Join(opts.dir, name))
	}
	for _, name := range done.Kept {
		a.printf("kept   %s (exists)\n", filepath.Join(opts.dir, name))
	}
	step := 0
	next := func(command, why string) {
		step++
		a.printf("  %d. %s\n", step, strings.TrimSpace(fmt.Sprintf("%-32s %s", command, why)))
	}
	a.printf("\nNext:\n")
	if opts.dir != "." {
		next("cd "+shellQuote(opts.dir), "")
	}
	next("cp .env.example .env", "and fill it in")
	next("etl emulator", "in another terminal: an org to try with")
	next("etl doctor", "checks that all is there")
	next("etl plan example", "what a run would do")
	next("etl run example", "do it")
	return nil
}

// errKept says that a file was left as it is.
var errKept = errors.New("exists")

func (d *initialized) note(name string, err error) error {
	switch {
	case err == nil:
		d.Created = append(d.Created, name)
	case errors.Is(err, errKept):
		d.Kept = append(d.Kept, name)
	default:
		return fmt.Errorf("init: %w", err)
	}
	return nil
}

// writeNew writes a file that must not exist yet.
func writeNew(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return errKept
	}
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// ignore adds .env to a .gitignore, or makes one.
func ignore(path string) error {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if string(line) == ignored || string(line) == "/"+ignored {
			return errKept
		}
	}
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	return os.WriteFile(path, append(text, ignored+"\n"...), 0o644)
}
