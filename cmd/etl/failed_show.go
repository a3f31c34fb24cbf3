package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/reconcile"
)

func newFailedShowCmd(a *app) *cobra.Command {
	var withJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show all about one record, what was sent included",
		Example: `  etl failed show 17
  etl failed show 17 --json`,
		Args: wants("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runFailedShow(cmd.Context(), a, args[0], withJSON)
		},
	}
	addJSON(cmd, &withJSON)
	return cmd
}

func runFailedShow(ctx context.Context, a *app, text string, withJSON bool) error {
	id, err := readID("record", text)
	if err != nil {
		return err
	}
	store, err := a.openState(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	row, err := reconcile.NewStore(store.Pool()).Row(ctx, id)
	if err != nil {
		return notFound(err, reconcile.ErrNotFound, "See \"etl failed list\".")
	}
	if withJSON {
		return a.printJSON(row)
	}
	return printRecord(a, row)
}

func printRecord(a *app, r reconcile.Row) error {
	line := func(name, value string) {
		if value != "" {
			a.printf("%-14s %s\n", name, console.OneLine(value))
		}
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	line("record", formatID(r.ID))
	line("pipeline", r.Pipeline)
	line("step", fmt.Sprintf("%s (%s %s)", r.Step, r.Operation, r.Object))
	line("source key", text(r.SourceKey))
	line("salesforce id", text(r.SalesforceID))
	line("status", fmt.Sprintf("%s, %s, tried %s", r.Status, r.Kind, console.Plural(int64(r.Attempts), "time")))
	line("code", r.ErrorCode)
	line("message", r.ErrorMessage)
	line("fields", strings.Join(r.ErrorFields, ", "))
	line("first failed", console.Time(&r.FirstFailedAt))
	line("last failed", fmt.Sprintf("%s in run %d", console.Time(&r.LastFailedAt), r.RunID))
	line("job", text(r.JobID))
	if r.ResolvedRunID != nil {
		line("resolved", fmt.Sprintf("%s by run %d", console.Time(r.ResolvedAt), *r.ResolvedRunID))
	}
	if r.Edited {
		line("payload", "edited by an import")
	}
	var payload map[string]*string
	if err := json.Unmarshal(r.Payload, &payload); err != nil {
		return fmt.Errorf("record %d: payload: %w", r.ID, err)
	}
	a.printf("\n")
	table := console.NewTable(console.Left("field"), console.Left("sent"))
	for _, field := range slices.Sorted(maps.Keys(payload)) {
		if payload[field] == nil {
			table.Row(field, "(clear)")
			continue
		}
		table.Row(field, *payload[field])
	}
	table.Render(a.stdout)
	return nil
}

// formatID is a number to copy, so without commas.
func formatID(id int64) string { return strconv.FormatInt(id, 10) }
