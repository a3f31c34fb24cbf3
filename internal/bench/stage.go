package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/pgtest"
)

// endTime is how long a program that is told to end may take.
const endTime = 20 * time.Second

// stage is what all items need: a Postgres with the source table, and a folder.
type stage struct {
	cfg      Config
	dir      string
	postgres *pgtest.Server
	source   string // connection string
	states   int    // databases made for the state of runs
}

func openStage(ctx context.Context, cfg Config) (*stage, error) {
	s := &stage{cfg: cfg}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) open(ctx context.Context) error {
	var err error
	if s.cfg.Etl, err = filepath.Abs(s.cfg.Etl); err != nil {
		return err
	}
	if _, err = os.Stat(s.cfg.Etl); err != nil {
		return fmt.Errorf("the program to measure (make build makes it): %w", err)
	}
	if s.dir, err = os.MkdirTemp("", "etl-bench-"); err != nil {
		return err
	}
	if s.postgres, err = pgtest.Start(ctx); err != nil {
		return err
	}
	if s.source, err = s.postgres.CreateDatabase(ctx, "source"); err != nil {
		return err
	}
	fmt.Fprintf(s.cfg.Log, "%s making a table of %d rows\n", time.Now().Format("15:04:05"), s.cfg.LongRows)
	return s.fill(ctx)
}

func (s *stage) close() error {
	var err error
	if s.postgres != nil {
		err = s.postgres.Stop()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// people is the source's table. Its rows make records of about 285 bytes: text,
// numbers and times, one in fifty with quotes, commas, line breaks and letters
// beyond ASCII.
const people = `
	CREATE TABLE people AS
	SELECT i::bigint AS id, 'First' || i % 5000 AS first_name,
		CASE WHEN i % 50 = 0 THEN 'O"Brien, Zoë' ELSE 'Lastname' || i % 90000 END AS last_name,
		'person.' || i || '@mail.example.com' AS email, '+1 555 ' || 1000000 + i % 9000000 AS phone,
		'Head of Purchasing ' || i % 300 AS title, 'Department ' || i % 40 AS department,
		i % 800 || ' Long Street' || CASE WHEN i % 50 = 0 THEN E', "The Mill"\nback yard, Übersee' ELSE '' END AS street,
		CASE WHEN i % 50 = 0 THEN 'Zürich' ELSE 'Springfield' END AS city,
		((i % 180000)::numeric / 1000 - 90)::numeric(9, 6) AS latitude, ((i % 359000)::numeric / 1000 - 179)::numeric(9, 6) AS longitude,
		date '1950-01-01' + (i % 20000)::int AS born, timestamptz '2020-01-01 00:00:00+00' + i * interval '1.37 s' AS bounced_at,
		i % 7 = 0 AS opted_out, repeat('a note on this person, ', 3) || i AS note
	FROM generate_series(1, %d) i`

func (s *stage) fill(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.source)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, statement := range []string{
		strings.Replace(people, "%d", strconv.FormatInt(s.cfg.LongRows, 10), 1), "ALTER TABLE people ADD PRIMARY KEY (id)", "VACUUM (FREEZE, ANALYZE) people",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make the source table: %w", err)
		}
	}
	return nil
}

// stateDatabase makes a database for the state of runs, with its tables: a load
// that finds records of an earlier one in reconciliation is another load.
func (s *stage) stateDatabase(ctx context.Context) (string, error) {
	s.states++
	dsn, err := s.postgres.CreateDatabase(ctx, fmt.Sprintf("state%d", s.states))
	if err != nil {
		return "", err
	}
	_, err = s.exec(ctx, nil, []string{"ETL_DATABASE_URL=" + dsn}, s.cfg.Etl, "migrate", "up")
	return dsn, err
}
