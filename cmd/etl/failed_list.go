package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/reconcile"
)

type failedListOptions struct {
	recordFilter
	status          []string
	limit           int
	group, withJSON bool
}

func newFailedListCmd(a *app) *cobra.Command {
	var opts failedListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List records that did not load, with their errors",
		Example: `  etl failed list
  etl failed list --run 42 --limit 0
  etl failed list --code STRING_TOO_LONG --field Name
  etl failed list --group                  # counts only
  etl failed list --status all --key 4711 --json`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runFailedList(cmd.Context(), a, opts) },
	}
	opts.add(a, cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&opts.status, "status", []string{"open"}, "open, retrying, resolved, ignored or all")
	flags.IntVar(&opts.limit, "limit", 50, "list at most this `many`; 0 for all")
	flags.BoolVar(&opts.group, "group", false, "only counts, by step, code and field")
	addJSON(cmd, &opts.withJSON)
	complete(cmd.RegisterFlagCompletionFunc("status", fixed("open", "retrying", "resolved", "ignored", "all")))
	return cmd
}

func runFailedList(ctx context.Context, a *app, opts failedListOptions) error {
	if opts.limit < 0 {
		return usagef("--limit: want 0 or more, got %d", opts.limit)
	}
	var err error
	if opts.filter.Statuses, err = statuses(opts.status); err != nil {
		return err
	}
	store, err := a.openState(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	failures := reconcile.NewStore(store.Pool())
	if opts.group {
		return listGroups(ctx, a, failures, opts)
	}
	rows, err := failures.List(ctx, opts.filter, opts.limit)
	if err != nil {
		return err
	}
	if opts.withJSON {
		total, err := failures.Count(ctx, opts.filter)
		if err != nil {
			return err
		}
		return a.printJSON(struct {
			Total   int64           `json:"total"`
			Records []reconcile.Row `json:"records"`
		}{total, list(rows)})
	}
	if len(rows) == 0 {
		a.printf("No such records.\n")
		return nil
	}
	recordTable(rows).Render(a.stdout)
	return a.printMore(ctx, failures, opts, int64(len(rows)))
}

// mostCounted is up to where a list says how many more there are: people want the order of magnitude at once.
const mostCounted = 100_000

// printMore says how many records the list leaves out.
func (a *app) printMore(ctx context.Context, failures *reconcile.Store, opts failedListOptions, listed int64) error {
	if opts.limit == 0 || listed < int64(opts.limit) {
		return nil
	}
	total, err := failures.CountUpTo(ctx, opts.filter, listed+mostCounted)
	if err != nil {
		return err
	}
	more := console.Count(total - listed)
	switch total {
	case listed:
		return nil
	case listed + mostCounted:
		more = "At least " + more
	}
	a.printf("\n%s more; --limit 0 lists all, --group only counts.\n", more)
	return nil
}

func listGroups(ctx context.Context, a *app, failures *reconcile.Store, opts failedListOptions) error {
	groups, err := failures.Groups(ctx, opts.filter)
	if err != nil {
		return err
	}
	total := groupsTotal(groups)
	if opts.withJSON {
		return a.printJSON(struct {
			Total  int64             `json:"total"`
			Groups []reconcile.Group `json:"groups"`
		}{total, list(groups)})
	}
	if total == 0 {
		a.printf("No such records.\n")
		return nil
	}
	groupTable(groups, true).Render(a.stdout)
	a.printf("\n%s in all.\n", console.Plural(total, "record"))
	return nil
}

func recordTable(rows []reconcile.Row) *console.Table {
	table := console.NewTable(console.Right("id"), console.Left("pipeline"), console.Left("step"), console.Cut("key", 40), console.Left("kind"),
		console.Left("code"), console.Cut("fields", 40), console.Cut("message", 90), console.Right("tries"), console.Left("status"), console.Left("last"))
	for _, r := range rows {
		key := "-"
		if r.SourceKey != nil {
			key = *r.SourceKey
		}
		table.Row(console.Painted(formatID(r.ID)), r.Pipeline, r.Step, key, r.Kind, orDash(r.ErrorCode), orDash(strings.Join(r.ErrorFields, ", ")),
			r.ErrorMessage, r.Attempts, r.Status, console.Time(&r.LastFailedAt))
	}
	return table
}
