package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/internal/emulator"
	"bulkhead/internal/pgtest"
	"bulkhead/internal/salesforce"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bench is a project of its own with a database and an org.
type bench struct {
	t   *testing.T
	dir string
	env map[string]string
	dsn string
	org *emulator.Server
}

// newBench makes a project; the org is as config says.
func newBench(t *testing.T, config emulator.Config) *bench {
	t.Helper()
	b := newOfflineBench(t)
	b.dsn = pgtest.New(t)
	var err error
	if b.org, err = emulator.Start(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.org.Close() })
	b.env["ETL_DATABASE_URL"] = b.dsn
	b.env["SALESFORCE_LOGIN_URL"] = b.org.URL()
	b.env["SALESFORCE_CLIENT_ID"] = emulator.DefaultClientID
	b.env["SALESFORCE_CLIENT_SECRET"] = emulator.DefaultClientSecret
	return b
}

// newOfflineBench makes a project without a connection to anything.
func newOfflineBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), env: map[string]string{}}
	b.env["ETL_SPOOL_DIR"] = filepath.Join(b.dir, "spool")
	return b
}

// result is what a command left.
type result struct {
	code           int
	stdout, stderr string
}

// etl runs a command line to its end.
func (b *bench) etl(args ...string) result {
	b.t.Helper()
	return b.start(b.t.Context(), "", args...)()
}

// start runs a command line in the background; the returned function waits for
// its end. onLine, if not empty, names a text: see [bench.until].
func (b *bench) start(ctx context.Context, stdin string, args ...string) func() result {
	b.t.Helper()
	wait, _ := b.until(ctx, "", stdin, args...)
	return wait
}

// until is start, with a channel that is closed when stderr or stdout holds text.
func (b *bench) until(ctx context.Context, text, stdin string, args ...string) (wait func() result, seen <-chan struct{}) {
	b.t.Helper()
	signal := make(chan struct{})
	stdout, stderr := &stream{text: text, seen: signal}, &stream{text: text, seen: signal}
	done := make(chan int, 1)
	env := map[string]string{}
	for name, value := range b.env {
		env[name] = value
	}
	go func() {
		done <- execute(ctx, invocation{
			args: append([]string{"--dir", b.dir}, args...), stdin: strings.NewReader(stdin), stdout: stdout, stderr: stderr,
			env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
			pace: pace{
				pollMin: 5 * time.Millisecond, pollMax: 50 * time.Millisecond,
				countersSettle: 10 * time.Millisecond, retryWait: 10 * time.Millisecond,
				tick: 20 * time.Millisecond,
			},
		})
	}()
	return sync.OnceValue(func() result {
		code := <-done
		return result{code, stdout.String(), stderr.String()}
	}), signal
}

// stream keeps what is written and closes seen when it holds text.
type stream struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	text   string
	seen   chan struct{}
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.buffer.Write(p)
	if s.text != "" && strings.Contains(s.buffer.String(), s.text) {
		close(s.seen)
		s.text = ""
	}
	return n, err
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffer.String()
}

// ok fails the test unless the command ended with the code.
func (r result) exits(t *testing.T, code int) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", r.code, code, r.stdout, r.stderr)
	}
	return r
}

// says fails the test unless the command printed all of these.
func (r result) says(t *testing.T, texts ...string) result {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.stdout+r.stderr, text) {
			t.Errorf("nothing says %q\nstdout:\n%s\nstderr:\n%s", text, r.stdout, r.stderr)
		}
	}
	return r
}

// decode reads the JSON that a command printed.
func decode[T any](t *testing.T, r result) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		t.Fatalf("stdout is no JSON: %v\n%s\nstderr:\n%s", err, r.stdout, r.stderr)
	}
	return v
}

// write puts a file into the project.
func (b *bench) write(name, text string) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// sql runs statements on the bench's database.
func (b *bench) sql(text string) {
	b.t.Helper()
	pgtest.Exec(b.t, b.dsn, text)
}

// count counts records in the org.
func (b *bench) count(soql string) int64 {
	b.t.Helper()
	org, err := salesforce.Open(b.t.Context(), salesforce.Config{
		LoginURL: b.org.URL(), ClientID: emulator.DefaultClientID, ClientSecret: emulator.DefaultClientSecret,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	n, err := org.Count(b.t.Context(), soql)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// fault lets something go wrong in the org.
func (b *bench) fault(f emulator.Fault) string {
	b.t.Helper()
	added, err := b.org.AddFault(f)
	if err != nil {
		b.t.Fatal(err)
	}
	return added.ID
}

// customers is a table of n customers, and a pipeline that loads them.
func (b *bench) customers(n int) {
	b.t.Helper()
	b.sql(`CREATE TABLE customers (id int PRIMARY KEY, name text, website text)`)
	b.sql(`INSERT INTO customers SELECT i, 'Customer ' || i, 'https://c' || i || '.example' FROM generate_series(1, ` + itoa(n) + `) i`)
	b.write("pipelines/customers.yaml", customersYAML)
}

func itoa(n int) string { return formatID(int64(n)) }

const customersYAML = `name: customers
steps:
  - name: accounts
    object: Account
    operation: upsert
    external_id: Legacy_Id__c
    query: SELECT id, name, website FROM customers
    key: id
    fields:
      Legacy_Id__c: id
      Name: name
      Website: website
`
