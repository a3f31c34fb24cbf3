package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/reconcile"
)

type failedExportOptions struct {
	recordFilter
	status           []string
	output           string
	raw, force, json bool
}

func newFailedExportCmd(a *app) *cobra.Command {
	var opts failedExportOptions
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write records as CSV, to mend them in a spreadsheet",
		Long: `Write records as CSV: columns etl_... that say what happened, then one column per
field that was sent. #N/A clears a field, an empty cell leaves it alone. Edit the
cells, keep the column etl_id, and take the file back with "etl failed import".

Values that a spreadsheet would run as formulas are written behind an apostrophe,
which the import takes off again; --raw writes them as they are.`,
		Example: `  etl failed export --run 42 --output failed.csv
  etl failed export --code STRING_TOO_LONG > long.csv`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runFailedExport(cmd.Context(), a, opts) },
	}
	opts.add(a, cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&opts.status, "status", []string{"open"}, "open, retrying, resolved, ignored or all")
	flags.StringVarP(&opts.output, "output", "o", "", "write to this `file` (default stdout)")
	flags.BoolVar(&opts.raw, "raw", false, "do not guard against formulas")
	flags.BoolVar(&opts.force, "force", false, "overwrite the file")
	flags.BoolVar(&opts.json, "json", false, "print JSON about the export, for scripts; needs --output")
	return cmd
}

func runFailedExport(ctx context.Context, a *app, opts failedExportOptions) error {
	var err error
	if opts.filter.Statuses, err = statuses(opts.status); err != nil {
		return err
	}
	if opts.json && opts.output == "" {
		return usagef("--json needs --output, because the CSV goes to stdout")
	}
	store, err := a.openState(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	export := func(w io.Writer) (int64, error) {
		return reconcile.NewStore(store.Pool()).Export(ctx, opts.filter, opts.raw, w)
	}
	if opts.output == "" {
		_, err := export(a.data())
		return err
	}
	n, err := exportTo(opts.output, opts.force, export)
	if err != nil {
		return err
	}
	if opts.json {
		return a.printJSON(struct {
			File    string `json:"file"`
			Records int64  `json:"records"`
		}{opts.output, n})
	}
	a.printf("%s in %s\n", console.Plural(n, "record"), opts.output)
	return nil
}

// exportTo writes a file that only its owner can read: the values are customers' data.
func exportTo(path string, force bool, export func(io.Writer) (int64, error)) (int64, error) {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(path, mode, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return 0, usagef("--output: %s exists already; --force overwrites it", path)
	}
	if err != nil {
		return 0, fmt.Errorf("write the export: %w", err)
	}
	n, err := export(file)
	return n, errors.Join(err, file.Close())
}
