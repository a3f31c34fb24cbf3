package main

import (
	"context"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/preflight"
	"bulkhead/internal/project"
	"bulkhead/internal/run"
	"bulkhead/internal/salesforce"
	"bulkhead/internal/state"
)

type driftOptions struct {
	pipelines []string
	since     string
	withJSON  bool
}

func newDriftCmd(a *app) *cobra.Command {
	var opts driftOptions
	cmd := &cobra.Command{
		Use:   "drift [PIPELINE]",
		Short: "Show what changed in the org since the last run",
		Long: `Show what changed in the org, in what a pipeline uses, since its last run that
went well: fields that are gone (and what they were most likely renamed to), that
became required, shorter, of another type or read-only, and values that picklists
lost or gained. Each run keeps what the objects looked like when it started.
Without PIPELINE all pipelines of the project are looked at.

It asks the org to describe each object, reads nothing of the source and sends
nothing. "etl plan" and the summary of a run show the same.

Exit codes: 0 runs can start; 1 could not look; 2 wrong usage or an invalid
pipeline; 4 a run would be refused, the findings say why.`,
		Example: `  etl drift
  etl drift crm-nightly
  etl drift crm-nightly --since 42         # compared with what run 42 saw
  etl drift --json`,
		Args:              wants("[PIPELINE]"),
		ValidArgsFunction: a.pipelineNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.pipelines = args
			return runDrift(cmd.Context(), a, opts)
		},
	}
	cmd.Flags().StringVar(&opts.since, "since", "", "compare with what this `run` saw (default the last one that went well)")
	addJSON(cmd, &opts.withJSON)
	complete(cmd.RegisterFlagCompletionFunc("since", func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.runIDs(state.RunFilter{})(cmd, nil, word)
	}))
	return cmd
}

// driftView is what changed for one pipeline, in our JSON.
type driftView struct {
	*run.Drift
	Ready    bool                `json:"ready"`
	Changes  []preflight.Drift   `json:"changes"`
	Findings []preflight.Finding `json:"findings"`
}

func runDrift(ctx context.Context, a *app, opts driftOptions) error {
	p, err := a.openProject()
	if err != nil {
		return err
	}
	pipes, err := a.loadPipelines(p, opts.pipelines)
	if err != nil {
		return err
	}
	store, err := openState(ctx, p)
	if err != nil {
		return err
	}
	defer store.Close()
	since, err := driftBase(ctx, store, opts.since, pipes)
	if err != nil {
		return err
	}
	views, err := a.findDrift(ctx, p, store, pipes, since)
	if err != nil {
		return err
	}
	ready := true
	for _, v := range views {
		ready = ready && v.Ready
	}
	if opts.withJSON {
		err = a.printJSON(struct {
			Ready     bool        `json:"ready"`
			Pipelines []driftView `json:"pipelines"`
		}{ready, list(views)})
	} else {
		a.printDrifts(views)
	}
	if err == nil && !ready {
		return &doneError{exitRefused}
	}
	return err
}

// loadPipelines loads the pipelines of these names or files; all of the project
// where none is given.
func (a *app) loadPipelines(p *project.Project, names []string) ([]*pipeline.Pipeline, error) {
	if len(names) == 0 {
		var err error
		if names, err = pipeline.List(pipelineFolder(p)); err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, usagef("%s has no pipeline; \"etl init\" writes one", shortPath(pipelineFolder(p)))
		}
	}
	var pipes []*pipeline.Pipeline
	for _, name := range names {
		pipe, err := a.loadPipeline(p, name)
		if err != nil {
			return nil, err
		}
		pipes = append(pipes, pipe)
	}
	return pipes, nil
}

// driftBase reads and checks the run to compare with; 0 for the last of each
// pipeline.
func driftBase(ctx context.Context, store *state.Store, text string, pipes []*pipeline.Pipeline) (int64, error) {
	if text == "" {
		return 0, nil
	}
	id, err := readID("run", text)
	if err != nil {
		return 0, err
	}
	found, err := store.Run(ctx, id)
	if err != nil {
		return 0, notFound(err, state.ErrNotFound, "See \"etl runs\".")
	}
	if len(pipes) != 1 || pipes[0].Name != found.Pipeline {
		return 0, usagef("--since: run %d is one of pipeline %q: write \"etl drift %s --since %d\"", id, found.Pipeline, found.Pipeline, id)
	}
	seen, err := store.Describes(ctx, id)
	if err == nil && len(seen) == 0 {
		return 0, usagef("--since: what run %d saw is not known any more, or it was made by an older etl", id)
	}
	return id, err
}

// findDrift looks at each pipeline, with one login to each org.
func (a *app) findDrift(ctx context.Context, p *project.Project, store *state.Store, pipes []*pipeline.Pipeline, since int64) ([]driftView, error) {
	orgs := map[string]*salesforce.Org{}
	var views []driftView
	for _, pipe := range pipes {
		if orgs[pipe.Org] == nil {
			org, _, err := a.openOrg(ctx, p, pipe.Org)
			if err != nil {
				return nil, err
			}
			orgs[pipe.Org] = org
		}
		found, err := run.FindDrift(ctx, store, orgs[pipe.Org], pipe, since)
		if err != nil {
			return nil, err
		}
		changes, findings := shortDrift(found.Changes), shortFindings(found.Findings)
		views = append(views, driftView{found, !wouldRefuse(pipe, findings, changes), list(changes), list(findings)})
	}
	return views, nil
}

func (a *app) printDrifts(views []driftView) {
	paint := a.paint(a.stdout)
	for _, v := range views {
		name := paint.Bold(v.Pipeline)
		since := ""
		if v.Since != 0 {
			since = "since run " + formatID(v.Since) + " of " + console.Time(v.SinceAt)
		}
		switch {
		case v.Since == 0:
			a.printf("%s: no run into this org has gone well yet, so there is nothing to compare with\n", name)
		case len(v.Changes) == 0:
			a.printf("%s: nothing that it uses has changed %s\n", name, since)
		default:
			a.printf("%s: %s %s\n", name, console.Plural(int64(len(v.Changes)), "change"), since)
			for _, d := range v.Changes {
				a.printf("  %s\n", d)
			}
		}
		a.printf("\n")
		printFindings(a, paint, v.Findings)
		if !v.Ready {
			a.printf("A run of %s would be refused.\n\n", v.Pipeline)
		}
	}
}
