package demo_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"bulkhead/internal/bulkv2"
	"bulkhead/internal/demo"
	"bulkhead/internal/pgtest"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/project"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/run"
	"bulkhead/internal/salesforce"
	"bulkhead/internal/spool"
	"bulkhead/internal/state"
)

// envVictim makes this test binary set a stage, print its folder and kill
// itself.
const envVictim = "DEMO_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(envVictim) != "" {
		dieOnStage()
	}
	os.Exit(m.Run())
}

func dieOnStage() {
	stage, err := demo.Open(context.Background(), small)
	if err != nil {
		panic(err)
	}
	fmt.Print(stage.Dir)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		panic(err)
	}
	panic(self.Kill())
}

// small is a stage that shows every kind of mistake.
var small = demo.Config{Customers: 500, Contacts: 1200}

// play is a stage with all that a run on it needs.
type play struct {
	*demo.Stage
	org    *salesforce.Org
	engine *run.Engine
}

func setup(t *testing.T, cfg demo.Config) *play {
	t.Helper()
	ctx := t.Context()
	stage, err := demo.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stage.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := stage.Fill(ctx); err != nil {
		t.Fatal(err)
	}
	p := &play{Stage: stage}
	p.engine = p.newEngine(t)
	return p
}

func (p *play) newEngine(t *testing.T) *run.Engine {
	t.Helper()
	ctx := t.Context()
	settings, err := project.Load(p.Dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	config, err := settings.Org("")
	if err != nil {
		t.Fatal(err)
	}
	if p.org, err = salesforce.Open(ctx, config); err != nil {
		t.Fatal(err)
	}
	source, err := settings.Source("")
	if err != nil {
		t.Fatal(err)
	}
	store, err := state.Open(ctx, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	files, err := spool.Open(spool.Config{Dir: settings.SpoolDir()})
	if err != nil {
		t.Fatal(err)
	}
	bulk, err := bulkv2.New(bulkv2.Config{
		HTTP: p.org.HTTPClient(), InstanceURL: p.org.InstanceURL(), APIVersion: p.org.APIVersion(),
		Retry: bulkv2.RetryConfig{Base: time.Millisecond, Cap: 10 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	file, err := pipeline.Find(p.Dir, demo.Pipeline)
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := pipeline.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return run.New(pipe, run.Config{
		Source: source, Store: store, Failures: reconcile.NewStore(store.Pool()), Spool: files, Org: p.org, Bulk: bulk,
		PollMin: time.Millisecond, PollMax: 20 * time.Millisecond, CountersSettle: time.Millisecond, RetryWait: time.Millisecond,
	})
}

// audit fails the test where the books do not balance, and returns them.
func (p *play) audit(t *testing.T, mended bool) []demo.Book {
	t.Helper()
	books, err := p.Audit(t.Context(), mended)
	if err != nil {
		t.Fatal(err)
	}
	return books
}

// rows are the rows of a query on the source, a line each.
func (p *play) rows(t *testing.T, sql string) map[string]string {
	t.Helper()
	rows, err := pgtest.Conn(t, p.DatabaseURL()).Query(t.Context(), sql) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	var id, value string
	if _, err := pgx.ForEachRow(rows, []any{&id, &value}, func() error {
		values[id] = value
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return values
}

// records are the same of the org.
func (p *play) records(t *testing.T, object string, fields ...string) map[string]string {
	t.Helper()
	soql := "SELECT Legacy_Id__c"
	for _, field := range fields {
		soql += ", " + field
	}
	values := map[string]string{}
	for record, err := range p.org.Query(t.Context(), soql+" FROM "+object) {
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for i, field := range fields {
			if i > 0 {
				text += "|"
			}
			text += fmt.Sprint(record[field])
		}
		values[fmt.Sprint(record["Legacy_Id__c"])] = text
	}
	return values
}

func TestEveryMistakeIsFoundAndMendedOnesLoad(t *testing.T) {
	t.Parallel()
	p := setup(t, small)

	summary, err := p.engine.Run(t.Context(), run.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if summary.State != state.RunCompletedWithFailures || !summary.Balanced() || summary.Read != 1700 {
		t.Errorf("the run is %s: %s", summary.State, summary.Counts)
	}
	want := []demo.Book{
		{Step: "accounts", Object: "Account", Source: 500, Org: 493, Open: 7},
		{Step: "contacts", Object: "Contact", Source: 1200, Org: 1158, Open: 42},
	}
	if diff := cmp.Diff(want, p.audit(t, false)); diff != "" {
		t.Errorf("after the run (-want +got):\n%s", diff)
	}

	if _, err := p.Mend(t.Context()); err != nil {
		t.Fatal(err)
	}
	summary, err = p.engine.Retry(t.Context(), run.RetryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !summary.Balanced() || summary.Read != 49 {
		t.Errorf("the retry is %s: %s", summary.State, summary.Counts)
	}
	want[0].Org, want[0].Open = 499, 1
	want[1].Org, want[1].Open = 1192, 8
	if diff := cmp.Diff(want, p.audit(t, true)); diff != "" {
		t.Errorf("after the retry (-want +got):\n%s", diff)
	}
}

func TestTextArrivesAsItIs(t *testing.T) {
	t.Parallel()
	p := setup(t, small)
	if _, err := p.engine.Run(t.Context(), run.Options{}); err != nil {
		t.Fatal(err)
	}
	source := p.rows(t, `SELECT id::text, name || '|' || city FROM customers AS c
		WHERE NOT EXISTS (SELECT FROM etl.reconciliation WHERE step = 'accounts' AND status = 'open' AND source_key = c.id::text)`)
	if diff := cmp.Diff(source, p.records(t, "Account", "Name", "BillingCity")); diff != "" {
		t.Errorf("accounts (-source +org):\n%s", diff)
	}
	source = p.rows(t, `SELECT id::text, first_name || '|' || last_name || '|' || email FROM people AS p
		WHERE NOT EXISTS (SELECT FROM etl.reconciliation WHERE step = 'contacts' AND status = 'open' AND source_key::jsonb ->> 1 = p.id::text)`)
	if diff := cmp.Diff(source, p.records(t, "Contact", "FirstName", "LastName", "Email")); diff != "" {
		t.Errorf("contacts (-source +org):\n%s", diff)
	}
	for what, pattern := range map[string]string{"quote": `%"%`, "line break": "%\n%", "emoji": "%🚀%"} {
		found := p.rows(t, fmt.Sprintf(`SELECT id::text, name FROM customers WHERE name LIKE '%s'`, pattern))
		if len(found) == 0 {
			t.Errorf("no customer has a %s in its name", what)
		}
	}
}

func TestMistakesDoNotDependOnTheSeed(t *testing.T) {
	t.Parallel()
	one, two := small, small
	one.Seed, two.Seed = 1, 2
	if diff := cmp.Diff(one.Mistakes(), two.Mistakes()); diff != "" {
		t.Errorf("(-seed 1 +seed 2):\n%s", diff)
	}
	counts := map[string]int64{}
	for _, m := range small.Mistakes() {
		counts[m.Step+" "+m.Code+" "+m.Field] += m.Records
	}
	want := map[string]int64{
		"accounts INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST Industry":   4,
		"accounts REQUIRED_FIELD_MISSING Name":                        1,
		"accounts STRING_TOO_LONG Name":                               1,
		"accounts NUMBER_OUTSIDE_VALID_RANGE NumberOfEmployees":       1,
		"contacts INVALID_FIELD ":                                     24,
		"contacts INVALID_EMAIL_ADDRESS Email":                        8,
		"contacts REQUIRED_FIELD_MISSING LastName":                    1,
		"contacts STRING_TOO_LONG LastName":                           2,
		"contacts INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST LeadSource": 4,
		"contacts INVALID_DATE Birthdate":                             3,
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRowsDependOnTheSeedAlone(t *testing.T) {
	t.Parallel()
	read := func(seed uint64) map[string]string {
		cfg := demo.Config{Customers: 20, Contacts: 40, Seed: seed}
		stage, err := demo.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer stage.Close()
		if err := stage.Fill(t.Context()); err != nil {
			t.Fatal(err)
		}
		return (&play{Stage: stage}).rows(t, `SELECT id::text, p::text FROM people AS p UNION ALL SELECT id::text, c::text FROM customers AS c`)
	}
	first := read(7)
	if diff := cmp.Diff(first, read(7)); diff != "" {
		t.Errorf("one seed gives two fillings:\n%s", diff)
	}
	if cmp.Equal(first, read(8)) {
		t.Error("two seeds give one filling")
	}
}

func TestNothingStaysBehind(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	stage, err := demo.Open(ctx, small)
	if err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(stage.DatabaseURL())
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := stage.Fill(ctx); err == nil {
		t.Error("an interrupted filling says nothing")
	}
	if err := stage.Close(); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{stage.Dir, config.Host} {
		if _, err := os.Stat(filepath.Clean(dir)); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", dir, err)
		}
	}
	// An interrupted start leaves no stage to close.
	if _, err := demo.Open(ctx, small); err == nil {
		t.Error("an interrupted start says nothing")
	}
}

func TestKilledProcessLeavesNoFolder(t *testing.T) {
	t.Parallel()
	victim := exec.CommandContext(t.Context(), os.Args[0])
	victim.Env = append(os.Environ(), envVictim+"=1")
	out, err := victim.Output()
	dir := string(out)
	if err == nil || !strings.Contains(dir, "etl-demo-") {
		t.Fatalf("victim: %v, printed %q", err, dir)
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("%s is still there", dir)
		}
	}
}
