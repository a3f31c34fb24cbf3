package preflight_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"bulkhead/internal/emulator"
	"bulkhead/internal/preflight"
)

// rows are customers whose values fit, and some that do not.
const rows = `RESET ROLE;
	INSERT INTO customers (id, name, segment, employees, revenue_cents, sfid, tags, country) SELECT i, 'Customer ' || i, 'Technology', 5, 100, '012000000000001AAA', ARRAY['AMER','EMEA'], 'Small_Business'
		FROM generate_series(1, 20) i;
	UPDATE customers SET name = repeat('x', 300) WHERE id IN (1, 2);
	UPDATE customers SET name = ' ' WHERE id = 3;
	UPDATE customers SET segment = 'Alchemy' WHERE id < 5;
	UPDATE customers SET segment = 'technology ' WHERE id = 6;
	UPDATE customers SET segment = '' WHERE id = 7;
	UPDATE customers SET employees = 100000000 WHERE id = 8;
	UPDATE customers SET sfid = '012000000000009' WHERE id = 9;
	UPDATE customers SET sfid = '012000000000001' WHERE id = 10;
	UPDATE customers SET tags = ARRAY['AMER','Moon'] WHERE id = 11;
	UPDATE customers SET country = 'Large' WHERE id = 12;
	UPDATE customers SET token = gen_random_uuid() WHERE id > 1;
	SET ROLE pg_read_server_files`

const valuesYAML = `name: values
steps:
  - name: ids
    object: Account
    operation: upsert
    external_id: Legacy_Id__c
    query: SELECT * FROM customers
    key: id
    fields:
      Legacy_Id__c: token
      Name: name
      Industry: segment
      NumberOfEmployees: employees
      AnnualRevenue: revenue_cents
      Regions__c: tags
      RecordTypeId: sfid
  - name: names
    object: Account
    operation: insert
    query: SELECT * FROM customers
    key: id
    fields:
      Name: { sql: "'x' || id" }
      RecordType.DeveloperName: country
  - name: constants
    object: Account
    operation: insert
    query: SELECT * FROM customers
    key: id
    fields:
      Name: { sql: "1 / (id - 5)" }
      RecordTypeId: { value: 012000000000007AAA }
`

// recordTypes gives Account two record types, of which the user may use one.
func recordTypes(t *testing.T, server *emulator.Server) {
	t.Helper()
	for _, a := range []emulator.Alteration{
		{Field: "RecordTypeId", Set: map[string]any{"type": "reference", "relationshipName": "RecordType", "referenceTo": []string{"RecordType"}}},
		{Set: map[string]any{"recordTypeInfos": []map[string]any{
			{"recordTypeId": "012000000000001AAA", "name": "Small business", "developerName": "Small_Business", "active": true, "available": true},
			{"recordTypeId": "012000000000009AAA", "name": "Large", "developerName": "Large", "active": true, "available": false},
		}}},
	} {
		if err := server.Alter("Account", a); err != nil {
			t.Fatal(err)
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	conn := source(t)
	exec(t, conn, rows)
	login, server := orgWithServer(t)
	recordTypes(t, server)
	p := parse(t, valuesYAML)
	report, err := preflight.Check(t.Context(), conn, login, p, p.Steps, preflight.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range report.Findings {
		got = append(got, string(f.Severity)+" "+f.String())
	}
	want := []string{
		`warning p.yaml:10:21: step "ids", field Legacy_Id__c: there is no value, and the field must have one in 1 of 20 rows: Salesforce will refuse them; leave those rows out in the query, or give a value, such as { sql: "coalesce(token, ...)" }`,
		`warning p.yaml:11:13: step "ids", field Name: the value is longer than the 255 characters that the field holds in 2 of 20 rows: they will not be sent; make the field longer, or cut the value, such as { sql: "left(name, 255)" }`,
		`warning p.yaml:11:13: step "ids", field Name: there is no value, and the field must have one in 1 of 20 rows: those that are not in Salesforce yet will be refused; leave those rows out in the query, or give a value, such as { sql: "coalesce(name, ...)" }`,
		`warning p.yaml:12:17: step "ids", field Industry: the source has values that are not among the values of this restricted picklist: "Alchemy" in 4 of 20 rows: Salesforce will refuse them; it has Agriculture, Apparel, Banking`,
		`warning p.yaml:13:26: step "ids", field NumberOfEmployees: the number has more than the 8 digits before the point that the field holds in 1 of 20 rows: Salesforce will refuse them; give the field more digits, or map a smaller unit`,
		`warning p.yaml:15:19: step "ids", field Regions__c: the source has values that are not among the values of this restricted picklist: "Moon" in 1 of 20 rows: Salesforce will refuse them; it has AMER, EMEA, APAC; add what is missing in Setup, or map the values to those, such as { sql: "CASE ... END" }`,
		`warning p.yaml:16:21: step "ids", field RecordTypeId: the source has values that are no record type that the integration user may use: "012000000000009" in 1 of 20 rows: Salesforce will refuse them; it has 012000000000001AAA; add what is missing in Setup, or map the values to those, such as { sql: "CASE ... END" }`,
		`error p.yaml:24:7: step "names", field RecordType.DeveloperName: the integration user may not see RecordType, the parent; an admin can grant it in a permission set`,
		`warning p.yaml:24:33: step "names", field RecordType.DeveloperName: the source has values that are no record type that the integration user may use: "Large" in 1 of 20 rows: Salesforce will refuse them; it has Small_Business; add what is missing in Setup, or map the values to those, such as { sql: "CASE ... END" }`,
		`warning p.yaml:28:12: step "constants": Postgres cannot read the rows: division by zero (SQLSTATE 22012); correct the query, or the rows`,
		`warning p.yaml:32:30: step "constants", field RecordTypeId: "012000000000007AAA" is no record type of Account that the integration user may use: Salesforce will refuse every record; it may use Small_Business (012000000000001AAA)`,
	}
	if len(got) > 3 && len(got[3]) > len(want[3]) {
		got[3] = got[3][:len(want[3])] // the whole picklist is long
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}
