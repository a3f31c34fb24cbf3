package preflight_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"bulkhead/internal/emulator"
	"bulkhead/internal/pgtest"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/preflight"
	"bulkhead/internal/salesforce"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { pgtest.Main(m) }

// source is a connection to a database with the tables of testdata/schema.sql,
// as a role that may read all of them but secret.
func source(t *testing.T) *pgx.Conn {
	t.Helper()
	schema, err := os.ReadFile(filepath.Join("testdata", "schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	dsn := pgtest.Empty(t)
	conn := pgtest.Conn(t, dsn)
	for _, sql := range []string{string(schema), "CREATE TABLE secret (id bigint, sfid text)"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	// pg_read_server_files is any role that exists everywhere, may not log in
	// and may not read our tables: no role has to be made and removed.
	for _, sql := range []string{
		"GRANT SELECT ON customers, people TO pg_read_server_files",
		"SET ROLE pg_read_server_files",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// org is a login to an emulated org.
func org(t *testing.T) *salesforce.Org {
	t.Helper()
	login, _ := orgWithServer(t)
	return login
}

func orgWithServer(t *testing.T) (*salesforce.Org, *emulator.Server) {
	t.Helper()
	server, err := emulator.Start(t.Context(), emulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	login, err := salesforce.Open(t.Context(), salesforce.Config{
		LoginURL: server.URL(), ClientID: emulator.DefaultClientID, ClientSecret: emulator.DefaultClientSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	return login, server
}

func load(t *testing.T, path string) *pipeline.Pipeline {
	t.Helper()
	p, err := pipeline.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// counting counts what an org is asked.
type counting struct {
	preflight.Describer
	described map[string]int
}

func (c *counting) Describe(ctx context.Context, object string) (*salesforce.Object, error) {
	c.described[object]++
	return c.Describer.Describe(ctx, object)
}

func TestExamplePasses(t *testing.T) {
	t.Parallel()
	p := load(t, filepath.Join("..", "..", pipeline.Folder, "customers.yaml"))
	asked := &counting{Describer: org(t), described: map[string]int{}}
	report, err := preflight.Check(t.Context(), source(t), asked, p, p.Ordered(), preflight.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) > 0 || report.Err() != nil {
		t.Fatalf("findings: %v", report.Findings)
	}
	if diff := cmp.Diff(map[string]int{"Account": 1, "Contact": 1}, asked.described); diff != "" {
		t.Errorf("each object is to be described once: %s", diff)
	}
	contacts := report.Steps[1]
	want := []preflight.ColumnPlan{
		{Target: "Legacy_Id__c", From: "id", SourceType: "bigint", SalesforceType: "string", MaxChars: 50},
		{Target: "Account.Legacy_Id__c", From: "account_id", SourceType: "bigint", SalesforceType: "reference"},
		{Target: "FirstName", From: "first_name", SourceType: "text", SalesforceType: "string", MaxChars: 40},
		{Target: "LastName", From: "last_name", SourceType: "text", SalesforceType: "string", MaxChars: 80},
		{Target: "Email", From: "email", SourceType: "text", SalesforceType: "email", MaxChars: 80},
		{Target: "Phone", From: "phone", SourceType: "text", SalesforceType: "phone", MaxChars: 40},
		{Target: "Birthdate", From: "birthdate", SourceType: "date", SalesforceType: "date"},
		{Target: "LeadSource", From: "lead_source", SourceType: "text", SalesforceType: "picklist"},
	}
	if diff := cmp.Diff(want, contacts.Columns); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"bigint", "bigint"}, contacts.KeyTypes); diff != "" {
		t.Error(diff)
	}
	if contacts.Object.Name != "Contact" || contacts.ExternalIDCaseSensitive || contacts.SQL != p.Steps[1].Compile().SQL("", 0) {
		t.Errorf("object %s, case sensitive %v, SQL %s", contacts.Object.Name, contacts.ExternalIDCaseSensitive, contacts.SQL)
	}
	if report.Steps[0].Columns[8].SourceType != "numeric" {
		t.Errorf("the expression's type is %q", report.Steps[0].Columns[8].SourceType)
	}
}

// TestFindings checks the pipelines of testdata and compares the findings with
// the golden file beside each.
func TestFindings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			p := load(t, file)
			report, err := preflight.Check(t.Context(), source(t), org(t), p, p.Steps, preflight.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Steps) != len(p.Steps) {
				t.Errorf("%d plans for %d steps", len(report.Steps), len(p.Steps))
			}
			var lines strings.Builder
			faults := 0
			for _, f := range report.Findings {
				lines.WriteString(string(f.Severity) + " " + strings.TrimPrefix(f.String(), "testdata"+string(filepath.Separator)) + "\n")
				if f.Severity == preflight.SeverityError {
					faults++
				}
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", lines.String())
			checkErr(t, report, faults)
		})
	}
}

// checkErr checks that Err holds exactly the findings that are errors.
func checkErr(t *testing.T, report *preflight.Report, faults int) {
	t.Helper()
	var list *preflight.Error
	if !errors.As(report.Err(), &list) {
		if faults > 0 || report.Err() != nil {
			t.Errorf("Err = %v, want an *Error with %d findings", report.Err(), faults)
		}
		return
	}
	if len(list.Findings) != faults || strings.Count(list.Error(), "\n")+1 != faults {
		t.Errorf("Err has %d findings, want %d:\n%v", len(list.Findings), faults, list)
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (run with -update to accept): %s", path, diff)
	}
}

// unreachable is an org that does not answer.
type unreachable struct{ err error }

func (u unreachable) Describe(context.Context, string) (*salesforce.Object, error) { return nil, u.err }

func (u unreachable) Objects(context.Context) ([]salesforce.ObjectSummary, error) { return nil, u.err }

func TestLostConnections(t *testing.T) {
	t.Parallel()
	p := load(t, filepath.Join("..", "..", pipeline.Folder, "customers.yaml"))
	conn := source(t)
	down := errors.New("down")
	if _, err := preflight.Check(t.Context(), conn, unreachable{down}, p, p.Steps, preflight.Options{}); !errors.Is(err, down) {
		t.Errorf("org down: %v", err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if report, err := preflight.Check(t.Context(), conn, org(t), p, p.Steps, preflight.Options{}); err == nil {
		t.Errorf("database down: %+v", report)
	}
}

// TestSuggestsWithoutList checks that an object that is not there is reported
// even where the org does not list those that are.
func TestSuggestsWithoutList(t *testing.T) {
	t.Parallel()
	p := load(t, filepath.Join("..", "..", pipeline.Folder, "customers.yaml"))
	nothing := unreachable{&salesforce.NotFoundError{Object: "Account"}}
	report, err := preflight.Check(t.Context(), source(t), nothing, p, p.Steps[:1], preflight.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) != 1 || !strings.Contains(report.Findings[0].Message, `no object "Account"`) || report.Steps[0].Object != nil {
		t.Errorf("findings %v, object %v", report.Findings, report.Steps[0].Object)
	}
}
