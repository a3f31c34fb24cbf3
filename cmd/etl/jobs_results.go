package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"bulkhead/internal/bulkv2"
	"bulkhead/internal/reconcile"
)

type jobsResultsOptions struct {
	org, job, kind string
	raw            bool
}

func newJobsResultsCmd(a *app) *cobra.Command {
	var opts jobsResultsOptions
	cmd := &cobra.Command{
		Use:   "results ID",
		Short: "Write a job's results as CSV to stdout",
		Long: `Write a job's results as CSV to stdout. Salesforce returns them in any order, with
values as it stored them.

Values that a spreadsheet would run as formulas are written behind an apostrophe;
--raw writes them as they are.`,
		Example: `  etl jobs results 7505g00000AbCdEAAV > failed.csv
  etl jobs results 7505g00000AbCdEAAV --kind unprocessed --raw`,
		Args: wants("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.job = args[0]
			return runJobsResults(cmd.Context(), a, opts)
		},
	}
	addOrg(a, cmd, &opts.org)
	cmd.Flags().StringVar(&opts.kind, "kind", "failed", "failed, successful or unprocessed")
	cmd.Flags().BoolVar(&opts.raw, "raw", false, "do not guard against formulas")
	complete(cmd.RegisterFlagCompletionFunc("kind", fixed("failed", "successful", "unprocessed")))
	return cmd
}

func runJobsResults(ctx context.Context, a *app, opts jobsResultsOptions) error {
	kind, ok := map[string]bulkv2.ResultKind{
		"failed": bulkv2.Refused, "successful": bulkv2.Successful, "unprocessed": bulkv2.Unprocessed,
	}[opts.kind]
	if !ok {
		return usagef("--kind: want failed, successful or unprocessed, got %q", opts.kind)
	}
	bulk, _, err := a.openJobs(ctx, opts.org)
	if err != nil {
		return err
	}
	// Another tool's job may be delimited by something else than commas.
	job, err := bulk.Info(ctx, opts.job)
	if err != nil {
		return jobError(opts.job, err)
	}
	results, err := bulk.Results(ctx, opts.job, kind, bulkv2.ResultsOptions{ColumnDelimiter: job.ColumnDelimiter})
	if err != nil {
		return jobError(opts.job, err)
	}
	return errors.Join(copyResults(a.data(), results, opts.raw), results.Close())
}

func copyResults(out io.Writer, results *bulkv2.Results, raw bool) error {
	writer := csv.NewWriter(out)
	if header := results.Header(); len(header) > 0 {
		if err := writer.Write(header); err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
	}
	for results.Next() {
		record := slices.Clone(results.Record())
		for i, value := range record {
			if !raw {
				record[i] = reconcile.Guard(value)
			}
		}
		if err := writer.Write(record); err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
	}
	writer.Flush()
	return errors.Join(results.Err(), writer.Error())
}
