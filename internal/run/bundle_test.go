package run_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"bulkhead/internal/bulkv2"
	"bulkhead/internal/emulator"
	"bulkhead/internal/pgtest"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/run"
	"bulkhead/internal/salesforce"
	"bulkhead/internal/spool"
	"bulkhead/internal/state"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bundle is a source, an org and all that a run needs between them.
type bundle struct {
	dsn      string
	server   *emulator.Server
	org      *salesforce.Org
	store    *state.Store
	failures *reconcile.Store
	spool    *spool.Spool
	spoolDir string
	config   run.Config
}

func setup(t testing.TB, cfg emulator.Config) *bundle {
	t.Helper()
	ctx := t.Context()
	b := &bundle{dsn: pgtest.New(t), spoolDir: t.TempDir()}
	var err error
	if b.server, err = emulator.Start(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.server.Close() })
	b.org, err = salesforce.Open(ctx, salesforce.Config{LoginURL: b.server.URL(), ClientID: emulator.DefaultClientID, ClientSecret: emulator.DefaultClientSecret})
	if err != nil {
		t.Fatal(err)
	}
	if b.store, err = state.Open(ctx, b.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.store.Close)
	b.failures = reconcile.NewStore(b.store.Pool())
	if b.spool, err = spool.Open(spool.Config{Dir: b.spoolDir}); err != nil {
		t.Fatal(err)
	}
	client, err := bulkv2.New(bulkv2.Config{
		HTTP: b.org.HTTPClient(), InstanceURL: b.org.InstanceURL(), APIVersion: b.org.APIVersion(),
		Retry: bulkv2.RetryConfig{Base: time.Millisecond, Cap: 10 * time.Millisecond, LimitBase: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.config = run.Config{
		Source: b.dsn, Store: b.store, Failures: b.failures, Spool: b.spool, Org: b.org, Bulk: client, Log: testLog(t),
		PollMin: time.Millisecond, PollMax: 20 * time.Millisecond, CountersSettle: time.Millisecond, RetryWait: time.Millisecond, UploadWait: time.Millisecond,
	}
	return b
}

func testLog(t testing.TB) *zap.Logger {
	if os.Getenv("ETL_TEST_LOG") == "" {
		return zap.NewNop()
	}
	return zaptest.NewLogger(t)
}

func (b *bundle) engine(t testing.TB, yaml string) *run.Engine {
	t.Helper()
	return run.New(parse(t, yaml), b.config)
}

func parse(t testing.TB, yaml string) *pipeline.Pipeline {
	t.Helper()
	p, err := pipeline.Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (b *bundle) exec(t *testing.T, sql string) {
	t.Helper()
	pgtest.Exec(t, b.dsn, sql)
}

// soql returns the values of a query, one line per record.
func (b *bundle) soql(t *testing.T, fields, rest string) []string {
	t.Helper()
	var lines []string
	for record, err := range b.org.Query(t.Context(), "SELECT "+fields+" "+rest) {
		if err != nil {
			t.Fatal(err)
		}
		var values []string
		for _, field := range strings.Split(fields, ", ") {
			var value any = map[string]any(record)
			for _, part := range strings.Split(field, ".") {
				switch parent := value.(type) {
				case map[string]any:
					value = parent[part]
				case salesforce.Record:
					value = parent[part]
				}
			}
			values = append(values, fmt.Sprint(value))
		}
		lines = append(lines, strings.Join(values, "|"))
	}
	return lines
}

func (b *bundle) count(t *testing.T, rest string) int64 {
	t.Helper()
	n, err := b.org.Count(t.Context(), "SELECT COUNT() "+rest)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (b *bundle) open(t *testing.T) []reconcile.Row {
	t.Helper()
	rows, err := b.failures.List(t.Context(), reconcile.Filter{Statuses: []reconcile.Status{reconcile.StatusOpen, reconcile.StatusRetrying}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// mustBalance checks the sums of a run at every level, and that nothing is left behind by one that ended.
func (b *bundle) mustBalance(t *testing.T, s *run.Summary) {
	t.Helper()
	if !s.Balanced() {
		t.Errorf("run: %s", s.Counts)
	}
	var total state.Counts
	for _, step := range s.Steps {
		if !step.Balanced() {
			t.Errorf("step %s: %s", step.Name, step.Counts)
		}
		total = total.Plus(step.Counts)
	}
	if total != s.Counts {
		t.Errorf("steps %s, run %s", total, s.Counts)
	}
	chunks, err := b.store.Chunks(t.Context(), s.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		if !c.Balanced() || c.State != state.ChunkReconciled {
			t.Errorf("chunk %d is %s: %s, requeued %d: %s", c.Seq, c.State, c.Counts, c.Requeued, c.Error)
		}
	}
	left, err := filepath.Glob(filepath.Join(b.spoolDir, "*", "*.csv"))
	if err != nil || len(left) > 0 {
		t.Errorf("files left in the spool: %v, %v", left, err)
	}
}

func mustComplete(t *testing.T, s *run.Summary, err error, want state.RunState) *run.Summary {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if s.State != want {
		t.Fatalf("the run is %s (%s), want %s; errors %+v", s.State, s.Error, want, s.Errors)
	}
	return s
}

// until waits for a condition that another goroutine brings about.
func until(t *testing.T, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("it never came about")
		}
	}
}

// accounts is a pipeline of one step that loads the table people into Account.
func accounts(operation, extra string) string {
	externalID := ""
	if operation == "upsert" {
		externalID = "    external_id: Legacy_Id__c\n"
	}
	return `name: people
steps:
  - name: accounts
    object: Account
    operation: ` + operation + "\n" + externalID + `    query: SELECT id, name, site FROM people
    key: id
    fields:
      Legacy_Id__c: id
      Name: name
      Website: site
` + extra
}

// people fills the table people with n rows.
func (b *bundle) people(t *testing.T, n int) {
	t.Helper()
	b.exec(t, `CREATE TABLE people (id int PRIMARY KEY, name text, site text)`)
	b.exec(t, fmt.Sprintf(`INSERT INTO people SELECT i, 'Person ' || i, 'https://example.com/' || i FROM generate_series(1, %d) AS i`, n))
}
