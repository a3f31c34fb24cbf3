package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/emulator"
	"bulkhead/internal/pgtest"
	"bulkhead/internal/project"
	"bulkhead/internal/salesforce"
)

// orgs are the ways to log in of the project below, each an org of etl.yaml.
func orgs() []string { return []string{"secret", "refresh", "signed", "token"} }

const secretsYAML = `sources:
  warehouse:
    url: ${WAREHOUSE_URL}
orgs:
  secret:
    login_url: ${LOGIN_URL}
    client_id: app
    client_secret: ${CLIENT_SECRET}
  refresh:
    login_url: ${LOGIN_URL}
    client_id: app
    client_secret: ${CLIENT_SECRET}
    refresh_token: file:secrets/refresh
  signed:
    login_url: ${LOGIN_URL}
    client_id: app
    username: ` + emulator.DefaultUsername + `
    private_key_file: secrets/key.pem
  token:
    access_token: ${ACCESS_TOKEN}
    instance_url: ${LOGIN_URL}
`

// patience ends runs that would wait for an org that stays broken.
const patience = time.Second

// planted is a bench whose every secret is in the vault.
type planted struct {
	*bench
	vault *vault
	given []string // the files that hold secrets
	done  int      // commands that were run
}

// plant makes a project that is given secrets in every way there is.
func plant(t *testing.T) *planted {
	t.Helper()
	b := &planted{bench: newOfflineBench(t), vault: newVault()}
	secret, refresh := b.vault.keep("client secret", `pl4nted-cl13nt/s+e&c"ret<`), b.vault.keep("refresh token", "5Aep861pl4nted.refr3sh+t0ken/x=")
	key, public := b.key()
	var err error
	b.org, err = emulator.Start(t.Context(), emulator.Config{Apps: []emulator.App{{
		ClientID: "app", ClientSecret: secret, RunAs: emulator.DefaultUsername, PublicKey: public,
		RefreshTokens: map[string]string{refresh: emulator.DefaultUsername},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.org.Close() })
	front := b.vault.front(t, b.org.Handler())
	b.dsn = pgtest.New(t)
	b.env["ETL_DATABASE_URL"] = b.withPassword("password of the state database", b.dsn, `pl4nted-st4te/p+a&s's w%rd`)
	b.write("etl.yaml", secretsYAML)
	b.give(".env", fmt.Sprintf("WAREHOUSE_URL='%s'\nLOGIN_URL=%s\nCLIENT_SECRET='%s'\nACCESS_TOKEN='%s'\n",
		b.withPassword("password of the source", b.dsn, "pl4nted-s0urce/p+a&s:w%rd@h"), front.URL, secret, b.token(front.URL, secret)))
	b.give("secrets/refresh", refresh+"\n")
	b.give("secrets/key.pem", key)
	b.sql(`CREATE TABLE customers (id int PRIMARY KEY, name text, website text)`)
	b.sql(`INSERT INTO customers SELECT i, CASE WHEN i % 7 > 0 THEN 'Customer ' || i END, repeat('w', i * 20) FROM generate_series(1, 30) i`)
	for _, org := range orgs() {
		yaml := strings.Replace(customersYAML, "name: customers\n", "name: "+org+"\nsource: warehouse\norg: "+org+"\n", 1)
		b.write("pipelines/"+org+".yaml", yaml+"    chunk: {rows: 10}\n")
	}
	return b
}

// give writes a file that holds secrets.
func (b *planted) give(name, text string) {
	b.given = append(b.given, b.write(name, text))
}

// withPassword puts a password into a connection string; one that is there stays.
func (b *planted) withPassword(name, dsn, password string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		b.t.Fatal(err)
	}
	if set, ok := u.User.Password(); ok {
		b.vault.keep(name, set)
		return dsn
	}
	u.User = url.UserPassword(u.User.Username(), b.vault.keep(name, password))
	return u.String()
}

// key is a new private key, whose every line is a secret, and its public half.
func (b *planted) key() (private string, public []byte) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.t.Fatal(err)
	}
	encoded, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		b.t.Fatal(err)
	}
	private = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	for line := range strings.Lines(private) {
		b.vault.keep("private key", strings.TrimSpace(line))
	}
	return private, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: encoded})
}

// token logs in and returns the session.
func (b *planted) token(loginURL, secret string) string {
	var token string
	cfg := salesforce.Config{LoginURL: loginURL, ClientID: "app", ClientSecret: secret, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if t, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			token = t
		}
		return http.DefaultTransport.RoundTrip(r)
	})}
	org, err := salesforce.Open(b.t.Context(), cfg)
	if err == nil {
		_, err = org.Limits(b.t.Context())
	}
	if err != nil || token == "" {
		b.t.Fatalf("log in: %v", err)
	}
	return b.vault.keep("access token", token)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// quiet runs a command in every style of output and fails if one shows a secret.
func (b *planted) quiet(args ...string) result {
	b.t.Helper()
	r := b.etl(args...)
	b.done++
	b.vault.search(b.t, "etl "+strings.Join(args, " ")+": stdout", r.stdout)
	b.vault.search(b.t, "etl "+strings.Join(args, " ")+": stderr", r.stderr)
	return r
}

// loudly runs a command with all that it may log, for people and for programs.
func (b *planted) loudly(args ...string) (last result) {
	b.t.Helper()
	b.quiet(append(args, "--log-level", "debug")...)
	return b.quiet(append(args, "--json", "--log-level", "debug", "--log-format", "json")...)
}

// afterwards looks at everything that the commands left: the tables, the spool
// and the files of the project.
func (b *planted) afterwards() {
	b.t.Helper()
	conn := pgtest.Conn(b.t, b.dsn)
	rows, _ := conn.Query(b.t.Context(), `SELECT table_name FROM information_schema.tables WHERE table_schema = 'etl'`)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 5 {
		b.t.Fatalf("the tables of the schema etl are %q: %v", tables, err)
	}
	filled := 0
	for _, table := range tables {
		rows, _ := conn.Query(b.t.Context(), `SELECT t::text FROM `+pgx.Identifier{"etl", table}.Sanitize()+` t`)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			b.t.Fatal(err)
		}
		if len(lines) > 0 {
			filled++
		}
		b.vault.search(b.t, "table etl."+table, strings.Join(lines, "\n"))
	}
	if files := b.vault.searchFolder(b.t, b.dir, b.given...); files < 5 || filled < 4 {
		b.t.Errorf("looked at %d files and %d tables only", files, filled)
	}
}

func TestSecretsAreShownNowhere(t *testing.T) {
	t.Parallel()
	b := plant(t)
	for _, org := range orgs() {
		b.quiet("plan", org).exits(t, exitDone)
		b.quiet("run", org, "--log-level", "debug").exits(t, exitLeftovers)
		b.loudly("limits", "--org", org).exits(t, exitDone)
		b.loudly("jobs", "list", "--org", org).exits(t, exitDone)
	}
	b.org.ExpireTokens() // whoever can log in again does
	for _, org := range orgs() {
		b.loudly("run", org)
	}
	b.loudly("run", "token").exits(t, exitIncomplete)
	exported := filepath.Join(b.dir, "failed.csv")
	for _, args := range []string{
		"runs", "show 1", "failed list", "failed list --group", "failed show 1", "failed retry --pipeline secret", "migrate status", "migrate up",
		"validate", "version", "doctor", "plan refresh", "jobs clean --org secret", "failed retry --from payload --pipeline signed",
	} {
		b.loudly(strings.Fields(args)...)
	}
	b.quiet("failed", "export", "--output", exported, "--raw").exits(t, exitDone)
	b.quiet("failed", "export").exits(t, exitDone)
	b.quiet("failed", "import", exported).exits(t, exitDone)
	b.quiet("__complete", "limits", "--org", "").exits(t, exitDone)
	if info, err := os.Stat(exported); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the export is %v: %v", info.Mode(), err)
	}
	b.afterwards()
}

// TestSecretsAreShownByNoFailure lets everything go wrong.
func TestSecretsAreShownByNoFailure(t *testing.T) {
	t.Parallel()
	b := plant(t)
	elsewhere := "https://elsewhere.example/front?sid=" + url.QueryEscape(b.vault.keep("session in a redirect", "00D000000000001!AQ0pl4ntedSess10n.x_y"))
	for i, f := range []emulator.Fault{
		{Do: emulator.DoStatus, Status: 401, Code: "INVALID_SESSION_ID", Path: "/batches", Times: 1},
		{Do: emulator.DoStatus, Status: 401, Code: "INVALID_SESSION_ID", Path: "/jobs/ingest"},
		{Do: emulator.DoStatus, Status: 400, Body: `{"error":"invalid_grant","error_description":"no"}`, Path: "/oauth2/token"},
		{Do: emulator.DoStatus, Status: 503, Body: "<html>down</html>", Path: "/oauth2/token"},
		{Do: emulator.DoStatus, Status: 302, Headers: map[string]string{"Location": elsewhere}, Path: "/jobs/ingest"},
		{Do: emulator.DoStatus, Status: 302, Headers: map[string]string{"Location": elsewhere}, Path: "/oauth2/token"},
		{Do: emulator.DoStatus, Status: 302, Headers: map[string]string{"Location": elsewhere}, Path: "/describe"},
		{Do: emulator.DoCutAfter, Path: "/batches", Times: 2},
		{Do: emulator.DoCutBefore, Path: "/describe"},
		{Do: emulator.DoTruncate, After: 20, Path: "/oauth2/token"},
		{Do: emulator.DoTruncate, After: 20, Path: "/failedResults", Times: 1},
		{On: emulator.OnJob, Do: emulator.DoJobFail, Message: "InvalidBatch : no"},
		{On: emulator.OnRow, Do: emulator.DoRowError, Code: "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", Message: "trigger said no"},
	} {
		id := b.fault(f)
		for _, org := range []string{orgs()[i%4], orgs()[(i+1)%4]} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			r := b.start(ctx, "", "run", org, "--abandon", "--log-level", "debug")()
			cancel()
			b.done++
			b.vault.search(t, fmt.Sprintf("run %s with %+v", org, f), r.stdout+r.stderr)
		}
		b.org.RemoveFault(id)
		b.org.Release()
	}
	b.quiet("runs", "--json")
	b.loudly("show", "1")
	b.afterwards()
}

// TestSecretsInSettingsThatCannotWork has the slips of whoever sets up a project.
func TestSecretsInSettingsThatCannotWork(t *testing.T) {
	t.Parallel()
	const password = `pl4nted-p4ss/w+o&r"d`
	escaped := url.QueryEscape(password)
	for name, test := range map[string]struct {
		env   map[string]string
		files map[string]string
	}{
		"refused login":                {env: map[string]string{"CLIENT_SECRET": password}},
		"no database at the address":   {env: map[string]string{"ETL_DATABASE_URL": "postgres://u:" + escaped + "@127.0.0.1:1/app"}},
		"key and value":                {env: map[string]string{"ETL_DATABASE_URL": `host=127.0.0.1 port=1 user=u password='` + password + `'`}},
		"password not escaped":         {env: map[string]string{"ETL_DATABASE_URL": "postgres://u:" + password + "@127.0.0.1:1/app"}},
		"key and value, broken":        {env: map[string]string{"ETL_DATABASE_URL": `host=127.0.0.1 port=x password=` + password}},
		"password in the query":        {env: map[string]string{"ETL_DATABASE_URL": "postgres://u@127.0.0.1:1/app?sslmode=never&password=" + escaped}},
		"password in place of the URL": {env: map[string]string{"ETL_DATABASE_URL": password}},
		"no source at the address":     {env: map[string]string{"WAREHOUSE_URL": "postgres://u:" + escaped + "@127.0.0.1:1/app"}},
		"source not escaped":           {env: map[string]string{"WAREHOUSE_URL": "postgres://u:" + password + "@127.0.0.1:1/app"}},
		"source of another kind":       {env: map[string]string{"WAREHOUSE_URL": "mysql://u:" + escaped + "@127.0.0.1:1/app"}},
		"secret in the login URL":      {env: map[string]string{"LOGIN_URL": "https://u:" + escaped + "@127.0.0.1:1"}},
		"secret for the login URL":     {env: map[string]string{"LOGIN_URL": password}},
		"login URL with a session":     {env: map[string]string{"LOGIN_URL": "https://127.0.0.1:1/?sid=" + escaped}},
		"token that is none":           {env: map[string]string{"ACCESS_TOKEN": password + "\r\nX-Injected: 1"}},
		"token file that is none":      {files: map[string]string{"secrets/refresh": password + "\n\x00\x01"}},
		"key that is none":             {files: map[string]string{"secrets/key.pem": password}},
		"key that is broken":           {files: map[string]string{"secrets/key.pem": "-----BEGIN RSA PRIVATE KEY-----\n" + password + "\n-----END RSA PRIVATE KEY-----\n"}},
		"broken .env":                  {files: map[string]string{".env": "A=1\nCLIENT_SECRET=\"" + password + "\n"}},
		"clear text in etl.yaml":       {files: map[string]string{"etl.yaml": "orgs: {secret: {client_secret: '" + password + "'}}\nsources: {warehouse: {url: 'postgres://u:" + password + "@h/d'}}\n"}},
		"secret in place of a block":   {files: map[string]string{"etl.yaml": "orgs: {secret: '" + password + "'}\nsources: '" + password + "'\n"}},
		"secret that breaks the YAML":  {files: map[string]string{"etl.yaml": "orgs:\n  secret:\n    client_secret: " + password + ": [\n"}},
		"secret as an alias":           {files: map[string]string{"etl.yaml": "orgs: {secret: {client_secret: *pl4nted-p4ss}}\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &planted{bench: newOfflineBench(t), vault: newVault()}
			b.vault.keep("secret", password)
			b.vault.keep("part of the secret", "pl4nted-p4ss")
			b.env["ETL_DATABASE_URL"] = "postgres://u:" + escaped + "@127.0.0.1:1/app"
			b.write("etl.yaml", secretsYAML)
			b.write("pipelines/secret.yaml", strings.Replace(customersYAML, "name: customers\n", "name: secret\nsource: warehouse\norg: secret\n", 1))
			for _, name := range []string{"WAREHOUSE_URL", "CLIENT_SECRET", "ACCESS_TOKEN"} {
				b.env[name] = escaped
			}
			org := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(org.Close)
			b.env["LOGIN_URL"] = org.URL
			for name, value := range test.env {
				b.env[name] = value
			}
			for file, text := range test.files {
				b.write(file, text)
			}
			for _, args := range []string{"run secret", "plan secret", "doctor", "validate", "runs", "migrate up", "failed list"} {
				b.loudly(strings.Fields(args)...)
			}
			// The state database comes first in most commands; the orgs do not need it.
			for _, org := range orgs() {
				b.loudly("limits", "--org", org)
			}
			b.sources()
		})
	}
}

// sources connects to the source directly: the commands look at the state first.
func (b *planted) sources() {
	b.t.Helper()
	p, err := project.Load(b.dir, func(name string) (string, bool) { v, ok := b.env[name]; return v, ok })
	if err != nil {
		b.vault.search(b.t, "the project", err.Error())
		return
	}
	dsn, err := p.Source("warehouse")
	if err == nil {
		err = pingSource(b.t.Context(), "warehouse", dsn)
	}
	b.vault.search(b.t, "the source", fmt.Sprint(err))
}
