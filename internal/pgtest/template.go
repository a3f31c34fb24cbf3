package pgtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/state"
	"bulkhead/migrations"
)

// templateLock is the advisory lock under which a server's template is made. The
// number only has to be unlike those of others.
const templateLock = 0x65746c_74657374 // "etltest"

// migratedTemplate returns the name of the template database for this binary's
// migrations, and makes it when the server has none: once, whoever else shares
// the server. The name holds a hash of the migrations, so that a checkout with
// other migrations has a template of its own.
func (s *Server) migratedTemplate(ctx context.Context) (string, error) {
	hash, err := migrationHash()
	if err != nil {
		return "", err
	}
	name := "etl_template_" + hash
	conn, err := pgx.Connect(ctx, s.admin.String())
	if err != nil {
		return "", err
	}
	// Ending the session ends its lock.
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(templateLock)); err != nil {
		return "", err
	}
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil {
		return "", err
	}
	if exists {
		return name, nil
	}
	return name, s.makeTemplate(ctx, name)
}

// makeTemplate migrates a database under a name of its own and renames it when
// it is complete, so that a template that exists is always a finished one.
func (s *Server) makeTemplate(ctx context.Context, name string) error {
	unfinished := databaseName(name)
	dsn, err := s.CreateDatabase(ctx, unfinished)
	if err != nil {
		return err
	}
	if err := state.Migrate(ctx, dsn); err != nil {
		return errors.Join(err, s.drop(ctx, unfinished))
	}
	return s.exec(ctx, "ALTER DATABASE "+quote(unfinished)+" RENAME TO "+quote(name))
}

// migrationHash is a hash over the names and contents of all migrations.
func migrationHash() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(migrations.FS, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(migrations.FS, path)
		sum.Write(fmt.Appendf(nil, "%s %d\n%s", path, len(text), text))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the migrations: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// databaseName makes an unused database name that tells which test it was for.
func databaseName(test string) string {
	const longest = 63 - len("test__") - 16 // Postgres cuts names at 63 bytes
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, test)
	name = name[:min(len(name), longest)]
	return "test_" + name + "_" + strings.ToLower(rand.Text())[:16]
}
