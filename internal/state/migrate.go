package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"

	"bulkhead/migrations"
)

// versionTable is goose's own table; it lives beside the tables it counts.
const versionTable = "etl.schema_version"

// MinServerVersion is the oldest Postgres that the state schema and the extraction are tested with,
// as server_version_num: 13.0.
const MinServerVersion = 130000

// MigrationStatus is one migration and whether the database has it.
type MigrationStatus struct {
	Version int64  `json:"version"`
	Name    string `json:"name"`
	Applied bool   `json:"applied"`
}

// NewerSchemaError says that the database was migrated by a newer etl than this one.
type NewerSchemaError struct {
	Database, Binary int64
}

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("the state schema is at version %d and this etl knows only up to %d; use the etl that migrated it, or a newer one", e.Database, e.Binary)
}

// Migrate brings the `etl` schema of the database up to this binary's version. Several processes
// may call it at once: each migration is applied once. A schema newer than the binary is a
// *NewerSchemaError and nothing is touched.
func Migrate(ctx context.Context, dsn string) error {
	db, err := openSQL(dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := checkServer(ctx, db); err != nil {
		return err
	}
	if err := createSchema(ctx, db); err != nil {
		return err
	}
	provider, err := newProvider(db)
	if err != nil {
		return err
	}
	if err := refuseNewer(ctx, provider); err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the state schema: %w", err)
	}
	return nil
}

// Migrations lists every migration that this binary has and whether the database has it too. It
// changes nothing; a database that was never migrated has none.
func Migrations(ctx context.Context, dsn string) ([]MigrationStatus, error) {
	db, err := openSQL(dsn)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := checkServer(ctx, db); err != nil {
		return nil, err
	}
	provider, err := newProvider(db)
	if err != nil {
		return nil, err
	}
	var applied int64
	if exists, err := hasVersionTable(ctx, db); err != nil {
		return nil, err
	} else if exists {
		if applied, err = provider.GetDBVersion(ctx); err != nil {
			return nil, fmt.Errorf("read the state schema's version: %w", err)
		}
	}
	var list []MigrationStatus
	for _, source := range provider.ListSources() {
		list = append(list, MigrationStatus{Version: source.Version, Name: source.Path, Applied: source.Version <= applied})
	}
	return list, nil
}

func openSQL(dsn string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("state database: %w", err)
	}
	return stdlib.OpenDB(*config), nil
}

func newProvider(db *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, fmt.Errorf("migration lock: %w", err)
	}
	store, err := database.NewStore(database.DialectPostgres, versionTable)
	if err != nil {
		return nil, fmt.Errorf("migration store: %w", err)
	}
	provider, err := goose.NewProvider("", db, migrations.FS, goose.WithStore(store), goose.WithSessionLocker(locker))
	if err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}
	return provider, nil
}

func refuseNewer(ctx context.Context, provider *goose.Provider) error {
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the state schema's version: %w", err)
	}
	if current > target {
		return &NewerSchemaError{Database: current, Binary: target}
	}
	return nil
}

func checkServer(ctx context.Context, db *sql.DB) error {
	var number int
	var name string
	row := db.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version')`)
	if err := row.Scan(&number, &name); err != nil {
		return fmt.Errorf("state database: %w", err)
	}
	if number < MinServerVersion {
		return fmt.Errorf("state database: Postgres %s is too old; etl needs %d or newer", name, MinServerVersion/10000)
	}
	return nil
}

// createSchema avoids CREATE SCHEMA IF NOT EXISTS where the schema is there already: it asks for the
// right to create even then, and a state user often has none.
func createSchema(ctx context.Context, db *sql.DB) error {
	var exists bool
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'etl')`).Scan(&exists); err != nil {
		return fmt.Errorf("look for the schema etl: %w", err)
	}
	if exists {
		return nil
	}
	_, err := db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS etl`)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42501" {
		return fmt.Errorf("create the schema etl: %w; let an owner run: CREATE SCHEMA etl AUTHORIZATION <the user of ETL_DATABASE_URL>", err)
	}
	// Another process may have created it between our look and our CREATE.
	if errors.As(err, &refused) && refused.Code == "23505" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create the schema etl: %w", err)
	}
	return nil
}

func hasVersionTable(ctx context.Context, db *sql.DB) (bool, error) {
	var exists bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, versionTable).Scan(&exists); err != nil {
		return false, fmt.Errorf("look for %s: %w", versionTable, err)
	}
	return exists, nil
}
