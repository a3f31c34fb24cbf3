package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"bulkhead/internal/reconcile"
)

func newFailedCmd(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "failed",
		Short: "Work the records that did not load",
		Long: `Work the records that did not load. They stand in the table etl.reconciliation,
one row per record, with what was sent, the error, and how often it was tried:

  failed       Salesforce refused it
  unprocessed  Salesforce never got to it
  rejected     it was refused here, before it was sent
  held         its parent did not load

A record that a later run loads is resolved by that run. "retry" reads it again
from the source, so that what was mended there flows through; to mend what is
sent instead, export it, edit the CSV, import it and retry --from payload.`,
		Example: `  etl failed list --run 42
  etl failed list --group
  etl failed export --code REQUIRED_FIELD_MISSING --output missing.csv
  etl failed import missing.csv
  etl failed retry --from payload --code REQUIRED_FIELD_MISSING`,
	},
		newFailedListCmd(a), newFailedShowCmd(a), newFailedExportCmd(a), newFailedImportCmd(a),
		newFailedRetryCmd(a), newFailedIgnoreCmd(a), newFailedReopenCmd(a),
	)
}

// recordFilter is the flags that select records.
type recordFilter struct {
	filter reconcile.Filter
	all    bool
}

// add adds the flags to a command that changes or lists records.
func (f *recordFilter) add(a *app, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.filter.Pipeline, "pipeline", "", "only records of this `pipeline`")
	flags.StringVar(&f.filter.Step, "step", "", "only records of this `step`")
	flags.Int64Var(&f.filter.RunID, "run", 0, "only records that failed last in this `run`")
	flags.StringVar(&f.filter.Code, "code", "", "only records with this error `code`, such as REQUIRED_FIELD_MISSING")
	flags.StringVar(&f.filter.Field, "field", "", "only records whose error names this `field`")
	flags.StringVar(&f.filter.Key, "key", "", "only the record of this source `key`")
	complete(cmd.RegisterFlagCompletionFunc("pipeline", a.pipelineNames))
	complete(cmd.RegisterFlagCompletionFunc("step", a.stepNames))
}

// take reads the number of a record, where one is given beside the flags.
func (f *recordFilter) take(args []string) error {
	if len(args) == 0 {
		return nil
	}
	var err error
	f.filter.ID, err = readID("record", args[0])
	return err
}

// narrow reports whether the flags leave anything out.
func (f *recordFilter) narrow() bool {
	c := f.filter
	return c.Pipeline != "" || c.Step != "" || c.RunID != 0 || c.Code != "" || c.Field != "" || c.Key != "" || c.ID != 0
}

// requireNarrow keeps a command from changing all records by an oversight.
func (f *recordFilter) requireNarrow(cmd *cobra.Command) error {
	if f.narrow() || f.all {
		return nil
	}
	return &usageError{err: fmt.Errorf("%q needs a filter, or --all for every record", cmd.CommandPath()), hint: seeHelp(cmd)}
}

// statuses reads --status.
func statuses(names []string) ([]reconcile.Status, error) {
	if slices.Contains(names, "all") {
		return nil, nil
	}
	known := []string{"open", "retrying", "resolved", "ignored"}
	var list []reconcile.Status
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, usagef("--status: want open, retrying, resolved, ignored or all, got %q", name)
		}
		list = append(list, reconcile.Status(name))
	}
	return list, nil
}
