package pipeline_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/pipeline"
)

func TestCompile(t *testing.T) {
	t.Parallel()
	p := mustParse(t, `
name: p
steps:
  - name: s
    object: Contact
    operation: insert
    query: |
      SELECT * FROM people -- all of them
      ;
    key: [account_id, "the \"Id\""]
    nulls: clear
    fields:
      External__c: 'the "Id"'
      Account.Legacy_Id__c: { column: account_id }
      Name: { sql: "first || ' ' || last -- in this order" }
      LeadSource: { value: Web }
      Also__c: { sql: "first || ' ' || last -- in this order" }
      Fax: { value: null }
`)
	got := p.Steps[0].Compile()
	name := "(first || ' ' || last -- in this order\n)"
	want := pipeline.Projection{
		Query:    "SELECT * FROM people -- all of them",
		Select:   []string{`source."account_id"`, `source."the ""Id"""`, name},
		Key:      []int{0, 1},
		KeyNames: []string{"account_id", `the "Id"`},
		Fields: []pipeline.ProjectedField{
			{Target: "External__c", Index: 1},
			{Target: "Account.Legacy_Id__c", Index: 0},
			{Target: "Name", Index: 2},
			{Target: "LeadSource", Index: -1, Const: "Web"},
			{Target: "Also__c", Index: 2},
			{Target: "Fax", Index: -1, ConstNull: true},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}

	wantSQL := `SELECT source."account_id", source."the ""Id""", ` + name + `
FROM (
SELECT * FROM people -- all of them
) AS source
ORDER BY source."account_id", source."the ""Id"""`
	if diff := cmp.Diff(wantSQL, got.SQL("", 0)); diff != "" {
		t.Error(diff)
	}
	wantSQL = `SELECT source."account_id", source."the ""Id""", ` + name + `
FROM (
SELECT * FROM people -- all of them
) AS source
WHERE source."account_id" > $1
ORDER BY source."account_id", source."the ""Id"""
LIMIT 10`
	if diff := cmp.Diff(wantSQL, got.SQL(got.KeyExpr(0)+" > $1", 10)); diff != "" {
		t.Error(diff)
	}
}

func TestOnly(t *testing.T) {
	t.Parallel()
	p := mustParse(t, strings.Replace(step(), "Name: name", "Name: { sql: upper(name) }", 1))
	c := p.Steps[0].Compile()
	want := "SELECT (upper(name)\n)\nFROM (\nSELECT id, name FROM t\n) AS source"
	if got := c.Only(c.Fields[0].Index); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
