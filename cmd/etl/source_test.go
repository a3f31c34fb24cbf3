package main

import (
	"strings"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/pgtest"
)

// TestTheSourceIsNeverChanged has queries that would write.
func TestTheSourceIsNeverChanged(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"function":         "SELECT wipe() AS id, 'a' AS name, 'b' AS website",
		"sequence":         "SELECT nextval('numbers') AS id, 'a' AS name, 'b' AS website",
		"second statement": "SELECT id, name, website FROM customers) AS source; DELETE FROM customers; SELECT * FROM (SELECT 1",
		"with":             "WITH gone AS (DELETE FROM customers RETURNING *) SELECT id, name, website FROM gone",
		"locks":            "SELECT id, name, website FROM customers FOR UPDATE",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, emulator.Config{})
			b.customers(3)
			b.sql(`CREATE SEQUENCE numbers; CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM customers RETURNING 1'`)
			b.write("pipelines/customers.yaml", strings.Replace(customersYAML, "SELECT id, name, website FROM customers", `"`+query+`"`, 1))
			for _, args := range [][]string{{"plan", "customers"}, {"run", "customers"}, {"doctor"}, {"run", "customers", "--limit", "1"}} {
				if r := b.etl(args...); r.code == exitDone && args[0] != "doctor" {
					t.Errorf("%q is done:\n%s%s", args, r.stdout, r.stderr)
				}
			}
			conn := pgtest.Conn(t, b.dsn)
			var rows, drawn int
			if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM numbers WHERE is_called)`).Scan(&rows, &drawn); err != nil {
				t.Fatal(err)
			}
			if rows != 3 || drawn != 0 {
				t.Errorf("%d rows are left of 3, and %d numbers are drawn", rows, drawn)
			}
		})
	}
}
