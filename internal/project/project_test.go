package project_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/project"
	"bulkhead/internal/salesforce"
	"bulkhead/internal/yamlfile"
)

// hush is in every secret of these tests: no message may hold it.
const hush = "hunter2"

// folder is a project in a folder of its own.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// environment is a lookup in a map.
func environment(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := vars[name]
		return value, ok
	}
}

func load(t *testing.T, dir string, vars map[string]string) *project.Project {
	t.Helper()
	p, err := project.Load(dir, environment(vars))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const example = `
# What the team shares.
sources:
  warehouse:
    url: ${WAREHOUSE_URL}
  replica:
    url: postgres://reader:${REPLICA_PASSWORD}@db:${REPLICA_PORT:-5432}/crm
  mounted:
    url: file:secrets/dsn
orgs:
  production:
    login_url: https://acme.my.salesforce.com
    client_id: ${CLIENT_ID:?ask the admin for the consumer key}
    client_secret: ${CLIENT_SECRET}
    api_version: 66.0
  sandbox:
    auth: jwt
    client_id: abc
    username: etl@acme.test
    private_key_file: keys/sandbox.pem
  token:
    access_token: file:secrets/token
    instance_url: https://acme.my.salesforce.com
    api_version: 65
spool:
  dir: ${SPOOL:-spool}
  max_bytes: 5GB
state:
  wait: 90s
`

func TestProject(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"etl.yaml":      example,
		".env":          "WAREHOUSE_URL=postgres://from-dotenv\nCLIENT_ID=from-dotenv\nexport REPLICA_PASSWORD='p w$d'\n",
		"secrets/dsn":   "postgres://mounted\n",
		"secrets/token": "00D!token\r\n",
		"pipelines/x":   "",
	})
	p := load(t, filepath.Join(dir, "pipelines"), map[string]string{
		"WAREHOUSE_URL": "postgres://from-environment", "CLIENT_SECRET": "s3", "ETL_DATABASE_URL": "postgres://state",
	})
	if p.Dir != dir || p.File != filepath.Join(dir, "etl.yaml") {
		t.Errorf("found %s in %s, want it in %s", p.File, p.Dir, dir)
	}

	for name, want := range map[string]string{
		"":          "postgres://state",
		"warehouse": "postgres://from-environment",
		"replica":   "postgres://reader:p w$d@db:5432/crm",
		"mounted":   "postgres://mounted",
	} {
		if got, err := p.Source(name); err != nil || got != want {
			t.Errorf("Source(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]salesforce.Config{
		"production": {LoginURL: "https://acme.my.salesforce.com", ClientID: "from-dotenv", ClientSecret: "s3", APIVersion: "66.0"},
		"sandbox":    {Auth: "jwt", ClientID: "abc", Username: "etl@acme.test", PrivateKeyFile: filepath.Join(dir, "keys", "sandbox.pem")},
		"token":      {AccessToken: "00D!token", InstanceURL: "https://acme.my.salesforce.com", APIVersion: "65.0"},
	} {
		got, err := p.Org(name)
		if err != nil {
			t.Errorf("Org(%q): %v", name, err)
		}
		if got != want {
			t.Errorf("Org(%q) is not as written (it prints without secrets): %+v", name, got)
		}
	}
	if diff := cmp.Diff([]string{"warehouse", "replica", "mounted"}, p.Sources()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"production", "sandbox", "token"}, p.Orgs()); diff != "" {
		t.Error(diff)
	}
	if got, want := p.SpoolDir(), filepath.Join(dir, "spool"); got != want {
		t.Errorf("SpoolDir = %s, want %s", got, want)
	}
	if got := p.SpoolMaxBytes(); got != 5_000_000_000 {
		t.Errorf("SpoolMaxBytes = %d", got)
	}
	if got := p.StateWait(); got != 90*time.Second {
		t.Errorf("StateWait = %v", got)
	}
}

func TestProjectWithoutFile(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{".env": "ETL_DATABASE_URL=postgres://state\n"})
	p := load(t, dir, map[string]string{
		"SALESFORCE_LOGIN_URL": "https://acme.my.salesforce.com", "SALESFORCE_CLIENT_ID": "id", "SALESFORCE_CLIENT_SECRET": "s3",
		"ETL_SPOOL_DIR": "/var/spool/etl",
	})
	if got, err := p.StateDSN(); err != nil || got != "postgres://state" {
		t.Errorf("StateDSN = %q, %v", got, err)
	}
	want := salesforce.Config{LoginURL: "https://acme.my.salesforce.com", ClientID: "id", ClientSecret: "s3"}
	if got, err := p.Org(""); err != nil || got != want {
		t.Errorf("Org = %+v, %v", got, err)
	}
	if p.SpoolDir() != "/var/spool/etl" || p.SpoolMaxBytes() != project.DefaultSpoolMaxBytes {
		t.Errorf("spool in %s up to %d", p.SpoolDir(), p.SpoolMaxBytes())
	}
	if p.StateWait() != project.DefaultStateWait {
		t.Errorf("waits %v for the state database", p.StateWait())
	}
	if _, err := p.Source("warehouse"); err == nil || !strings.Contains(err.Error(), "there is no etl.yaml") {
		t.Errorf("Source: %v", err)
	}
}

func TestEmptyProject(t *testing.T) {
	t.Parallel()
	p := load(t, folder(t, map[string]string{"etl.yaml": "# sources:\n\n"}), nil)
	if p.File == "" {
		t.Error("etl.yaml is not found")
	}
	if p.SpoolDir() == "" {
		t.Error("no spool")
	}
	tests := map[string]func() error{
		"ETL_DATABASE_URL is not set":     func() error { _, err := p.StateDSN(); return err },
		"ETL_DATABASE_URL is not":         func() error { _, err := p.Source(""); return err },
		"no Salesforce org is set up":     func() error { _, err := p.Org(""); return err },
		`source "a": ` + p.File + " has ": func() error { _, err := p.Source("a"); return err },
		`org "a": ` + p.File + " has no":  func() error { _, err := p.Org("a"); return err },
	}
	for want, call := range tests {
		if err := call(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func TestLookupErrors(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"etl.yaml": example})
	p := load(t, dir, map[string]string{
		"REPLICA_PASSWORD": "", "CLIENT_SECRET": "", "SALESFORCE_AUTH": "magic", "SALESFORCE_CLIENT_SECRET": hush,
	})
	file := filepath.Join(dir, "etl.yaml")
	source := func(name string) error { _, err := p.Source(name); return err }
	org := func(name string) error { _, err := p.Org(name); return err }
	tests := []struct {
		err  error
		want string
	}{
		{source("warehouse"), file + ":5:10: sources.warehouse.url: the variable WAREHOUSE_URL is not set: set it in the environment or in .env"},
		{source("mounted"), file + ":9:10: sources.mounted.url: read the file it names: open " + filepath.Join(dir, "secrets/dsn") + ": no such file or directory"},
		{source("warehose"), `source "warehose": not in ` + file + `; did you mean "warehouse"?`},
		{source("nowhere"), `source "nowhere": not in ` + file + ", which has warehouse, replica, mounted"},
		{org("production"), file + ":13:16: orgs.production.client_id: the variable CLIENT_ID is not set: ask the admin for the consumer key\n" +
			file + ":14:20: orgs.production.client_secret: is empty"},
		{org("prodution"), `org "prodution": not in ` + file + `; did you mean "production"?`},
		{org(""), `the variables SALESFORCE_*: salesforce: auth: want client_credentials, jwt, refresh_token or access_token, got "magic"`},
	}
	for _, tt := range tests {
		if tt.err == nil || tt.err.Error() != tt.want {
			t.Errorf("got:  %v\nwant: %s", tt.err, tt.want)
		}
	}
}

func TestMistakesInFile(t *testing.T) {
	t.Parallel()
	const secret = "a secret does not belong into this file: put it into a variable and write ${NAME}, or into a file of its own and write file:/path"
	const password = "a password does not belong into this file: put it, or the whole connection string, into a variable and write ${NAME}"
	const written = "a variable is written ${NAME}, ${NAME:-default} or ${NAME:?message}, its name in letters, digits and underscores"
	tests := []struct {
		about, text string
		want        []string
	}{
		{"unknown keys", "source: {}\norgs: { a: { clientid: x } }\nspool: { max: 1 }\n", []string{
			`1:1: unknown key "source"; did you mean "sources"?`,
			`2:12: orgs.a: says nothing about the org: give at least how to log in, such as client_id and client_secret`,
			`2:14: orgs.a: unknown key "clientid"; did you mean "client_id"?`,
			`3:10: spool: unknown key "max"; the keys here are dir, max_bytes`,
		}},
		{"no url", "sources: { a: {} }\n", []string{`1:15: sources.a: the key "url" is missing: where the database is, such as ${WAREHOUSE_URL}`}},
		{"wrong types", "sources: [a]\norgs: { a: b }\nspool: { dir: 1, max_bytes: much }\n", []string{
			`1:10: sources: must be a block of keys ("key: value" lines), not a list`,
			`2:12: orgs.a: must be a block of keys ("key: value" lines), not a single value`,
			`3:15: spool.dir: must be a text: write it in quotes, as "1"`,
			`3:29: spool.max_bytes: "much" is no size: write it such as 90MB, 64MiB or 90000000`,
		}},
		{"a wait without unit", "state: { wait: 10, limit: 1m }\n", []string{
			"1:16: state.wait: must be a length of time with its unit, such as 90s, 10m, 24h or 2d",
			`1:20: state: unknown key "limit"; the keys here are wait`,
		}},
		{"a wait without patience", "state: { wait: 0s }\n", []string{"1:16: state.wait: must be from 1s to 1d"}},
		{"a client secret", "orgs: { a: { client_secret: hunter2 } }\n", []string{"1:29: orgs.a.client_secret: " + secret}},
		{"a secret beside a variable", "orgs: { a: { refresh_token: \"${A}hunter2\" } }\n", []string{"1:29: orgs.a.refresh_token: " + secret}},
		{"a secret as a default", "orgs: { a: { access_token: \"${A:-hunter2}\" } }\n", []string{"1:28: orgs.a.access_token: " + secret}},
		{"a secret that is a number", "orgs: { a: { client_secret: 20260131 } }\n", []string{"1:29: orgs.a.client_secret: must be a text: write it in quotes"}},
		{"a connection string in a source's place", "sources: { a: \"postgres://u:hunter2@h/d\" }\n", []string{
			`1:15: sources.a: must be a block of keys ("key: value" lines), not a single value`,
		}},
		{"a connection string in the sources' place", "sources:\n  postgres://u:hunter2@h/d\n", []string{
			`2:3: sources: must be a block of keys ("key: value" lines), not a single value`,
		}},
		{"a secret in a key's place", "orgs: { a: { auth: jwt, hunter2, hunter2 } }\n", []string{
			"1:25: orgs.a: unknown key (not shown); the keys here are login_url, auth, client_id, username, private_key_file, instance_url, api_version, client_secret, refresh_token, access_token",
			"1:34: orgs.a: the key (not shown) is given twice, first on line 1: remove one",
		}},
		{"a secret that YAML takes for an alias", "orgs: { a: { client_secret: *hunter2 } }\n", []string{
			"1:29: this is no valid YAML: an alias (*name) stands here, but no anchor (&name) of its name: put a text that begins with an asterisk in quotes",
		}},
		{"a secret that YAML takes for a tag", "orgs: { a: { client_secret: !hunter2 x } }\n", []string{"1:29: orgs.a.client_secret: must be a text: write it in quotes"}},
		{"a secret as a list", "orgs: { a: { client_secret: [hunter2] } }\n", []string{"1:29: orgs.a.client_secret: must be a text, not a list"}},
		{"a file without a name", "orgs: { a: { access_token: \"file:\" } }\n", []string{"1:28: orgs.a.access_token: " + secret}},
		{"a password in a url", "sources: { a: { url: \"postgres://u:hunter2@${HOST:-h}:${PORT}/d\" } }\n", []string{"1:22: sources.a.url: " + password}},
		{"a password as a default", "sources: { a: { url: \"${URL:-postgres://u:hunter2@h/d}\" } }\n", []string{"1:22: sources.a.url: " + password}},
		{"a password as a parameter", "sources: { a: { url: \"postgres://h/d?sslmode=off&password=hunter2\" } }\n", []string{"1:22: sources.a.url: " + password}},
		{"a password in key and value", "sources: { a: { url: \"host=h password = 'hunter2 x' user=u\" } }\n", []string{"1:22: sources.a.url: " + password}},
		{"part of a password", "sources: { a: { url: \"postgres://u:hunter2${A}@h/d\" } }\n", []string{"1:22: sources.a.url: " + password}},
		{"variables badly written", "sources: { a: { url: \"${A\" }, b: { url: \"${}\" }, c: { url: \"${1A}\" }, d: { url: \"${A:+b}\" } }\n", []string{
			"1:22: sources.a.url: a ${ is not closed: write ${NAME}, or $${ for the characters themselves",
			"1:41: sources.b.url: " + written,
			"1:60: sources.c.url: " + written,
			"1:81: sources.d.url: " + written,
		}},
		{"a variable of the spool", "spool: { dir: \"${NOT_SET}\" }\n", []string{"1:15: spool.dir: the variable NOT_SET is not set: set it in the environment or in .env"}},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, map[string]string{"etl.yaml": tt.text})
			_, err := project.Load(dir, environment(nil))
			var list *yamlfile.Error
			if !errors.As(err, &list) {
				t.Fatalf("Load: %v, want a *yamlfile.Error", err)
			}
			if strings.Contains(err.Error(), hush) {
				t.Error("the message holds the secret")
			}
			var got []string
			for _, line := range strings.Split(err.Error(), "\n") {
				got = append(got, strings.TrimPrefix(line, filepath.Join(dir, "etl.yaml")+":"))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConnectionStringsWithoutClearPassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://u@h/d", "postgres://h:5432/d?application_name=a@b:c", "postgres://u:${A}@h/d", "host=h user=u",
		"host=h password=${A}", "postgres://h/d?password=${A}&x=y", "${A:-postgres://u@h/d}", "postgres://u:${A:?set it, or ask@x}@h/d",
		"file:/run/secrets/dsn", "file:${CREDENTIALS_DIRECTORY}/dsn",
	} {
		dir := folder(t, map[string]string{"etl.yaml": "sources: { a: { url: \"" + url + "\" } }\n"})
		if _, err := project.Load(dir, environment(nil)); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestBrokenEnvFile(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{".env": "A=1\nB='two\nlines'\nSECRET=\"hunter2\nC=3\n"})
	_, err := project.Load(dir, environment(nil))
	want := filepath.Join(dir, ".env") + ":4: this line cannot be read: each line is NAME=value; put a value that holds spaces, # or quotes into single quotes"
	if err == nil || err.Error() != want {
		t.Errorf("got:  %v\nwant: %s", err, want)
	}
}

func TestDollarSigns(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"a$b":             "a$b",
		"$${A}":           "${A}",
		"${A}${B:-c}":     "xc",
		"${A:-d}":         "x",
		"${E}-":           "-",
		"${E:-was empty}": "was empty",
		"100%$":           "100%$",
	}
	for in, want := range tests {
		dir := folder(t, map[string]string{"etl.yaml": "sources: { a: { url: '" + in + "' } }\n"})
		p := load(t, dir, map[string]string{"A": "x", "E": ""})
		if got, err := p.Source("a"); err != nil || got != want {
			t.Errorf("%s expands to %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("sources: { a: { url: \"${A\" } }\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "etl.yaml"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := project.Load(dir, environment(nil))
		if err != nil {
			return
		}
		for _, name := range p.Sources() {
			if _, err := p.Source(name); err != nil && !strings.Contains(err.Error(), "etl.yaml:") {
				t.Errorf("Source(%q): %v does not say where", name, err)
			}
		}
	})
}
