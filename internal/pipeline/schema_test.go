package pipeline_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"bulkhead/internal/pipeline"
)

// compiled is the schema, ready to check with.
func compiled(tb testing.TB) *jsonschema.Schema {
	tb.Helper()
	text, err := pipeline.Schema()
	if err != nil {
		tb.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("pipeline.json", doc); err != nil {
		tb.Fatal(err)
	}
	s, err := c.Compile("pipeline.json")
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// asJSON is the YAML as an editor's checker sees it.
func asJSON(tb testing.TB, text []byte) any {
	tb.Helper()
	var v any
	if err := yaml.Load(text, &v); err != nil {
		tb.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(out))
	if err != nil {
		tb.Fatal(err)
	}
	return doc
}

func TestSchemaAcceptsExamples(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	for _, file := range append(examples(t), filepath.Join("testdata", "design.yaml")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(asJSON(t, text)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestSchemaAgreesWithParse holds the two checks together: what a schema can
// say, it says exactly as Parse does.
func TestSchemaAgreesWithParse(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	swap := func(old, with string) string { return strings.Replace(step(), old, with, 1) }
	good := map[string]string{
		"the least there can be": step(),
		"all options": step("needs: []", "nulls: clear", "empty: keep", "job_timeout: 1h30m", "chunk: { rows: 10000, bytes: 1 kb, parallel: 50 }",
			"canary: 10000", "stop_when: { failed: 0.5, after: 0 }", "changes: { by: updated_at }"),
		"a size in bytes":           step("chunk: { bytes: 5000000 }"),
		"a list of keys":            swap("key: id", "key: [id, name]"),
		"a column in long form":     swap("Name: name", "Name: { column: name }"),
		"an expression":             swap("Name: name", "Name: { sql: upper(name) }"),
		"a polymorphic parent":      swap("Name: name", "\"Lead:Who.Email\": name"),
		"a constant number":         swap("Name: name", "Name: { value: 1.5 }"),
		"a place for anchors":       "x-a: { b: c }\n" + step(),
		"a schedule":                "schedule: { cron: \"@daily\", timezone: UTC, overlap: queue, catch_up: all, jitter: 5m }\n" + step(),
		"an overlap of time":        strings.Replace(swap("insert", "update"), "Name: name", "Id: id", 1) + "    changes: { by: updated_at, overlap: 2d }\n",
		"a hash beside a column":    strings.Replace(swap("insert", "update"), "Name: name", "Id: id", 1) + "    changes: { by: version, hash: true }\n",
		"an overlap of numbers":     strings.Replace(swap("insert", "update"), "Name: name", "Id: id", 1) + "    changes: { by: version, overlap: 1000 }\n",
		"upsert by its external id": strings.Replace(swap("insert", "upsert"), "Name: name", "Name: name, E__c: id", 1) + "    external_id: E__c\n",
	}
	for about, text := range good {
		if _, err := pipeline.Parse("p.yaml", []byte(text)); err != nil {
			t.Errorf("%s: Parse: %v", about, err)
		}
		if err := s.Validate(asJSON(t, []byte(text))); err != nil {
			t.Errorf("%s: schema: %v", about, err)
		}
	}
	bad := map[string]string{
		"an unknown key":             step("quer: SELECT 1"),
		"an unknown key at the root": "foo: 1\n" + step(),
		"an unknown operation":       swap("insert", "merge"),
		"a number for a name":        strings.Replace(step(), "name: p", "name: 7", 1),
		"a name with a slash":        strings.Replace(step(), "name: p", "name: a/b", 1),
		"no steps":                   "name: p\nsteps: []\n",
		"no query":                   swap("query:", "description:"),
		"a blank query":              swap("query: SELECT id, name FROM t", "query: ' '"),
		"an empty list of keys":      swap("key: id", "key: []"),
		"a key twice":                swap("key: id", "key: [id, id]"),
		"no fields":                  swap("{ Name: name }", "{}"),
		"a field with spaces":        swap("Name: name", "First Name: name"),
		"a parent two levels up":     swap("Name: name", "A.B.C__c: name"),
		"two kinds of value":         swap("Name: name", "Name: { column: a, sql: b }"),
		"no kind of value":           swap("Name: name", "Name: {}"),
		"a number for a column":      swap("Name: name", "Name: 1"),
		"rows out of range":          step("chunk: { rows: 0 }"),
		"too many rows":              step("chunk: { rows: 150000001 }"),
		"too many bytes":             step("chunk: { bytes: 100000001 }"),
		"too few bytes":              step("chunk: { bytes: 999 }"),
		"bytes in no known unit":     step("chunk: { bytes: 9 TB }"),
		"too many at once":           step("chunk: { parallel: 51 }"),
		"no canary":                  step("canary: 0"),
		"too big a canary":           step("canary: 10001"),
		"a share above all":          step("stop_when: { failed: 1.5 }"),
		"a share of nothing":         step("stop_when: { failed: 0 }"),
		"no share":                   step("stop_when: { after: 5 }"),
		"a duration without unit":    step("job_timeout: 10"),
		"an unknown policy":          step("nulls: erase"),
		"changes by nothing":         step("changes: { overlap: 10m }"),
		"an unknown overlap":         "schedule: { cron: \"@daily\", overlap: both }\n" + step(),
		"an unknown catch_up":        "schedule: { cron: \"@daily\", catch_up: some }\n" + step(),
		"a jitter without its unit":  "schedule: { cron: \"@daily\", jitter: \"5\" }\n" + step(),
		"upsert without external id": swap("insert", "upsert"),
		"insert with an external id": step("external_id: E__c"),
		"a need twice":               strings.Replace(step("needs: [a, a]"), "  - name: s", "  - { name: a, object: A, operation: insert, query: a, key: a, fields: { A: a } }\n  - name: s", 1),
	}
	for about, text := range bad {
		if _, err := pipeline.Parse("p.yaml", []byte(text)); err == nil {
			t.Errorf("%s: Parse accepts it", about)
		}
		if err := s.Validate(asJSON(t, []byte(text))); err == nil {
			t.Errorf("%s: the schema accepts it", about)
		}
	}
}

// TestSchemaHasEveryKey compares the keys that the schema knows with those
// that Parse names when it meets an unknown one.
func TestSchemaHasEveryKey(t *testing.T) {
	t.Parallel()
	text, err := pipeline.Schema()
	if err != nil {
		t.Fatal(err)
	}
	type node struct {
		Properties map[string]*node
		Items      *node
	}
	var root node
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	one := root.Properties["steps"].Items
	const unknown = "zzzzzzzzzzzz: 1"
	tests := map[string]struct {
		text string
		node *node
	}{
		"pipeline":  {unknown + "\n" + step(), &root},
		"step":      {step(unknown), one},
		"schedule":  {"schedule: { cron: \"@daily\", " + unknown + " }\n" + step(), root.Properties["schedule"]},
		"changes":   {step("changes: { by: a, " + unknown + " }"), one.Properties["changes"]},
		"chunk":     {step("chunk: { " + unknown + " }"), one.Properties["chunk"]},
		"stop_when": {step("stop_when: { failed: 5%, " + unknown + " }"), one.Properties["stop_when"]},
	}
	for about, tt := range tests {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			_, err := pipeline.Parse("p.yaml", []byte(tt.text))
			if err == nil {
				t.Fatal("the unknown key is accepted")
			}
			_, keys, _ := strings.Cut(err.Error(), "the keys here are ")
			known := strings.Split(keys, ", ")
			for key := range tt.node.Properties {
				if !slices.Contains(known, key) {
					t.Errorf("the schema has %q, Parse does not", key)
				}
			}
			for _, key := range known {
				if tt.node.Properties[key] == nil {
					t.Errorf("Parse has %q, the schema does not", key)
				}
			}
		})
	}
}
