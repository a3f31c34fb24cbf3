package main

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"bulkhead/internal/emulator"
	"bulkhead/internal/pgtest"
)

// newEmptyBench is a bench whose database has no state schema.
func newEmptyBench(t *testing.T) *bench {
	t.Helper()
	b := newOfflineBench(t)
	b.dsn = pgtest.Empty(t)
	b.env["ETL_DATABASE_URL"] = b.dsn
	return b
}

const secret = "s3cr3t-p4ss"

// refusingPostgres answers every login with an error, and returns its address.
func refusingPostgres(t *testing.T, code, message string) string {
	t.Helper()
	var listen net.ListenConfig
	listener, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			refuse(conn, code, message)
		}
	}()
	return listener.Addr().String()
}

func refuse(conn net.Conn, code, message string) {
	defer conn.Close()
	backend := pgproto3.NewBackend(conn, conn)
	for {
		m, err := backend.ReceiveStartupMessage()
		if err != nil {
			return
		}
		if _, ok := m.(*pgproto3.SSLRequest); ok {
			if _, err := conn.Write([]byte("N")); err != nil {
				return
			}
			continue
		}
		backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: message})
		_ = backend.Flush()
		return
	}
}

func TestDatabaseThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	var listen net.ListenConfig
	closed, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for _, test := range []struct {
		name, dsn string
		code      int
		want      []string
	}{
		{
			"unreachable", "postgres://u:" + secret + "@" + closed.Addr().String() + "/app", exitIncomplete,
			[]string{`ETL_DATABASE_URL: database "app" on 127.0.0.1:`, "connection refused", "check that the server runs there"},
		},
		{
			"unknown host", "postgres://u:" + secret + "@nowhere.invalid/app", exitIncomplete,
			[]string{`on nowhere.invalid:5432`, "there is no host of this name"},
		},
		{
			"wrong password", "postgres://u:" + secret + "@" + refusingPostgres(t, "28P01", "password authentication failed for user \"u\"") + "/app", exitIncomplete,
			[]string{`the server refuses the password of user "u"`},
		},
		{
			"no password", "postgres://u@" + refusingPostgres(t, "28P01", "password authentication failed for user \"u\"") + "/app", exitIncomplete,
			[]string{`user "u" needs a password, and none is given`},
		},
		{
			"not let in", "postgres://u:" + secret + "@" + refusingPostgres(t, "28000", "no pg_hba.conf entry") + "/app", exitIncomplete,
			[]string{`does not let user "u" in`, "pg_hba.conf"},
		},
		{
			"unknown database", "postgres://u:" + secret + "@" + refusingPostgres(t, "3D000", "database \"app\" does not exist") + "/app", exitIncomplete,
			[]string{`there is no database "app"`, "createdb app"},
		},
		{
			"full", "postgres://u:" + secret + "@" + refusingPostgres(t, "53300", "too many clients already") + "/app", exitIncomplete,
			[]string{"no connection left"},
		},
		{
			"no connection string", "postgres://u:" + secret + "#x@host:5432:1/app", exitUsage,
			[]string{"ETL_DATABASE_URL: this is no connection string that can be read", "%23 for #"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newOfflineBench(t)
			b.env["ETL_DATABASE_URL"] = test.dsn
			b.write("pipelines/customers.yaml", customersYAML)
			for _, args := range [][]string{{"run", "customers"}, {"failed", "list"}, {"migrate", "status"}} {
				r := b.etl(args...).exits(t, test.code).says(t, test.want...)
				if strings.Contains(r.stdout+r.stderr, secret) {
					t.Errorf("the password is printed:\n%s%s", r.stdout, r.stderr)
				}
			}
			r := b.etl("doctor").exits(t, exitIncomplete).says(t, test.want...)
			if strings.Contains(r.stdout+r.stderr, secret) {
				t.Errorf("the password is printed:\n%s%s", r.stdout, r.stderr)
			}
		})
	}
}

func TestSourceThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.write("etl.yaml", "sources:\n  warehouse:\n    url: ${WAREHOUSE_URL}\n")
	b.write("pipelines/customers.yaml", strings.Replace(customersYAML, "steps:", "source: warehouse\nsteps:", 1))
	b.etl("run", "customers").exits(t, exitUsage).says(t, "WAREHOUSE_URL")
	b.env["WAREHOUSE_URL"] = "postgres://u:" + secret + "@" + refusingPostgres(t, "28P01", "no") + "/app"
	r := b.etl("run", "customers").exits(t, exitIncomplete).says(t, `source "warehouse" of etl.yaml`, "refuses the password")
	if strings.Contains(r.stderr, secret) {
		t.Errorf("the password is printed: %s", r.stderr)
	}
	b.etl("doctor").exits(t, exitIncomplete).says(t, "✗ source warehouse")
	b.write("pipelines/customers.yaml", strings.Replace(customersYAML, "steps:", "source: warehose\nsteps:", 1))
	b.etl("run", "customers").exits(t, exitUsage).says(t, `did you mean "warehouse"?`)
}

func TestRefusedLogin(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(1)
	b.env["SALESFORCE_CLIENT_SECRET"] = secret
	r := b.etl("run", "customers").exits(t, exitIncomplete).says(t, "invalid_client", "check client_id and client_secret")
	if strings.Contains(r.stderr, secret) {
		t.Errorf("the secret is printed: %s", r.stderr)
	}
	b.etl("doctor").exits(t, exitIncomplete).says(t, "✗ login", "- api")
	b.env["SALESFORCE_LOGIN_URL"] = "http://example.com"
	b.etl("limits").exits(t, exitUsage).says(t, "plain http is for the machine itself only")
	b.env["SALESFORCE_LOGIN_URL"] = ""
	b.etl("limits").exits(t, exitUsage).says(t, "My Domain")
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(1)
	b.sql(`INSERT INTO etl.schema_version (version_id, is_applied) VALUES (999, true)`)
	b.etl("run", "customers").exits(t, exitIncomplete).says(t, "the state schema is at version 999", "use the etl that migrated it, or a newer one")
	b.etl("runs").exits(t, exitIncomplete).says(t, "999")
	b.etl("doctor").exits(t, exitIncomplete).says(t, "✗ schema", "999")
}

func TestUserWithoutRights(t *testing.T) {
	t.Parallel()
	b := newEmptyBench(t)
	conn := pgtest.Conn(t, b.dsn)
	role := "plain_" + strings.ToLower(strings.NewReplacer("/", "_").Replace(t.Name())) + "_" + itoa(int(conn.PgConn().PID()))
	b.sql(`CREATE ROLE ` + role + ` LOGIN PASSWORD 'x'`)
	t.Cleanup(func() {
		owner, err := pgx.Connect(context.Background(), b.dsn)
		if err != nil {
			t.Error(err)
			return
		}
		defer owner.Close(context.Background())
		if _, err := owner.Exec(context.Background(), `DROP ROLE `+role); err != nil {
			t.Error(err)
		}
	})
	config := conn.Config()
	b.env["ETL_DATABASE_URL"] = "host=" + config.Host + " port=" + itoa(int(config.Port)) + " dbname=" + config.Database + " user=" + role + " password=x"
	b.etl("runs").exits(t, exitIncomplete).says(t, "CREATE SCHEMA etl AUTHORIZATION", role)
	b.etl("doctor").exits(t, exitIncomplete).says(t, "✗ rights", "CREATE SCHEMA etl AUTHORIZATION")
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.write("pipelines/customers.yaml", customersYAML)
	view := decode[struct {
		Healthy bool
		Checks  []finding
	}](t, b.etl("doctor", "--json").exits(t, exitDone))
	var checks []string
	for _, c := range view.Checks {
		checks = append(checks, c.Check)
		if c.Status != "ok" && c.Check != "project" && c.Check != "spool" {
			t.Errorf("%s is %s: %s", c.Check, c.Status, c.Detail)
		}
	}
	if got, want := strings.Join(checks, " "), "project pipelines database rights schema spool login api limits objects of customers"; got != want || !view.Healthy {
		t.Errorf("checks are %q, want %q", got, want)
	}
	b.write("pipelines/customers.yaml", strings.Replace(customersYAML, "object: Account", "object: Acount", 1))
	b.etl("doctor").exits(t, exitIncomplete).says(t, "✗ objects of customers", `did you mean "Account"?`)
	b.env["SALESFORCE_API_VERSION"] = "90.0"
	b.write("pipelines/customers.yaml", customersYAML)
	b.etl("doctor").exits(t, exitIncomplete).says(t, "90.0")
	b.env["ETL_SPOOL_DIR"] = b.write("a-file", "")
	b.env["SALESFORCE_API_VERSION"] = ""
	b.etl("doctor").exits(t, exitIncomplete).says(t, "✗ spool", "is no folder", "ETL_SPOOL_DIR")
	b.etl("run", "customers").exits(t, exitIncomplete).says(t, "ETL_SPOOL_DIR")
}
