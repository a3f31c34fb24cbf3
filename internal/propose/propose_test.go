package propose_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"bulkhead/internal/emulator"
	"bulkhead/internal/pgtest"
	"bulkhead/internal/propose"
	"bulkhead/internal/salesforce"
)

var update = flag.Bool("update", false, "write the golden file anew")

func TestMain(m *testing.M) { pgtest.Main(m) }

// schema is a source of many kinds of tables.
const schema = `
	CREATE SCHEMA archive;
	CREATE TABLE customers (id bigint PRIMARY KEY, name text, web_site text, "Annual Revenue" numeric, employees int, created timestamptz, rating text);
	CREATE TABLE archive.customers (id bigint PRIMARY KEY, name varchar(80));
	CREATE TABLE people (id uuid PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, boss uuid REFERENCES people,
		first_name text, lastname text, emial text, birthdate text, "order" int);
	CREATE TABLE invoice (year int, no int, customer_id bigint REFERENCES customers, issued_on date, amount numeric(12,2), paid boolean, sent_at bytea, PRIMARY KEY (year, no));
	CREATE TABLE tickets (id int PRIMARY KEY, subject text, description text);
	CREATE VIEW deals AS SELECT 1 AS id, 'x'::text AS name;
	CREATE TABLE odd ("select" int PRIMARY KEY, "a ""b""" text, "#c: d" text);`

// org is the objects of an emulated org, and what describes them.
func org(t *testing.T) (*salesforce.Org, []salesforce.ObjectSummary) {
	t.Helper()
	server, err := emulator.Start(t.Context(), emulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	login, err := salesforce.Open(t.Context(), salesforce.Config{
		LoginURL: server.URL(), ClientID: emulator.DefaultClientID, ClientSecret: emulator.DefaultClientSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := login.Objects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return login, objects
}

func describe(t *testing.T, login *salesforce.Org, name string) *salesforce.Object {
	t.Helper()
	object, err := login.Describe(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// TestPropose writes a pipeline for all the tables and compares it with the
// golden file.
func TestPropose(t *testing.T) {
	t.Parallel()
	conn := pgtest.Conn(t, pgtest.New(t)) // with etl's own tables, which are none of it
	if _, err := conn.Exec(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	tables, err := propose.Tables(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	login, objects := org(t)
	want := map[string]string{
		"archive.customers": "Account", "public.customers": "Account", "public.people": "Contact", "public.invoice": "Invoice__c",
		"public.tickets": "Case", "public.deals": "Opportunity", "public.odd": "",
	}
	found := map[string]string{}
	var choices []propose.Choice
	for _, table := range tables {
		name := table.Schema + "." + table.Name
		found[name] = propose.Object(table.Name, objects)
		object := found[name]
		if table.Name == "odd" {
			object = "Lead"
		}
		if len(table.Key) > 0 {
			choices = append(choices, propose.Choice{Table: table, Object: describe(t, login, object)})
		}
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
	text, err := propose.Pipeline{Name: "first-load", Source: "warehouse", Org: "123", Steps: propose.Steps(choices)}.Text()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "first-load.yaml")
	if *update {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), string(text)); diff != "" {
		t.Errorf("%s (run with -update to accept): %s", path, diff)
	}
}

// TestTables looks at what is known of a table.
func TestTables(t *testing.T) {
	t.Parallel()
	conn := pgtest.Conn(t, pgtest.New(t))
	if _, err := conn.Exec(t.Context(), schema+`; CREATE TABLE secret (id int); SET ROLE pg_read_server_files`); err != nil {
		t.Fatal(err)
	}
	if tables, err := propose.Tables(t.Context(), conn); err != nil || len(tables) != 0 {
		t.Errorf("a role that may read nothing sees %v, %v", tables, err)
	}
	if _, err := conn.Exec(t.Context(), `RESET ROLE; GRANT SELECT ON people TO pg_read_server_files; SET ROLE pg_read_server_files`); err != nil {
		t.Fatal(err)
	}
	tables, err := propose.Tables(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	want := []propose.Table{{
		Schema: "public", Name: "people", Key: []string{"id"},
		Columns: []propose.Column{
			{Name: "id", Type: "uuid"},
			{Name: "customer_id", Type: "bigint"},
			{Name: "boss", Type: "uuid"},
			{Name: "first_name", Type: "text"},
			{Name: "lastname", Type: "text"},
			{Name: "emial", Type: "text"},
			{Name: "birthdate", Type: "text"},
			{Name: "order", Type: "integer"},
		},
		Parents: []propose.Parent{{Column: "customer_id", Schema: "public", Table: "customers"}, {Column: "boss", Schema: "public", Table: "people"}},
	}}
	if diff := cmp.Diff(want, tables, cmpopts.IgnoreFields(propose.Table{}, "Rows")); diff != "" {
		t.Error(diff)
	}
}

// TestAnyNamesMakeAPipeline has tables and columns called anything.
func TestAnyNamesMakeAPipeline(t *testing.T) {
	t.Parallel()
	login, _ := org(t)
	account, contact := describe(t, login, "Account"), describe(t, login, "Contact")
	rapid.Check(t, func(r *rapid.T) {
		name := rapid.StringOfN(rapid.RuneFrom([]rune(`ab1 _-"'\:#{}[]%$,.éÄ日`)), 1, 12, 60).Filter(func(s string) bool { return strings.TrimSpace(s) != "" })
		names := rapid.SliceOfNDistinct(name, 2, 6, func(s string) string { return s }).Draw(r, "columns")
		parent := propose.Table{Schema: "public", Name: name.Draw(r, "parent"), Key: names[:1]}
		child := propose.Table{Schema: "s" + name.Draw(r, "schema"), Name: name.Draw(r, "child"), Key: names[:2]}
		child.Parents = []propose.Parent{{Column: names[1], Schema: parent.Schema, Table: parent.Name}}
		for _, n := range names {
			c := propose.Column{Name: n, Type: "text"}
			parent.Columns, child.Columns = append(parent.Columns, c), append(child.Columns, c)
		}
		steps := propose.Steps([]propose.Choice{{Table: child, Object: contact}, {Table: parent, Object: account}})
		if steps[0].Table.Name != parent.Name {
			r.Fatal("a child comes before its parent")
		}
		text, err := propose.Pipeline{Name: "x", Steps: steps}.Text()
		if err != nil {
			r.Fatalf("%v\n%s", err, text)
		}
		if !strings.Contains(string(text), "Account.Legacy_Id__c") {
			r.Fatalf("the foreign key is lost:\n%s", text)
		}
	})
}
