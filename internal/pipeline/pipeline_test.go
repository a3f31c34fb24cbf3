package pipeline_test

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bulkhead/internal/pipeline"
)

var update = flag.Bool("update", false, "write the golden files anew")

// mustParse parses a pipeline that has no mistakes.
func mustParse(tb testing.TB, text string) *pipeline.Pipeline {
	tb.Helper()
	p, err := pipeline.Parse("p.yaml", []byte(text))
	if err != nil {
		tb.Fatalf("parse:\n%v\n%s", err, text)
	}
	return p
}

// step is a pipeline of one step that has no mistakes, with lines added to it.
func step(lines ...string) string {
	const head = `name: p
steps:
  - name: s
    object: Account
    operation: insert
    query: SELECT id, name FROM t
    key: id
    fields: { Name: name }
`
	return head + "    " + strings.Join(lines, "\n    ") + "\n"
}

func TestLoadDesign(t *testing.T) {
	t.Parallel()
	path := filepath.Join("testdata", "design.yaml")
	p, err := pipeline.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kolkata, err := time.LoadLocation("Asia/Kolkata")
	if err != nil {
		t.Fatal(err)
	}
	technology := "Technology"
	want := &pipeline.Pipeline{
		File: path, Text: text, Name: "crm-nightly", Description: "Customers and their contacts, every night",
		Source: "warehouse", Org: "production", OnDrift: pipeline.DriftWarn,
		Schedule: &pipeline.Schedule{Cron: "0 2 * * *", Timezone: "Asia/Kolkata", Overlap: pipeline.OverlapSkip, CatchUp: pipeline.CatchUpLatest, Location: kolkata},
		Steps: []*pipeline.Step{{
			Name: "accounts", Object: "Account", Operation: pipeline.Upsert, ExternalID: "Legacy_Id__c",
			Query: "SELECT id, name, website, revenue_cents, segment, updated_at FROM customers",
			Key:   []string{"id"}, Changes: &pipeline.Changes{By: "updated_at", Overlap: 10 * time.Minute},
			Nulls: pipeline.NullsClear, Empty: pipeline.NullsClear,
			Fields: []pipeline.Field{
				{Target: "Legacy_Id__c", Column: "id"},
				{Target: "Name", Column: "name"},
				{Target: "Website", Column: "website"},
				{Target: "AnnualRevenue", SQL: "revenue_cents / 100.0"},
				{Target: "Industry", Value: &technology},
			},
			Chunk:      pipeline.Chunk{Rows: pipeline.DefaultRows, Bytes: pipeline.DefaultBytes, Parallel: pipeline.DefaultParallel},
			JobTimeout: pipeline.DefaultJobTimeout,
		}, {
			Name: "contacts", Needs: []string{"accounts"}, Object: "Contact", Operation: pipeline.Upsert, ExternalID: "Legacy_Id__c",
			Query: "SELECT id, account_id, first_name, last_name, email FROM people",
			Key:   []string{"account_id", "id"}, Nulls: pipeline.NullsKeep, Empty: pipeline.NullsKeep,
			Fields: []pipeline.Field{
				{Target: "Legacy_Id__c", Column: "id"},
				{Target: "Account.Legacy_Id__c", Column: "account_id"},
				{Target: "FirstName", Column: "first_name"},
				{Target: "LastName", Column: "last_name"},
				{Target: "Email", Column: "email"},
			},
			Chunk:      pipeline.Chunk{Rows: 100_000, Bytes: 90_000_000, Parallel: 5},
			JobTimeout: pipeline.DefaultJobTimeout,
			StopWhen:   &pipeline.StopWhen{FailedShare: 0.05, After: 1000},
		}},
	}
	ignore := []cmp.Option{
		cmpopts.IgnoreTypes(pipeline.Pos{}), cmpopts.IgnoreUnexported(pipeline.Step{}),
		cmpopts.IgnoreFields(pipeline.Schedule{}, "Times"), cmpopts.IgnoreFields(pipeline.Pipeline{}, "Warnings"),
		cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() }),
	}
	if diff := cmp.Diff(want, p, ignore...); diff != "" {
		t.Error(diff)
	}
	if len(p.Warnings) > 0 {
		t.Errorf("warnings: %v", p.Warnings)
	}
}

func TestExamplePipelinesLoad(t *testing.T) {
	t.Parallel()
	for _, path := range examples(t) {
		p, err := pipeline.Load(path)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if len(p.Warnings) > 0 {
			t.Errorf("an example is to load without warnings: %v", p.Warnings)
		}
	}
}

// examples are the pipeline files that users copy.
func examples(tb testing.TB) []string {
	tb.Helper()
	files, err := pipeline.List(filepath.Join("..", "..", pipeline.Folder))
	if err != nil || len(files) == 0 {
		tb.Fatalf("List: %v, %v", files, err)
	}
	return files
}

// TestMistakes parses every file of testdata/bad and compares what is said
// about it with the golden file beside it.
func TestMistakes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "bad", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = pipeline.Parse(filepath.Base(file), text)
			if err == nil {
				t.Fatal("accepted")
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", err.Error()+"\n")
		})
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

func TestOptions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		line string
		want func(s *pipeline.Step) bool
	}{
		{"chunk: { rows: 5_000 }", func(s *pipeline.Step) bool {
			return s.Chunk == pipeline.Chunk{Rows: 5000, Bytes: pipeline.DefaultBytes, Parallel: pipeline.DefaultParallel}
		}},
		{"chunk: { bytes: 64MiB }", func(s *pipeline.Step) bool { return s.Chunk.Bytes == 64<<20 }},
		{"chunk: { bytes: 1 kb }", func(s *pipeline.Step) bool { return s.Chunk.Bytes == 1000 }},
		{"chunk: { bytes: 100000000, parallel: 1 }", func(s *pipeline.Step) bool { return s.Chunk.Bytes == 100_000_000 && s.Chunk.Parallel == 1 }},
		{"stop_when: { failed: 0.25 }", func(s *pipeline.Step) bool { return *s.StopWhen == pipeline.StopWhen{FailedShare: 0.25, After: 1000} }},
		{"stop_when: { failed: 12.5 %, after: 0 }", func(s *pipeline.Step) bool { return *s.StopWhen == pipeline.StopWhen{FailedShare: 0.125} }},
		{"stop_when: { failed: 1 }", func(s *pipeline.Step) bool { return s.StopWhen.FailedShare == 1 }},
		{"canary: 200", func(s *pipeline.Step) bool { return s.Canary == 200 }},
		{"job_timeout: 1h30m", func(s *pipeline.Step) bool { return s.JobTimeout == 90*time.Minute }},
		{"job_timeout: 2d", func(s *pipeline.Step) bool { return s.JobTimeout == 48*time.Hour }},
		{"nulls: clear", func(s *pipeline.Step) bool { return s.Nulls == pipeline.NullsClear && s.Empty == pipeline.NullsClear }},
		{"empty: clear", func(s *pipeline.Step) bool { return s.Nulls == pipeline.NullsKeep && s.Empty == pipeline.NullsClear }},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			if s := mustParse(t, step(tt.line)).Steps[0]; !tt.want(s) {
				t.Errorf("got %+v, chunk %+v, stop_when %+v, changes %+v", s, s.Chunk, s.StopWhen, s.Changes)
			}
		})
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	upsert := func(line string) string {
		return strings.NewReplacer("operation: insert", "operation: upsert\n    external_id: Id__c", "Name: name", "Id__c: id").Replace(step(line))
	}
	good := map[string]pipeline.Changes{
		"{ by: hash }":                                {Hash: true},
		"{ by: changed_at, hash: true }":              {By: "changed_at", Hash: true},
		"{ by: changed_at, hash: false }":             {By: "changed_at"},
		"{ by: changed_at, hash: true, overlap: 1h }": {By: "changed_at", Hash: true, Overlap: time.Hour},
		"{ by: version, overlap: 500 }":               {By: "version", OverlapCount: 500},
	}
	for text, want := range good {
		if got := mustParse(t, upsert("changes: "+text)).Steps[0].Changes; *got != want {
			t.Errorf("%s: got %+v", text, got)
		}
	}
	bad := map[string]string{
		upsert("changes: { by: hash, hash: true }"):      "by: hash says it already",
		upsert("changes: { by: hash, overlap: 10m }"):    "overlap is for a column",
		upsert("changes: { by: updated_at, hash: yes }"): "must be true or false",
		step("changes: { by: hash }"):                    "an insert would load a row that changed a second time",
		step("changes: { by: id, hash: true }"):          "an insert would load a row that changed a second time",
		step("changes: { by: id, overlap: 5 }"):          "an insert would load again what the overlap reads again",
		strings.NewReplacer("insert", "delete", "Name: name", "Id: id").Replace(step("changes: { by: hash }")): "there is no content to compare in a delete",
	}
	for text, want := range bad {
		if _, err := pipeline.Parse("p.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot %v, want %q", text, err, want)
		}
	}
}

func TestConstants(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"Web": "Web", `"007"`: "007", "12": "12", "-3": "-3", "1.50": "1.50", "True": "true", "2024-01-31": "2024-01-31",
		`""`: "", "yes": "yes",
	}
	for in, want := range tests {
		f := mustParse(t, strings.Replace(step(), "Name: name", "Name: { value: "+in+" }", 1)).Steps[0].Fields[0]
		if f.Value == nil || *f.Value != want || !f.Constant() {
			t.Errorf("value: %s gives %+v, want %q", in, f, want)
		}
	}
	f := mustParse(t, strings.Replace(step("nulls: clear"), "Name: name", "Name: { value: null }", 1)).Steps[0].Fields[0]
	if !f.Null || f.Value != nil {
		t.Errorf("value: null gives %+v", f)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	p := mustParse(t, step("chunk: { rows: 25000 }"))
	want := "p.yaml:9:20: steps[0].chunk.rows: Salesforce works in batches of 10000 rows, so 25000 rows end in a batch that is not full; a multiple of 10000 wastes none"
	if len(p.Warnings) != 1 || p.Warnings[0].String() != want {
		t.Errorf("warnings = %v, want %s", p.Warnings, want)
	}
	if p := mustParse(t, step("chunk: { rows: 2500 }")); len(p.Warnings) > 0 {
		t.Errorf("a chunk smaller than a batch warns: %v", p.Warnings)
	}
}

func TestAnchors(t *testing.T) {
	t.Parallel()
	p := mustParse(t, `
name: p
x-defaults: &defaults
  nulls: clear
  chunk: { rows: 10000 }
steps:
  - <<: *defaults
    name: s
    object: Account
    operation: insert
    query: SELECT 1 AS id
    key: id
    nulls: keep
    fields: { Name: id }
`)
	if s := p.Steps[0]; s.Nulls != pipeline.NullsKeep || s.Chunk.Rows != 10_000 {
		t.Errorf("nulls %q, chunk %+v: what the step says is to win over what it merges", s.Nulls, s.Chunk)
	}
}

func TestOrdered(t *testing.T) {
	t.Parallel()
	steps := ""
	for _, s := range []string{"d: b, c", "a:", "c: a", "b: a", "e:"} {
		name, needs, _ := strings.Cut(s, ":")
		steps += "  - { name: " + name + ", needs: [" + needs + "], object: A, operation: insert, query: SELECT 1, key: id, fields: { Name: id } }\n"
	}
	var got []string
	for _, s := range mustParse(t, "name: p\nsteps:\n"+steps).Ordered() {
		got = append(got, s.Name)
	}
	if diff := cmp.Diff([]string{"a", "c", "b", "d", "e"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestQueryAt(t *testing.T) {
	t.Parallel()
	p := mustParse(t, `name: p
steps:
  - name: s
    object: Account
    operation: insert
    query: |
      SELECT id,
        namee
      FROM t
    key: id
    fields: { Name: name }
`)
	if got, want := p.Steps[0].QueryAt(2, 3), (pipeline.Pos{Line: 8, Column: 9}); got != want {
		t.Errorf("QueryAt = %v, want %v", got, want)
	}
}

func TestParseCron(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", " ", "* * * *", "61 * * * *", "0 0 * * 7", "0 0 31 2 *", "TZ=UTC", "CRON_TZ=Europe/Bratislava", "TZ=UTC 0 0 * * *",
		"@every -1h", "@every 0s", "@every 1ms", "@never", "@every", "a b c d e", "*/0 * * * *",
	} {
		if times, err := pipeline.ParseCron(bad, time.UTC); err == nil {
			t.Errorf("ParseCron(%q) = %v, want an error", bad, times)
		}
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	times, err := pipeline.ParseCron("0 2 * * 1-5", berlin)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) // a Friday
	if got, want := times.Next(from), time.Date(2026, 1, 5, 1, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("Next = %v, want %v", got, want)
	}
}

func FuzzParseCron(f *testing.F) {
	f.Add("0 2 * * *")
	f.Add("@every 15m")
	f.Add("TZ=UTC")
	f.Fuzz(func(t *testing.T, expression string) {
		times, err := pipeline.ParseCron(expression, time.UTC)
		if err == nil && !times.Next(time.Unix(0, 0)).After(time.Unix(0, 0)) {
			t.Errorf("ParseCron(%q) gives times that do not grow", expression)
		}
	})
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*", "*.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, filepath.Join("testdata", "design.yaml")) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(step("stop_when: { failed: 5% }")))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := pipeline.Parse("p.yaml", text)
		if err != nil {
			return
		}
		if len(p.Ordered()) != len(p.Steps) {
			t.Error("Ordered loses steps")
		}
		for _, s := range p.Steps {
			checkProjection(t, s)
		}
	})
}

// checkProjection checks what holds for the projection of any step.
func checkProjection(t *testing.T, s *pipeline.Step) {
	t.Helper()
	c := s.Compile()
	if len(c.Key) == 0 || len(c.Key) != len(s.Key) || len(c.Fields) != len(s.Fields) {
		t.Fatalf("%d keys and %d fields compile to %+v", len(s.Key), len(s.Fields), c)
	}
	used := map[int]bool{}
	for _, i := range c.Key {
		used[i] = true
	}
	for i, f := range c.Fields {
		if f.Index < -1 || f.Index >= len(c.Select) || (f.Index < 0) != s.Fields[i].Constant() {
			t.Errorf("field %+v compiles to %+v", s.Fields[i], f)
		}
		used[f.Index] = true
	}
	distinct := map[string]bool{}
	for i, expression := range c.Select {
		distinct[expression] = true
		if !used[i] {
			t.Errorf("%s is selected but not used", expression)
		}
	}
	if len(distinct) != len(c.Select) {
		t.Errorf("selected twice: %q", c.Select)
	}
	if !strings.Contains(c.SQL("", math.MaxInt64), "\nFROM (\n"+c.Query+"\n) AS source\nORDER BY ") {
		t.Errorf("the query does not stand on lines of its own: %s", c.SQL("", 0))
	}
}
