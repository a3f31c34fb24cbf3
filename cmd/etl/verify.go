package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

type verifyOptions struct {
	run               string
	requeue, withJSON bool
}

func newVerifyCmd(a *app) *cobra.Command {
	var opts verifyOptions
	cmd := &cobra.Command{
		Use:   "verify RUN",
		Short: "Look records up whose job is gone, by their external id",
		Long: `Look up, by external id, what the org has of the chunks of an inconsistent run
whose jobs can no longer account for them: the job was deleted, its results have
expired after 7 days, or they do not add up. Only upserts can be looked up.

A record counts as present when it was written since its chunk was cut; one that
is there but was not written since counts as missing. Nothing is changed, unless
--requeue is given: then the books of these chunks are closed, and what is
missing waits in etl.reconciliation for "etl failed retry".`,
		Example: `  etl verify 42
  etl verify 42 --requeue`,
		Args:              wants("RUN"),
		ValidArgsFunction: a.runIDs(state.RunFilter{State: state.RunInconsistent}),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.run = args[0]
			return runVerify(cmd.Context(), a, opts)
		},
	}
	cmd.Flags().BoolVar(&opts.requeue, "requeue", false, "close the books: put what is missing into etl.reconciliation")
	addJSON(cmd, &opts.withJSON)
	return cmd
}

// maxMissingShown bounds the list of missing records; --requeue and "etl failed export" give them all.
const maxMissingShown = 50

// missingRecord is a record that the org does not have as it was sent.
type missingRecord struct {
	Step       string `json:"step"`
	Chunk      int    `json:"chunk"`
	SourceKey  string `json:"source_key"`
	ExternalID string `json:"external_id"`
}

func runVerify(ctx context.Context, a *app, opts verifyOptions) error {
	id, err := readID("run", opts.run)
	if err != nil {
		return err
	}
	project, err := a.openProject()
	if err != nil {
		return err
	}
	store, err := openState(ctx, project)
	if err != nil {
		return err
	}
	found, err := store.Run(ctx, id)
	if err != nil {
		store.Close()
		return notFound(err, state.ErrNotFound, "See \"etl runs\".")
	}
	pipe, err := pipeline.Parse(found.File, found.Definition)
	if err != nil {
		store.Close()
		return fmt.Errorf("run %d: its pipeline file as recorded: %w", id, err)
	}
	s, err := a.openSession(ctx, project, store, pipe)
	if err != nil {
		return err
	}
	defer s.close()
	missing := []missingRecord{}
	v, err := s.engine.Verify(ctx, id, run.VerifyOptions{Requeue: opts.requeue, Missing: func(step string, chunk int, key, externalID string) {
		if len(missing) < maxMissingShown {
			missing = append(missing, missingRecord{step, chunk, key, externalID})
		}
	}})
	if errors.Is(err, state.ErrFinished) {
		return &usageError{err: err, hint: "Without --requeue it can still be looked at."}
	}
	if err != nil {
		return err
	}
	if opts.withJSON {
		return a.printJSON(struct {
			*run.Verification
			Examples []missingRecord `json:"missing_records"`
		}{v, missing})
	}
	a.printVerification(v, missing)
	return nil
}

func (a *app) printVerification(v *run.Verification, missing []missingRecord) {
	if len(v.Chunks) == 0 {
		a.printf("Every chunk of run %d that was sent is accounted for.\n", v.RunID)
		return
	}
	table := console.NewTable(console.Left("step"), console.Right("chunk"), console.Left("keys"), console.Left("job"),
		console.Right("sent"), console.Right("present"), console.Right("missing"), console.Right("untouched"), console.Cut("note", 100))
	for _, c := range v.Chunks {
		note := c.Why
		if c.Unknown != "" {
			note = "cannot be verified: " + c.Unknown
		}
		keys := keyRange(&state.Chunk{Kind: state.ChunkRange, KeyLow: c.KeyLow, KeyHigh: c.KeyHigh})
		table.Row(c.Step, c.Seq, keys, c.JobID, c.Rows, c.Present, red(a.paint(a.stdout), c.Missing), c.Untouched, note)
	}
	table.Render(a.stdout)
	a.printf("\n%s present, %s missing\n", console.Count(v.Present), console.Count(v.Missing))
	for _, m := range missing {
		a.printf("  %s, chunk %d: key %s, external id %s\n", m.Step, m.Chunk, console.OneLine(m.SourceKey), console.OneLine(m.ExternalID))
	}
	if more := v.Missing - int64(len(missing)); more > 0 {
		a.printf("  and %s more\n", console.Count(more))
	}
	switch {
	case v.Run == nil:
		a.printf("Nothing was changed. \"etl verify %d --requeue\" closes the books of these chunks.\n", v.RunID)
	case v.Run.Error != "":
		a.printf("Run %d is %s: %s\n", v.RunID, v.Run.State, strings.TrimSpace(v.Run.Error))
	default:
		a.printf("Run %d is %s. What was missing is sent again by \"etl failed retry --run %d\".\n", v.RunID, v.Run.State, v.RunID)
	}
}
