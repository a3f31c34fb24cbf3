package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/reconcile"
)

type failedStatusOptions struct {
	recordFilter
	withJSON bool
}

func newFailedIgnoreCmd(a *app) *cobra.Command {
	return newStatusCmd(a, &cobra.Command{
		Use:   "ignore [ID]",
		Short: "Set records aside that need no mending",
		Long: `Set open records aside: they are no longer listed or retried. A later run that
loads such a record resolves it all the same.`,
		Example: `  etl failed ignore 17
  etl failed ignore --pipeline crm-nightly --code DUPLICATE_VALUE`,
	}, "open", "ignored", (*reconcile.Store).Ignore)
}

func newFailedReopenCmd(a *app) *cobra.Command {
	return newStatusCmd(a, &cobra.Command{
		Use:   "reopen [ID]",
		Short: "Open ignored records again",
		Example: `  etl failed reopen 17
  etl failed reopen --all`,
	}, "ignored", "open again", (*reconcile.Store).Reopen)
}

// newStatusCmd makes a command that moves records from a status to another; done
// says in words what they are then.
func newStatusCmd(a *app, cmd *cobra.Command, from, done string, move func(*reconcile.Store, context.Context, reconcile.Filter) (int64, error)) *cobra.Command {
	var opts failedStatusOptions
	cmd.Args = wants("[ID]")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := opts.take(args); err != nil {
			return err
		}
		if err := opts.requireNarrow(cmd); err != nil {
			return err
		}
		return runFailedStatus(cmd.Context(), a, opts, from, done, move)
	}
	opts.add(a, cmd)
	cmd.Flags().BoolVar(&opts.all, "all", false, "every record, without a filter")
	addJSON(cmd, &opts.withJSON)
	return cmd
}

func runFailedStatus(ctx context.Context, a *app, opts failedStatusOptions, from, done string, move func(*reconcile.Store, context.Context, reconcile.Filter) (int64, error)) error {
	store, err := a.openState(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	n, err := move(reconcile.NewStore(store.Pool()), ctx, opts.filter)
	if err != nil {
		return err
	}
	if n == 0 && opts.filter.ID != 0 {
		return &usageError{err: fmt.Errorf("record %d: there is no such record that is %s", opts.filter.ID, from), hint: "See \"etl failed list --status all\"."}
	}
	if opts.withJSON {
		return a.printJSON(struct {
			Records int64 `json:"records"`
		}{n})
	}
	a.printf("%s %s.\n", console.Plural(n, "record"), done)
	return nil
}
