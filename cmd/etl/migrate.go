package main

import (
	"context"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/project"
	"bulkhead/internal/state"
)

func newMigrateCmd(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "migrate",
		Short: "Bring the state tables up to date",
		Long: `Bring the tables of the schema etl, in the database of ETL_DATABASE_URL, up to
date. Commands that need them do so by themselves; this is for those who want to
choose the moment, or who run etl with a user that may not create tables.`,
		Example: `  etl migrate status
  etl migrate up`,
	}, newMigrateUpCmd(a), newMigrateStatusCmd(a))
}

func newMigrateUpCmd(a *app) *cobra.Command {
	var withJSON bool
	cmd := &cobra.Command{
		Use:     "up",
		Short:   "Apply the migrations that are missing",
		Example: `  etl migrate up`,
		Args:    wants(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runMigrateUp(cmd.Context(), a, withJSON) },
	}
	addJSON(cmd, &withJSON)
	return cmd
}

func newMigrateStatusCmd(a *app) *cobra.Command {
	var withJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "List the migrations and whether the database has them; changes nothing",
		Example: `  etl migrate status --json`,
		Args:    wants(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runMigrateStatus(cmd.Context(), a, withJSON) },
	}
	addJSON(cmd, &withJSON)
	return cmd
}

func runMigrateUp(ctx context.Context, a *app, withJSON bool) error {
	dsn, before, err := a.migrations(ctx)
	if err != nil {
		return err
	}
	if err := state.Migrate(ctx, dsn); err != nil {
		return connectError(project.DatabaseURL, dsn, err)
	}
	var applied []state.MigrationStatus
	for _, m := range before {
		if !m.Applied {
			m.Applied = true
			applied = append(applied, m)
		}
	}
	if withJSON {
		return a.printJSON(struct {
			Applied []state.MigrationStatus `json:"applied"`
		}{list(applied)})
	}
	if len(applied) == 0 {
		a.printf("The state tables are up to date.\n")
		return nil
	}
	for _, m := range applied {
		a.printf("applied %s\n", m.Name)
	}
	return nil
}

func runMigrateStatus(ctx context.Context, a *app, withJSON bool) error {
	_, migrations, err := a.migrations(ctx)
	if err != nil {
		return err
	}
	if withJSON {
		return a.printJSON(struct {
			Migrations []state.MigrationStatus `json:"migrations"`
		}{list(migrations)})
	}
	table := console.NewTable(console.Right("version"), console.Left("name"), console.Left("applied"))
	for _, m := range migrations {
		applied := "no"
		if m.Applied {
			applied = "yes"
		}
		table.Row(m.Version, m.Name, applied)
	}
	table.Render(a.stdout)
	return nil
}

// migrations lists what the database has, and where it is.
func (a *app) migrations(ctx context.Context) (string, []state.MigrationStatus, error) {
	p, err := a.openProject()
	if err != nil {
		return "", nil, err
	}
	dsn, err := p.StateDSN()
	if err != nil {
		return "", nil, asUsage(err)
	}
	migrations, err := state.Migrations(ctx, dsn)
	if err != nil {
		return "", nil, connectError(project.DatabaseURL, dsn, err)
	}
	return dsn, migrations, nil
}
