package main

import (
	"context"

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
	}, "ignored", (*reconcile.Store).Ignore)
}

func newFailedReopenCmd(a *app) *cobra.Command {
	return newStatusCmd(a, &cobra.Command{
		Use:   "reopen [ID]",
		Short: "Open ignored records again",
		Example: `  etl failed reopen 17
  etl failed reopen --all`,
	}, "open again", (*reconcile.Store).Reopen)
}

// newStatusCmd makes a command that moves records to another status.
func newStatusCmd(a *app, cmd *cobra.Command, done string, move func(*reconcile.Store, context.Context, reconcile.Filter) (int64, error)) *cobra.Command {
	var opts failedStatusOptions
	cmd.Args = wants("[ID]")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := opts.take(args); err != nil {
			return err
		}
		if err := opts.requireNarrow(cmd); err != nil {
			return err
		}
		return runFailedStatus(cmd.Context(), a, opts, done, move)
	}
	opts.add(a, cmd)
	cmd.Flags().BoolVar(&opts.all, "all", false, "every record, without a filter")
	addJSON(cmd, &opts.withJSON)
	return cmd
}

func runFailedStatus(ctx context.Context, a *app, opts failedStatusOptions, done string, move func(*reconcile.Store, context.Context, reconcile.Filter) (int64, error)) error {
	store, err := a.openState(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	n, err := move(reconcile.NewStore(store.Pool()), ctx, opts.filter)
	if err != nil {
		return err
	}
	if opts.withJSON {
		return a.printJSON(struct {
			Records int64 `json:"records"`
		}{n})
	}
	a.printf("%s %s.\n", console.Plural(n, "record"), done)
	return nil
}
