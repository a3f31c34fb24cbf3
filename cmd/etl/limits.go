package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/project"
	"bulkhead/internal/run"
	"bulkhead/internal/salesforce"
	"bulkhead/internal/state"
)

// limitsPatience is how long the state database may take to tell what our runs
// used, which is not worth a long wait.
const limitsPatience = 5 * time.Second

// overLimits is what the flag does that lets a run go beyond the shares.
const overLimits = "use what the org has, beyond the shares that \"limits\" in etl.yaml sets"

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
		Long: `Show the org's limits and how much of each is used, with what our own runs used
of them in the last 24 hours, as far as this state database knows. The mark in a
bar is the share at which runs stop, or pause: "limits" in etl.yaml sets it.

It needs the permission "View Setup and Configuration".`,
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
	own := a.ownUse(ctx, p, org.OrgID())
	shares := p.Limits()
	views := limitViews(limits)
	if opts.withJSON {
		return a.printJSON(struct {
			InstanceURL string               `json:"instance_url"`
			Limits      map[string]limitView `json:"limits"`
			Shares      map[string]float64   `json:"shares"`
			OwnRuns     *state.Use           `json:"own_runs"` // in the last 24 hours; null where nobody knows
		}{org.InstanceURL(), views, map[string]float64{"api_calls": shares.APICalls, "bulk_batches": shares.BulkBatches}, own})
	}
	names := []string{run.LimitCalls, run.LimitBatches, "DailyBulkV2QueryJobs", "DataStorageMB", "FileStorageMB"}
	if opts.all {
		names = slices.Sorted(maps.Keys(views))
	}
	a.printf("%s\n\n", org.InstanceURL())
	limitTable(a.paint(a.stdout), names, views, shares, own).Render(a.stdout)
	if own != nil {
		a.printf("\nOwn runs: %s in the last 24 hours; a run's calls count when it ends.\n", console.Plural(own.Runs, "run"))
	}
	return nil
}

// limitTable shows limits with their use as bars.
func limitTable(paint console.Paint, names []string, views map[string]limitView, shares project.Limits, own *state.Use) *console.Table {
	share := map[string]float64{run.LimitCalls: shares.APICalls, run.LimitBatches: shares.BulkBatches}
	ours := map[string]string{}
	if own != nil {
		ours[run.LimitCalls], ours[run.LimitBatches] = console.Count(own.APICalls), console.Count(own.Batches)
	}
	table := console.NewTable(console.Left("limit"), console.Left("use"), console.Right("used"), console.Right("left"), console.Right("of"), console.Right("own runs"))
	for _, name := range names {
		l, ok := views[name]
		if !ok {
			continue
		}
		use := 0.0
		if l.Max > 0 {
			use = float64(l.Used) / float64(l.Max)
		}
		bar := console.Bar(use, share[name])
		switch {
		case use >= cmp.Or(share[name], project.DefaultLimitShare):
			bar = paint.Bad(bar)
		case use > 0:
			bar = paint.Good(bar)
		}
		table.Row(name, console.Painted(bar), l.Used, l.Remaining, l.Max, ours[name])
	}
	return table
}

// ownUse is what the runs of this state database used of an org in 24 hours; nil
// where that is not known, which is no reason not to show the rest.
func (a *app) ownUse(ctx context.Context, p *project.Project, orgID string) *state.Use {
	ctx, cancel := context.WithTimeout(ctx, limitsPatience)
	defer cancel()
	if p.Getenv(project.DatabaseURL) == "" {
		return nil
	}
	store, err := openState(ctx, p)
	if err != nil {
		a.log.Warn("what our own runs used is not known", zap.Error(err))
		return nil
	}
	defer store.Close()
	use, err := store.Used(ctx, orgID, time.Now().Add(-24*time.Hour), pipeline.BatchRows)
	if err != nil {
		a.log.Warn("what our own runs used is not known", zap.Error(err))
		return nil
	}
	return &use
}
