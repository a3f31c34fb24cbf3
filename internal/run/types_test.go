package run_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// invoices maps every Postgres type that has a place in Salesforce.
const invoices = `name: invoices
steps:
  - name: invoices
    object: Invoice__c
    operation: upsert
    external_id: Ledger_No__c
    query: SELECT * FROM invoices
    key: no
    nulls: NULLS
    fields:
      Ledger_No__c: no
      Account__r.Legacy_Id__c: account
      Invoice_Key__c: id
      Source_Ref__c: code
      Serial__c: fixed
      Amount__c: amount
      Discount__c: ratio
      Quantity__c: single
      Lines__c: small
      Issued_On__c: issued
      Sent_At__c: sent
      Due_Time__c: due
      Paid__c: paid
      Tags__c: tags
      Status__c: status
      Notes__c: doc
      Summary__c: raw
      Contact_Email__c: email
`

func (b *bundle) invoices(t *testing.T) {
	t.Helper()
	for _, sql := range []string{
		`CREATE TYPE mood AS ENUM ('Draft', 'Paid')`,
		`CREATE DOMAIN address AS text CHECK (VALUE LIKE '%@%')`,
		`CREATE TABLE invoices (no bigint PRIMARY KEY, account int, id uuid, code varchar(60), fixed char(10), amount numeric(12,2),
			ratio double precision, single real, small smallint, issued date, sent timestamptz, due time, paid boolean,
			tags text[], status mood, doc jsonb, raw bytea, email address)`,
		`INSERT INTO invoices VALUES (900719925474, 1, '00000000-0000-4000-8000-00000000abcd', E'a,"b"\r\nc', 'x', -0.50,
			12.25, 0.1, -32768, '2024-02-29', '2024-03-31 01:30:00.123456+05:30', '13:14:15.5', true,
			'{Urgent,Export}', 'Paid', '{"a": [1, "é"]}', '\xdeadbeef', 'me@example.com')`,
		`INSERT INTO invoices (no, account, issued, paid) VALUES (2, 1, '1700-01-01', false)`,
		`CREATE TABLE people (id int PRIMARY KEY, name text, site text)`,
		`INSERT INTO people VALUES (1, 'One', 's')`,
	} {
		b.exec(t, sql)
	}
}

const invoiceFields = "Ledger_No__c, Account__r.Name, Invoice_Key__c, Source_Ref__c, Serial__c, Amount__c, Discount__c, Quantity__c, Lines__c, " +
	"Issued_On__c, Sent_At__c, Due_Time__c, Paid__c, Tags__c, Status__c, Notes__c, Summary__c, Contact_Email__c"

func TestEveryTypeAndNullBothWays(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.invoices(t)
	s, err := b.engine(t, accounts("insert", "")).Run(t.Context(), run.Options{})
	mustComplete(t, s, err, state.RunSucceeded)
	load := func(nulls string) {
		t.Helper()
		s, err := b.engine(t, strings.Replace(invoices, "NULLS", nulls, 1)).Run(t.Context(), run.Options{})
		b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	}
	check := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, b.soql(t, invoiceFields, "FROM Invoice__c ORDER BY Ledger_No__c")); diff != "" {
			t.Error(diff)
		}
	}
	full := "9.00719925474E11|One|00000000-0000-4000-8000-00000000abcd|a,\"b\"\nc|x|-0.5|12.25|0.1|-32768|" +
		"2024-02-29|2024-03-30T20:00:00.123+0000|13:14:15.500Z|true|Urgent;Export|Paid|{\"a\": [1, \"é\"]}|3q2+7w==|me@example.com"
	// A field that is left alone gets its default, here Draft, when the record is made.
	blank := "2.0|One|<nil>|<nil>|<nil>|<nil>|<nil>|<nil>|<nil>|1700-01-01|<nil>|<nil>|false|<nil>|Draft|<nil>|<nil>|<nil>"
	load("keep")
	check(blank, full)

	b.exec(t, `UPDATE invoices SET code = NULL, amount = NULL, tags = NULL, sent = NULL, doc = NULL WHERE no > 2`)
	load("keep")
	check(blank, full)

	load("clear")
	cleared := full
	for old, without := range map[string]string{
		"|a,\"b\"\nc|": "|<nil>|", "|-0.5|": "|<nil>|", "|2024-03-30T20:00:00.123+0000|": "|<nil>|", "|Urgent;Export|": "|<nil>|", "|{\"a\": [1, \"é\"]}|": "|<nil>|",
	} {
		cleared = strings.Replace(cleared, old, without, 1)
	}
	check(strings.Replace(blank, "Draft", "<nil>", 1), cleared)
}
