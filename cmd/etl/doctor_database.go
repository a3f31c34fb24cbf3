package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/project"
	"bulkhead/internal/state"
)

// checkDatabase looks at the database that keeps the state.
func (d *doctor) checkDatabase(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	if d.project == nil {
		d.skip("database", "the project cannot be read")
		return
	}
	dsn, err := d.project.StateDSN()
	if err != nil {
		d.fail("database", "set it in .env, or in the environment", err)
		d.skip("schema", "there is no database")
		return
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		d.fail("database", "", connectError(project.DatabaseURL, dsn, err))
		d.skip("schema", "there is no database")
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	d.checkServer(ctx, conn)
	d.checkSchema(ctx, conn, dsn)
}

// checkServer looks at the server's version and the user's rights.
func (d *doctor) checkServer(ctx context.Context, conn *pgx.Conn) {
	const query = `SELECT current_setting('server_version'), current_setting('server_version_num')::int,
		current_user::text, current_database()::text,
		to_regnamespace('etl') IS NOT NULL,
		coalesce(has_schema_privilege(to_regnamespace('etl')::oid, 'CREATE') AND has_schema_privilege(to_regnamespace('etl')::oid, 'USAGE'), false),
		has_database_privilege(current_database(), 'CREATE')`
	var version, user, database string
	var number int
	var exists, mayUse, mayCreate bool
	if err := conn.QueryRow(ctx, query).Scan(&version, &number, &user, &database, &exists, &mayUse, &mayCreate); err != nil {
		d.fail("database", "", err)
		return
	}
	if number < state.MinServerVersion {
		d.fail("database", "upgrade the server", fmt.Errorf("postgres %s is too old; etl needs %d or newer", version, state.MinServerVersion/10000))
		return
	}
	d.ok("database", "Postgres %s, database %q as user %q", version, database, user)
	name := pgx.Identifier{user}.Sanitize()
	switch {
	case exists && !mayUse:
		d.fail("rights", fmt.Sprintf("let its owner run: GRANT ALL ON SCHEMA etl TO %s; GRANT ALL ON ALL TABLES IN SCHEMA etl TO %s", name, name),
			fmt.Errorf("user %q may not use the schema etl", user))
	case !exists && !mayCreate:
		d.fail("rights", "let the owner of the database run: CREATE SCHEMA etl AUTHORIZATION "+name,
			fmt.Errorf("user %q may not create the schema etl", user))
	case exists:
		d.ok("rights", "user %q may use the schema etl", user)
	default:
		d.ok("rights", "user %q may create the schema etl", user)
	}
}

// checkSchema looks at the version of the state tables.
func (d *doctor) checkSchema(ctx context.Context, conn *pgx.Conn, dsn string) {
	newest, err := newestMigration(ctx, conn)
	if err != nil {
		d.fail("schema", "", err)
		return
	}
	migrations, err := state.Migrations(ctx, dsn)
	if err != nil {
		d.fail("schema", "", connectError(project.DatabaseURL, dsn, err))
		return
	}
	missing, ours := 0, int64(0)
	for _, m := range migrations {
		ours = max(ours, m.Version)
		if !m.Applied {
			missing++
		}
	}
	switch {
	case newest > ours:
		d.fail("schema", "use the etl that migrated it, or a newer one", &state.NewerSchemaError{Database: newest, Binary: ours})
	case missing > 0:
		d.warn("schema", fmt.Sprintf("%s of %d missing", console.Plural(int64(missing), "migration"), len(migrations)),
			"nothing to do: the next command applies them, or \"etl migrate up\"")
	default:
		d.ok("schema", "at version %d, which is this etl's", ours)
	}
}

// newestMigration is the newest migration that the database has, of any etl.
func newestMigration(ctx context.Context, conn *pgx.Conn) (int64, error) {
	var version int64
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('etl.schema_version') IS NOT NULL`).Scan(&exists); err != nil || !exists {
		return 0, err
	}
	err := conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM etl.schema_version`).Scan(&version)
	return version, err
}

// checkSources looks at the sources of etl.yaml that pipelines read from.
func (d *doctor) checkSources(ctx context.Context) {
	seen := map[string]bool{"": true} // the state database is looked at already
	for _, p := range d.pipelines {
		if seen[p.Source] {
			continue
		}
		seen[p.Source] = true
		check := "source " + p.Source
		dsn, err := d.project.Source(p.Source)
		if err == nil {
			err = pingWithin(ctx, p.Source, dsn)
		}
		if err != nil {
			d.fail(check, "", err)
			continue
		}
		d.ok(check, "answers")
	}
}

func pingWithin(ctx context.Context, name, dsn string) error {
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	return pingSource(ctx, name, dsn)
}

// checkSpool looks whether chunks can be kept.
func (d *doctor) checkSpool() {
	if d.project == nil {
		d.skip("spool", "the project cannot be read")
		return
	}
	dir := d.project.SpoolDir()
	const mend = "let ETL_SPOOL_DIR name a folder that this user can write to"
	at, err := existing(dir)
	if err == nil {
		err = writable(at)
	}
	if err != nil {
		d.fail("spool", mend, err)
		return
	}
	free, known := freeBytes(at)
	limit := d.project.SpoolMaxBytes()
	switch {
	case !known:
		d.ok("spool", "%s", dir)
	case free < limit/10 || free < 1_000_000_000:
		d.warn("spool", fmt.Sprintf("%s has %s free; the spool may take %s", dir, console.Bytes(free), console.Bytes(limit)),
			"free some space, let ETL_SPOOL_DIR name another disk, or lower spool.max_bytes in etl.yaml")
	default:
		d.ok("spool", "%s, %s free", dir, console.Bytes(free))
	}
}

// existing is the folder itself, or the nearest above it that is there.
func existing(dir string) (string, error) {
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			return "", fmt.Errorf("%s is no folder", dir)
		case err == nil:
			return dir, nil
		case !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir):
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}

// writable makes a file in a folder and removes it again.
func writable(dir string) error {
	file, err := os.CreateTemp(dir, ".etl-doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}
