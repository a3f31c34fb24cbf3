package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
)

// TestInitFromSource goes from an empty folder to a load.
func TestInitFromSource(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.sql(`CREATE TABLE customers (id int PRIMARY KEY, name text, website text);
		INSERT INTO customers SELECT i, 'Customer ' || i, 'https://c' || i || '.example' FROM generate_series(1, 10) i;
		CREATE TABLE people (id int PRIMARY KEY, customer_id int REFERENCES customers, last_name text, note text);
		INSERT INTO people SELECT i, 1 + i % 10, 'Person ' || i, 'n' FROM generate_series(1, 30) i;
		CREATE TABLE log (at timestamptz); CREATE TABLE leads (name text)`)
	b.etl("init", b.dir, "--from-source").exits(t, exitDone).says(t,
		"public.customers", "3 of 3", "public.people", "3 of 4", "no object of this name: --table log=OBJECT says which", "no primary key",
		"wrote  "+filepath.Join(b.dir, "pipelines", "first-load.yaml"), "etl plan first-load")
	b.etl("validate").exits(t, exitDone)
	b.etl("run", "first-load").exits(t, exitDone).says(t, "40 of 40 rows loaded")
	if n := b.count("SELECT COUNT() FROM Contact WHERE Account.Name != null"); n != 30 {
		t.Errorf("%d contacts have their account", n)
	}
	b.etl("init", b.dir, "--from-source").exits(t, exitDone).says(t, "kept", "first-load.yaml (exists)")
	made := decode[initialized](t, b.etl("init", b.dir, "--from-source", "--table", "people=lead", "--name", "leads", "--json").exits(t, exitDone))
	if len(made.Tables) != 4 || made.Tables[3].Object != "Lead" || made.Tables[3].Matched != 2 || made.Tables[0].Note != "not asked for" {
		t.Errorf("as JSON: %+v", made)
	}
	text, err := os.ReadFile(filepath.Join(b.dir, "pipelines", "leads.yaml"))
	if err != nil || !strings.Contains(string(text), "# Company: ...   # a new record must have it") {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestInitFromSourceUsage has nothing to propose from.
func TestInitFromSourceUsage(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	dir := filepath.Join(b.dir, "new")
	b.etl("init", dir, "--table", "people").exits(t, exitUsage).says(t, "are for --from-source")
	b.etl("init", dir, "--from-source").exits(t, exitUsage).says(t, "no table of the source has a primary key and an object of its name")
	b.sql(`CREATE TABLE people (id int PRIMARY KEY, last_name text); CREATE TABLE log (at timestamptz)`)
	b.etl("init", dir, "--from-source", "--table", "peple").exits(t, exitUsage).says(t, `the source has no table "peple"`, `Did you mean "people"?`)
	b.etl("init", dir, "--from-source", "--table", "people=Contct").exits(t, exitUsage).says(t, `the org has no object "Contct"`, `Did you mean "Contact"?`)
	b.etl("init", dir, "--from-source", "--table", "log=Task").exits(t, exitUsage).says(t, "public.log: no primary key")
	b.etl("init", dir, "--from-source", "--name", "a/b").exits(t, exitUsage).says(t, `"a/b" is no name`)
	b.etl("init", dir, "--from-source", "--source", "warehouse").exits(t, exitUsage).says(t, "warehouse")
	delete(b.env, "ETL_DATABASE_URL")
	b.etl("init", dir, "--from-source").exits(t, exitUsage).says(t, "ETL_DATABASE_URL is not set")
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("something was written: %v", err)
	}
}
