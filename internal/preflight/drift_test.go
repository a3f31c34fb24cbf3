package preflight_test

import (
	"errors"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/preflight"
)

const drifting = `name: drifting
steps:
  - name: accounts
    object: Account
    operation: upsert
    external_id: Legacy_Id__c
    query: SELECT * FROM customers
    key: id
    fields:
      Legacy_Id__c: id
      Name: name
      Site: city
      Industry: segment
      Phone: phone
      Website: website
  - name: contacts
    object: Contact
    operation: upsert
    external_id: Legacy_Id__c
    query: SELECT * FROM people
    key: id
    fields:
      Legacy_Id__c: id
      LastName: last_name
      account.legacy_id__c: account_id
`

// parse reads a pipeline of the test's own.
func parse(t *testing.T, text string) *pipeline.Pipeline {
	t.Helper()
	p, err := pipeline.Parse("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// remember is what a check knows after another one.
func remember(r *preflight.Report) preflight.Known {
	known := preflight.Known{}
	for _, object := range r.Seen {
		known[strings.ToLower(object.Name)] = object
	}
	return known
}

// lines are the drift and the findings, one a line.
func lines(r *preflight.Report) string {
	var b strings.Builder
	if len(r.Drift) > 0 {
		b.WriteString((&preflight.DriftError{Drift: r.Drift}).Error() + "\n")
	}
	for _, f := range r.Findings {
		b.WriteString(string(f.Severity) + " " + f.String() + "\n")
	}
	return b.String()
}

// TestDrift changes the org between two checks, one change at a time.
func TestDrift(t *testing.T) {
	t.Parallel()
	p := parse(t, drifting)
	conn := source(t)
	for _, tc := range []struct {
		name, object string
		change       emulator.Alteration
		want         []string // in order; none: nothing changed that matters
	}{
		{"nothing", "Account", emulator.Alteration{Set: map[string]any{"label": "Company"}}, nil},
		{"a field that is not used", "Account", emulator.Alteration{Field: "Fax", Remove: true}, nil},
		{"a new field", "Account", emulator.Alteration{Field: "Region__c", Set: map[string]any{"type": "string", "defaultedOnCreate": false}}, nil},
		{
			"renamed, the label stays", "Account",
			emulator.Alteration{Field: "Site", Set: map[string]any{"name": "Place_Of_Business__c"}},
			[]string{
				`p.yaml:12:7: step "accounts": Account.Site is gone, or hidden from the integration user; it was most likely renamed to Place_Of_Business__c`,
				`error p.yaml:12:7: step "accounts", field Site: Account has no such field, or the integration user may not see it; it was there at the last run, and was most likely renamed: write Place_Of_Business__c, which is new, and with the same label ("Account Site")`,
			},
		},
		{
			"renamed, with its label", "Account",
			emulator.Alteration{Field: "Website", Set: map[string]any{"name": "Web_Site__c", "label": "Home"}},
			[]string{
				`p.yaml:15:7: step "accounts": Account.Website is gone, or hidden from the integration user; it was most likely renamed to Web_Site__c`,
				`write Web_Site__c, which is new, and of the same type (url)`,
			},
		},
		{
			"removed", "Account",
			emulator.Alteration{Field: "Phone", Remove: true},
			[]string{
				`p.yaml:14:7: step "accounts": Account.Phone is gone, or hidden from the integration user`,
				`it was there at the last run (phone, "Account Phone"): it has been deleted, renamed or hidden since`,
			},
		},
		{
			"shorter", "Account",
			emulator.Alteration{Field: "Site", Set: map[string]any{"length": 20}},
			[]string{`p.yaml:12:7: step "accounts": Account.Site held 80 characters and holds 20 characters`},
		},
		{
			"another type", "Account",
			emulator.Alteration{Field: "Phone", Set: map[string]any{"type": "double", "precision": 18}},
			[]string{`Account.Phone: its type was phone and is double`},
		},
		{
			"no permission", "Account",
			emulator.Alteration{Field: "Phone", Set: map[string]any{"createable": false, "updateable": false}},
			[]string{`Account.Phone: the integration user could create, update, and now can only read`, `error p.yaml:14:7`},
		},
		{
			"no permission for the object", "Account",
			emulator.Alteration{Set: map[string]any{"createable": false}},
			[]string{`p.yaml:4:13: step "accounts": Account: the integration user could create, update, delete, and now can update, delete`, `error p.yaml:4:13`},
		},
		{
			"picklist", "Account",
			emulator.Alteration{Field: "Industry", Set: map[string]any{"picklistValues": []map[string]any{{"value": "Technology", "active": true}, {"value": "Mining", "active": true}}}},
			[]string{`Account.Industry: values gone: "Agriculture"`, `; values new: "Mining"`},
		},
		{
			"picklist open", "Account",
			emulator.Alteration{Field: "Industry", Set: map[string]any{"restrictedPicklist": false}},
			[]string{`Account.Industry was restricted to the values of its picklist and is open to any value`},
		},
		{
			"required, mapped", "Account",
			emulator.Alteration{Field: "Site", Set: map[string]any{"nillable": false, "defaultedOnCreate": false}},
			[]string{`p.yaml:12:7: step "accounts": Account.Site was optional and is required`},
		},
		{
			"required, not mapped", "Contact",
			emulator.Alteration{Field: "Email", Set: map[string]any{"nillable": false}},
			[]string{`p.yaml:17:13: step "contacts": Contact.Email was optional and is required`, `warning p.yaml:16:5`},
		},
		{
			"required and new", "Contact",
			emulator.Alteration{Field: "Region__c", Set: map[string]any{"type": "string", "nillable": false, "defaultedOnCreate": false}},
			[]string{`p.yaml:17:13: step "contacts": Contact.Region__c was not there and is required`},
		},
		{
			"key", "Account",
			emulator.Alteration{Field: "Legacy_Id__c", Set: map[string]any{"externalId": false, "idLookup": false}},
			[]string{
				`p.yaml:10:7: step "accounts", step "contacts": Account.Legacy_Id__c was an external id, a lookup key, unique and is unique`,
				`error p.yaml:6:18`, `error p.yaml:25:7`,
			},
		},
		{
			"parent's relationship", "Contact",
			emulator.Alteration{Field: "AccountId", Remove: true},
			[]string{`p.yaml:25:7: step "contacts": Contact.AccountId is gone`, `error p.yaml:25:7`},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			login, server := orgWithServer(t)
			before, err := preflight.Check(t.Context(), conn, login, p, p.Steps, preflight.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(before.Drift) > 0 || len(before.Findings) > 0 || len(before.Seen) != 2 {
				t.Fatalf("before: %s, seen %v", lines(before), before.Seen)
			}
			if err := server.Alter(tc.object, tc.change); err != nil {
				t.Fatal(err)
			}
			after, err := preflight.Check(t.Context(), nil, login, p, p.Steps, preflight.Options{Known: remember(before)})
			if err != nil {
				t.Fatal(err)
			}
			got := lines(after)
			rest := got
			for _, want := range tc.want {
				at := strings.Index(rest, want)
				if at < 0 {
					t.Fatalf("nothing says %q, or out of order:\n%s", want, got)
				}
				rest = rest[at+len(want):]
			}
			if len(tc.want) == 0 && got != "" {
				t.Errorf("it matters to nobody, but: %s", got)
			}
		})
	}
}

// TestDriftOfObject takes away the object itself.
func TestDriftOfObject(t *testing.T) {
	t.Parallel()
	p := parse(t, drifting)
	before, err := preflight.Check(t.Context(), nil, org(t), p, p.Steps, preflight.Options{})
	if err != nil {
		t.Fatal(err)
	}
	renamed := parse(t, strings.ReplaceAll(drifting, "object: Contact", "object: Kontact"))
	known := remember(before)
	known["kontact"] = known["contact"]
	after, err := preflight.Check(t.Context(), nil, org(t), renamed, renamed.Steps, preflight.Options{Known: known})
	if err != nil {
		t.Fatal(err)
	}
	var refused *preflight.Error
	if !errors.As(after.Err(), &refused) || len(after.Drift) != 1 || after.Drift[0].Line != 17 {
		t.Errorf("drift %v, err %v", after.Drift, after.Err())
	}
}
