package main

import (
	"bytes"
	"context"
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
	dir        string
	fromSource bool
	propose    proposeOptions
	withJSON   bool
}

func newInitCmd(a *app) *cobra.Command {
	opts := initOptions{dir: "."}
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a project to start from",
		Long: `Write a project to start from: etl.yaml, a pipeline that runs as it is,
.env.example, and an entry in .gitignore. Files that exist are left alone.

With --from-source it looks at the tables of the source and the objects of the
org instead of writing the example, and proposes a pipeline: which table goes into
which object, and which column into which field, as far as names and types tell,
with comments on what is left to you. Database and org must be set up for that, in
the environment or in .env. Nothing is read but what tables and objects look like,
and nothing is sent.`,
		Example: `  etl init my-project
  cd my-project && etl validate
  etl init --from-source                                # every table that an object is found for
  etl init --from-source --table people=Contact --table customers`,
		Args: wants("[DIR]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				opts.dir = args[0]
			}
			return runInit(cmd.Context(), a, opts)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.fromSource, "from-source", false, "propose a pipeline from the tables of the source and the objects of the org")
	flags.StringArrayVar(&opts.propose.tables, "table", nil, "with --from-source: only this `table[=object]`; may be given several times")
	flags.StringVar(&opts.propose.source, "source", "", "with --from-source: a `source` of etl.yaml (default ETL_DATABASE_URL)")
	flags.StringVar(&opts.propose.name, "name", "first-load", "with --from-source: what to call the `pipeline`")
	addOrg(a, cmd, &opts.propose.org)
	addJSON(cmd, &opts.withJSON)
	return cmd
}

// initialized says which files a project has got.
type initialized struct {
	Dir     string   `json:"dir"`
	Created []string `json:"created"`
	Kept    []string `json:"kept"` // existed before
	// Tables is what was found in the source; null without --from-source.
	Tables []proposedTable `json:"tables"`

	text []byte // of the proposed pipeline
}

func runInit(ctx context.Context, a *app, opts initOptions) error {
	if !opts.fromSource && (len(opts.propose.tables) > 0 || opts.propose.source != "" || opts.propose.org != "") {
		return usagef("--table, --source and --org are for --from-source")
	}
	done := initialized{Dir: opts.dir, Created: []string{}, Kept: []string{}}
	if opts.fromSource {
		// First, so that nothing is written where it cannot be done.
		if err := done.propose(ctx, a, opts); err != nil {
			return err
		}
	}
	if err := done.write(opts); err != nil {
		return err
	}
	if opts.withJSON {
		return a.printJSON(done)
	}
	if opts.fromSource {
		printProposed(a, done.Tables)
	}
	printInitialized(a, opts, done)
	return nil
}

// write writes the files that are not there yet.
func (d *initialized) write(opts initOptions) error {
	files := [][2]string{{"etl.yaml", project.File}, {"env.example", ".env.example"}}
	if opts.fromSource {
		name := filepath.Join(pipeline.Folder, opts.propose.name+".yaml")
		if err := d.note(name, writeNew(filepath.Join(opts.dir, name), d.text)); err != nil {
			return err
		}
	} else {
		files = append(files, [2]string{"example.yaml", filepath.Join(pipeline.Folder, "example.yaml")})
	}
	for _, file := range files {
		text, err := templates.ReadFile("templates/" + file[0])
		if err != nil {
			return fmt.Errorf("init: %w", err)
		}
		if err := d.note(file[1], writeNew(filepath.Join(opts.dir, file[1]), text)); err != nil {
			return err
		}
	}
	return d.note(".gitignore", ignore(filepath.Join(opts.dir, ".gitignore")))
}

func printInitialized(a *app, opts initOptions, done initialized) {
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
	if opts.fromSource {
		next("etl plan "+opts.propose.name, "after you have read and corrected the pipeline: what a run would do")
		next("etl run "+opts.propose.name+" --limit 100", "try it with a few rows of each table")
		return
	}
	next("cp .env.example .env", "and fill it in")
	next("etl emulator", "in another terminal: an org to try with")
	next("etl doctor", "checks that all is there")
	next("etl plan example", "what a run would do")
	next("etl run example", "do it")
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
