package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/internal/pipeline"
	"bulkhead/internal/project"
	"bulkhead/internal/state"
)

// completionPatience is how long a press of the tab key may wait for the database.
const completionPatience = 2 * time.Second

type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// complete takes the error of registering a completion, which is a slip in our
// own flags' names that the first call of any command shows.
func complete(err error) {
	if err != nil {
		panic(err)
	}
}

// fixed completes from a list.
func fixed(values ...string) completer {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}

// pipelineNames completes a pipeline, which may be a file too.
func (a *app) pipelineNames(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, p := range a.loadable() {
		names = append(names, p.Name+"\t"+p.Description)
	}
	return names, cobra.ShellCompDirectiveDefault
}

// stepNames completes a step of the pipeline that is the first argument or the
// flag --pipeline; of all pipelines where neither is given.
func (a *app) stepNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	wanted, _ := cmd.Flags().GetString("pipeline")
	if wanted == "" && len(args) > 0 {
		wanted = args[0]
	}
	var names []string
	for _, p := range a.loadable() {
		if wanted != "" && p.Name != wanted && p.File != wanted {
			continue
		}
		for _, step := range p.Steps {
			names = append(names, fmt.Sprintf("%s\t%s %s", step.Name, step.Operation, step.Object))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// loadable are the project's pipelines that have no mistakes.
func (a *app) loadable() []*pipeline.Pipeline {
	p, err := project.Load(a.dir, a.env)
	if err != nil {
		return nil
	}
	files, err := pipeline.List(pipelineFolder(p))
	if err != nil {
		return nil
	}
	var list []*pipeline.Pipeline
	for _, file := range files {
		if one, err := pipeline.Load(file); err == nil {
			list = append(list, one)
		}
	}
	return list
}

// runIDs completes the number of a run.
func (a *app) runIDs(filter state.RunFilter) completer {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
		defer cancel()
		// A press of the tab key must not migrate anything.
		if behind, err := a.schemaBehind(ctx); err != nil || behind {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		store, err := a.openState(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer store.Close()
		filter.Limit = 20
		runs, err := store.Runs(ctx, filter)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var ids []string
		for _, r := range runs {
			ids = append(ids, strconv.FormatInt(r.ID, 10)+"\t"+r.Pipeline+", "+stateWords(r.State))
		}
		return ids, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}
