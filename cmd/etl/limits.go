package main

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/salesforce"
)

// The allowances that a load uses up. REST API guide, "Limits".
const (
	limitCalls   = "DailyApiRequests"
	limitBatches = "DailyBulkApiBatches"
)

type limitsOptions struct {
	org           string
	all, withJSON bool
}

// limitView is an allowance of the org in our JSON.
type limitView struct {
	Max       int64 `json:"max"`
	Remaining int64 `json:"remaining"`
	Used      int64 `json:"used"`
}

func limitViews(limits map[string]salesforce.Limit) map[string]limitView {
	views := make(map[string]limitView, len(limits))
	for name, l := range limits {
		views[name] = limitView{Max: l.Max, Remaining: l.Remaining, Used: l.Max - l.Remaining}
	}
	return views
}

func newLimitsCmd(a *app) *cobra.Command {
	var opts limitsOptions
	cmd := &cobra.Command{
		Use:   "limits",
		Short: "Show the org's API limits and their use",
		Example: `  etl limits
  etl limits --all
  etl limits --org production --json`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runLimits(cmd.Context(), a, opts) },
	}
	addOrg(a, cmd, &opts.org)
	cmd.Flags().BoolVar(&opts.all, "all", false, "all limits, not only those that matter for loads")
	addJSON(cmd, &opts.withJSON)
	return cmd
}

// addOrg adds the flag that names the org.
func addOrg(a *app, cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "org", "", "an `org` of etl.yaml (default: the SALESFORCE_* variables)")
	complete(cmd.RegisterFlagCompletionFunc("org", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		p, err := a.openProject()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return p.Orgs(), cobra.ShellCompDirectiveNoFileComp
	}))
}

func runLimits(ctx context.Context, a *app, opts limitsOptions) error {
	p, err := a.openProject()
	if err != nil {
		return err
	}
	org, _, err := a.openOrg(ctx, p, opts.org)
	if err != nil {
		return err
	}
	limits, err := org.Limits(ctx)
	if err != nil {
		return err
	}
	views := limitViews(limits)
	if opts.withJSON {
		return a.printJSON(struct {
			InstanceURL string               `json:"instance_url"`
			Limits      map[string]limitView `json:"limits"`
		}{org.InstanceURL(), views})
	}
	names := []string{limitCalls, limitBatches, "DailyBulkV2QueryJobs", "DataStorageMB", "FileStorageMB"}
	if opts.all {
		names = slices.Sorted(maps.Keys(views))
	}
	paint := a.paint(a.stdout)
	table := console.NewTable(console.Left("limit"), console.Right("used"), console.Right("left"), console.Right("of"), console.Right("used %"))
	for _, name := range names {
		l, ok := views[name]
		if !ok {
			continue
		}
		share := int64(0)
		if l.Max > 0 {
			share = 100 * l.Used / l.Max
		}
		percent := console.Count(share)
		if share >= 80 {
			percent = paint.Bad(percent)
		}
		table.Row(name, l.Used, l.Remaining, l.Max, console.Painted(percent))
	}
	a.printf("%s\n\n", org.InstanceURL())
	table.Render(a.stdout)
	return nil
}
