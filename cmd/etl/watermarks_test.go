package main

import (
	"strings"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/state"
)

const changedYAML = `name: customers
steps:
  - name: accounts
    object: Account
    operation: upsert
    external_id: Legacy_Id__c
    query: SELECT id, name, version FROM customers
    key: id
    changes: { by: version }
    fields:
      Legacy_Id__c: id
      Name: name
`

// TestWatermarks follows a pipeline that sends what changed: what is known, moved by hand, and refused.
func TestWatermarks(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(20)
	b.sql("ALTER TABLE customers ADD version bigint; UPDATE customers SET version = id")
	b.write("pipelines/customers.yaml", changedYAML)
	b.write("pipelines/whole.yaml", strings.ReplaceAll(strings.ReplaceAll(changedYAML, "    changes: { by: version }\n", ""), "name: customers", "name: whole"))

	b.etl("watermarks", "list").exits(t, exitDone)
	b.etl("run", "customers").exits(t, exitDone).says(t, "20 of 20 rows loaded")
	b.etl("run", "customers").exits(t, exitDone).says(t, "0 of 0 rows loaded")
	b.etl("watermarks", "list").exits(t, exitDone).says(t, "customers", "accounts", "version", "21")
	b.etl("run", "customers", "--since", "16").exits(t, exitDone).says(t, "5 of 5 rows loaded")

	set := decode[state.Watermark](t, b.etl("watermarks", "set", "customers", "accounts", "11", "--json").exits(t, exitDone))
	if set.Step != "accounts" || set.Value != "11" {
		t.Errorf("set %+v", set)
	}
	b.etl("run", "customers").exits(t, exitDone).says(t, "10 of 10 rows loaded")
	b.etl("run", "customers", "--full").exits(t, exitDone).says(t, "20 of 20 rows loaded")

	b.etl("watermarks", "set", "customers", "acounts", "11").exits(t, exitUsage).says(t, `Did you mean "accounts"?`)
	b.etl("watermarks", "set", "customers", "accounts", "soon").exits(t, exitIncomplete).says(t, "soon")
	b.etl("watermarks", "set", "whole", "accounts", "11").exits(t, exitUsage).says(t, "has no watermark")
	b.etl("run", "whole", "--since", "11").exits(t, exitUsage).says(t, "no step to run reads what changed by a column")
	b.etl("run", "customers", "--since", "11", "--full").exits(t, exitUsage).says(t, "take one of them")
	b.sql("UPDATE customers SET version = NULL WHERE id = 3")
	b.etl("run", "customers").exits(t, exitRefused).says(t, "customers.yaml:9:", "version is NULL", "would never be sent")
}
