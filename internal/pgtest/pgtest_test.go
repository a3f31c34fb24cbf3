package pgtest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"bulkhead/internal/pgtest"
)

// envVictim makes this test binary start a server, print its socket directory
// and kill itself.
const envVictim = "PGTEST_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(envVictim) != "" {
		dieWithServer()
	}
	pgtest.Main(m)
}

func dieWithServer() {
	server, err := pgtest.Start(context.Background())
	if err != nil {
		panic(err)
	}
	config, err := pgx.ParseConfig(server.DSN("postgres"))
	if err != nil {
		panic(err)
	}
	fmt.Print(config.Host)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		panic(err)
	}
	panic(self.Kill())
}

func TestKilledProcessLeavesNothing(t *testing.T) {
	t.Parallel()
	victim := exec.CommandContext(t.Context(), os.Args[0])
	victim.Env = append(os.Environ(), envVictim+"=1")
	out, err := victim.Output()
	dir := string(out)
	if err == nil || !strings.Contains(dir, "etl-postgres-") {
		t.Fatalf("victim: %v, printed %q", err, dir)
	}
	// The guard removes the directory last, when the server has ended.
	for {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the server's directory is still there")
		}
	}
}

func TestNewIsMigratedAndEmpty(t *testing.T) {
	t.Parallel()
	conn := pgtest.Conn(t, pgtest.New(t))
	var runs int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM etl.runs").Scan(&runs); err != nil {
		t.Fatal(err)
	}
	if runs != 0 {
		t.Errorf("fresh database has %d runs", runs)
	}
}

func TestDatabasesAreApart(t *testing.T) {
	t.Parallel()
	one, two := pgtest.New(t), pgtest.New(t)
	pgtest.Exec(t, one, "CREATE TABLE mine (id int); INSERT INTO mine VALUES (1)")
	var exists bool
	err := pgtest.Conn(t, two).QueryRow(t.Context(), "SELECT to_regclass('mine') IS NOT NULL").Scan(&exists)
	if err != nil {
		t.Fatal(err)
	}
	if exists {
		t.Error("a table made in one database shows in the other")
	}
}

func TestDatabasesAreAwkward(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]string{"new": pgtest.New(t), "empty": pgtest.Empty(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got [4]string
			err := pgtest.Conn(t, dsn).QueryRow(t.Context(), `
				SELECT current_setting('timezone'), current_setting('server_encoding'),
					datlocprovider::text, ('a' < 'B')::text
				FROM pg_database WHERE datname = current_database()`).Scan(&got[0], &got[1], &got[2], &got[3])
			if err != nil {
				t.Fatal(err)
			}
			want := [4]string{pgtest.Timezone, "UTF8", "i", "true"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("time zone, encoding, provider, a < B (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDSNWorksForPsql(t *testing.T) {
	t.Parallel()
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("no psql in PATH")
	}
	out, err := exec.CommandContext(t.Context(), psql, "-XAtc", "SELECT 1", pgtest.Empty(t)).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "1" {
		t.Errorf("psql: %v\n%s", err, out)
	}
}

func TestPassedTestLeavesNoDatabase(t *testing.T) {
	t.Parallel()
	var gone string
	t.Run("inner", func(t *testing.T) { gone = pgtest.Empty(t) })
	conn, err := pgx.Connect(t.Context(), gone)
	if err == nil {
		_ = conn.Close(t.Context())
		t.Error("the database of a passed test is still there")
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dsn, err := server.CreateDatabase(t.Context(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	conn := pgtest.Conn(t, dsn) // open sessions do not hold up the end
	for range 2 {
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("the server answers after Stop")
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(config.Host); !os.IsNotExist(err) {
		t.Errorf("directory after Stop: %v, want it gone", err)
	}
}

func TestACrashedServerComesBackWithItsData(t *testing.T) {
	t.Parallel()
	server, err := pgtest.StartIn(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	dsn, err := server.CreateDatabase(t.Context(), "lasting")
	if err != nil {
		t.Fatal(err)
	}
	conn := pgtest.Conn(t, dsn)
	// What the server acknowledges without this it may forget.
	if _, err := conn.Exec(t.Context(), "SET synchronous_commit = on"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE TABLE mine AS SELECT 1 AS id"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := server.Crash(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a crashed server answers")
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := pgtest.Conn(t, dsn).QueryRow(t.Context(), "SELECT count(*) FROM mine").Scan(&n); err != nil || n != 1 {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestStartStopsWaitingWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	server, err := pgtest.Start(ctx)
	if err == nil {
		_ = server.Stop()
		t.Fatal("no error from a cancelled start")
	}
}
