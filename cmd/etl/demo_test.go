package main

import (
	"context"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"bulkhead/internal/salesforce"
)

// demonstration is a demo that goes on beside the test.
type demonstration struct {
	stdout, stderr *stream
	seen           chan struct{} // closed when stdout holds the text
	ended          chan struct{}
	code           int // once it ended
}

// demonstrate starts a small demo, whose stdout is awaited to hold text.
func demonstrate(ctx context.Context, text string, args ...string) *demonstration {
	d := &demonstration{seen: make(chan struct{}), ended: make(chan struct{})}
	d.stdout, d.stderr = &stream{text: text, seen: d.seen}, &stream{}
	// Settings of somebody's real database and org are there, and must not matter.
	env := map[string]string{
		"ETL_DATABASE_URL": "postgres://nobody@nowhere.invalid/none", "SALESFORCE_ACCESS_TOKEN": "real",
		"SALESFORCE_INSTANCE_URL": "https://nowhere.invalid",
	}
	go func() {
		defer close(d.ended)
		d.code = execute(ctx, invocation{
			args:  append([]string{"demo", "--customers", "500", "--contacts", "1200"}, args...),
			stdin: strings.NewReader(""), stdout: d.stdout, stderr: d.stderr,
			env:  func(name string) (string, bool) { v, ok := env[name]; return v, ok },
			pace: pace{pollMin: 5 * time.Millisecond, pollMax: 50 * time.Millisecond, countersSettle: 10 * time.Millisecond, retryWait: 10 * time.Millisecond},
		})
	}()
	return d
}

// await waits for the text, and fails the test if the demo ends before.
func (d *demonstration) await(t *testing.T) {
	t.Helper()
	select {
	case <-d.seen:
	case <-d.ended:
		t.Fatalf("the demo ended with %d\nstdout:\n%s\nstderr:\n%s", d.code, d.stdout, d.stderr)
	}
}

// result waits for the end.
func (d *demonstration) result() result {
	<-d.ended
	return result{d.code, d.stdout.String(), d.stderr.String()}
}

// exports are the variables that the demo printed for a shell.
func (d *demonstration) exports() map[string]string {
	variables := map[string]string{}
	for _, match := range regexp.MustCompile(`(?m)^ *export (\w+)=(.*)$`).FindAllStringSubmatch(d.stdout.String(), -1) {
		variables[match[1]] = strings.Trim(match[2], "'")
	}
	return variables
}

// mustBeGone fails the test if anything of a folder is left.
func mustBeGone(t *testing.T, folder string) {
	t.Helper()
	if _, err := os.Stat(folder); folder == "" || !os.IsNotExist(err) {
		t.Errorf("folder %q is still there: %v", folder, err)
	}
}

// flat makes one blank of each stretch of them, so that the width of a table's
// columns does not matter.
func flat(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return strings.Join(lines, "\n")
}

// lastLineOfDemo is printed when the stage has been left to the user.
const lastLineOfDemo = "etl.runs, etl.chunks, etl.reconciliation\n"

func TestDemoAccountsForEveryRecord(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	d := demonstrate(ctx, lastLineOfDemo, "--keep", "--batch-latency", "1ms")
	d.await(t)
	env := d.exports()

	wantLanded := map[string]int64{
		"FROM Account": 499,
		"FROM Contact": 1192,
		"FROM Account WHERE Industry = 'Fintech'":         0,
		"FROM Account WHERE NumberOfEmployees > 99999999": 0,
		"FROM Contact WHERE LeadSource = 'LinkedIn'":      0,
		"FROM Contact WHERE AccountId = NULL":             0,
		"FROM Contact WHERE Birthdate < 1950-01-01":       0,
	}
	if diff := cmp.Diff(wantLanded, landed(t, env, wantLanded)); diff != "" {
		t.Errorf("what landed (-want +got):\n%s", diff)
	}
	wantRecords := map[string]int64{
		"open accounts REQUIRED_FIELD_MISSING":                      1,
		"open contacts INVALID_EMAIL_ADDRESS":                       3,
		"open contacts INVALID_FIELD":                               4,
		"open contacts REQUIRED_FIELD_MISSING":                      1,
		"resolved accounts INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": 4,
		"resolved accounts NUMBER_OUTSIDE_VALID_RANGE":              1,
		"resolved accounts STRING_TOO_LONG":                         1,
		"resolved contacts INVALID_DATE":                            3,
		"resolved contacts INVALID_EMAIL_ADDRESS":                   5,
		"resolved contacts INVALID_FIELD":                           20,
		"resolved contacts INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": 4,
		"resolved contacts STRING_TOO_LONG":                         2,
		"resolved contacts UNABLE_TO_LOCK_ROW":                      1,
	}
	if diff := cmp.Diff(wantRecords, reconciliation(t, env["ETL_DATABASE_URL"])); diff != "" {
		t.Errorf("what is in reconciliation (-want +got):\n%s", diff)
	}

	interrupt()
	r := d.result().exits(t, exitDone)
	r.stdout = flat(r.stdout)
	r.says(t,
		"$ etl run customers\n", "1,651 of 1,700 rows loaded",
		"$ etl failed list --group\n", "\n49 records in all.",
		"Account 500 = 493 + 7", "Contact 1,200 = 1,158 + 42",
		"WHERE segment = 'Fintech';\nUPDATE 4\n",
		"$ etl failed retry\n", "40 of 49 rows loaded", "\n9 records in all.",
		"Account 500 = 499 + 1", "Contact 1,200 = 1,192 + 8",
		"nothing of it is left",
	)
	mustBeGone(t, strings.TrimSuffix(env["ETL_SPOOL_DIR"], "/spool"))
	dsn, err := url.Parse(env["ETL_DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	mustBeGone(t, dsn.Query().Get("host"))
}

// landed counts records in the org for each of the queries.
func landed(t *testing.T, env map[string]string, queries map[string]int64) map[string]int64 {
	t.Helper()
	org, err := salesforce.Open(t.Context(), salesforce.Config{
		LoginURL: env["SALESFORCE_LOGIN_URL"], ClientID: env["SALESFORCE_CLIENT_ID"], ClientSecret: env["SALESFORCE_CLIENT_SECRET"],
	})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for query := range queries {
		if counts[query], err = org.Count(t.Context(), "SELECT COUNT() "+query); err != nil {
			t.Fatal(err)
		}
	}
	return counts
}

// reconciliation counts the rows of the table by what is said of them.
func reconciliation(t *testing.T, dsn string) map[string]int64 {
	t.Helper()
	const query = `SELECT concat_ws(' ', status, step, error_code), count(*) FROM etl.reconciliation GROUP BY 1`
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(), query) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	var what string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&what, &n}, func() error {
		counts[what] = n
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return counts
}

func TestInterruptedDemoLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	d := demonstrate(ctx, "$ etl run customers", "--batch-latency", "1h")
	d.await(t)
	interrupt()
	r := d.result().exits(t, exitInterrupted)
	mustBeGone(t, regexp.MustCompile(`/\S*etl-demo-\d+`).FindString(r.stdout))
}

func TestDemoOfNothingIsRefused(t *testing.T) {
	t.Parallel()
	b := newOfflineBench(t)
	b.etl("demo", "--customers", "0").exits(t, exitUsage).says(t, "--customers: want 1 or more, got 0")
	b.etl("demo", "--contacts", "-1").exits(t, exitUsage).says(t, "--contacts: want 1 or more, got -1")
}
