package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/reconcile"
)

type failedImportOptions struct {
	file          string
	raw, withJSON bool
}

func newFailedImportCmd(a *app) *cobra.Command {
	var opts failedImportOptions
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take an edited export back",
		Long: `Take an edited export back: what is sent for each record is replaced by the line
with its etl_id. Columns that begin with etl_ are not read. Either all lines are
taken or none. FILE may be - for stdin. Nothing is sent; that is done by
"etl failed retry --from payload".`,
		Example: `  etl failed import failed.csv
  etl failed retry --from payload`,
		Args: wants("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.file = args[0]
			return runFailedImport(cmd.Context(), a, opts)
		},
	}
	cmd.Flags().BoolVar(&opts.raw, "raw", false, "the file was exported with --raw: leave apostrophes as they are")
	addJSON(cmd, &opts.withJSON)
	return cmd
}

func runFailedImport(ctx context.Context, a *app, opts failedImportOptions) error {
	in := a.stdin
	if opts.file != "-" {
		file, err := os.Open(opts.file)
		if err != nil {
			return asUsage(fmt.Errorf("import: %w", err))
		}
		defer file.Close()
		in = file
	}
	return importFrom(ctx, a, in, opts)
}

func importFrom(ctx context.Context, a *app, in io.Reader, opts failedImportOptions) error {
	store, err := a.openState(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	result, err := reconcile.NewStore(store.Pool()).Import(ctx, in, opts.raw)
	var wrong *reconcile.ImportError
	if errors.As(err, &wrong) {
		return &usageError{err: fmt.Errorf("import %s: nothing was taken:\n%w", opts.file, wrong)}
	}
	var malformed *csv.ParseError
	if errors.As(err, &malformed) {
		return &usageError{err: fmt.Errorf("import %s: nothing was taken: %w", opts.file, err), hint: "It has to be a CSV file that \"etl failed export\" wrote."}
	}
	if err != nil {
		return err
	}
	if opts.withJSON {
		return a.printJSON(result)
	}
	a.printf("%s read, %s changed.\n", console.Plural(result.Rows, "record"), console.Count(result.Changed))
	if result.Changed > 0 {
		a.printf("Send them with: etl failed retry --from payload\n")
	}
	return nil
}
