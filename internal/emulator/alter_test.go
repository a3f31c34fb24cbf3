package emulator_test

import (
	"net/http"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
)

// alter changes an object through the control endpoint.
func (o *org) alter(object, change string) answer {
	o.tb.Helper()
	return o.json(http.MethodPost, "/emulator/schema/"+object, change)
}

func (o *org) mustAlter(object, change string) {
	o.tb.Helper()
	if a := o.alter(object, change); a.status != http.StatusOK {
		o.tb.Fatalf("%s %s: %d %s", object, change, a.status, a.body)
	}
}

// describe returns the fields of an object by name.
func (o *org) describe(object string) map[string]map[string]any {
	o.tb.Helper()
	fields := map[string]map[string]any{}
	for _, f := range o.get("sobjects/" + object + "/describe").object()["fields"].([]any) {
		field := f.(map[string]any)
		fields[field["name"].(string)] = field
	}
	return fields
}

// TestAlter changes the schema as an administrator does, and holds describe,
// loads and records against it.
func TestAlter(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	o.run(upsertAccounts, "Legacy_Id__c,Name,Site\nA-1,Acme,East\n")

	o.mustAlter("Account", `{"field":"Site","set":{"name":"Place__c","label":"Place"}}`)
	if fields := o.describe("Account"); fields["Site"] != nil || fields["Place__c"]["label"] != "Place" {
		t.Errorf("renamed: Site %v, Place__c %v", fields["Site"], fields["Place__c"])
	}
	if n := o.count("SELECT COUNT() FROM Account WHERE Place__c = 'East' AND Legacy_Id__c = 'A-1'"); n != 1 {
		t.Errorf("%d records have kept the value under the new name", n)
	}
	if info := o.run(insertAccounts, "Name,Site\nX,West\n"); info["state"] != "Failed" || !strings.Contains(info["errorMessage"].(string), "Field name not found : Site") {
		t.Errorf("the old name: %v %v", info["state"], info["errorMessage"])
	}

	o.mustAlter("Account", `{"field":"Industry","set":{"picklistValues":[{"value":"Energy","active":true}]}}`)
	if got := o.one(insertAccounts, "Name,Industry\nX,Technology\n"); !strings.HasPrefix(got, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST") {
		t.Errorf("a value that the picklist lost: %q", got)
	}
	o.mustAlter("Account", `{"field":"Region__c","set":{"type":"string","length":5,"nillable":false,"defaultedOnCreate":false}}`)
	if got := o.one(insertAccounts, "Name\nX\n"); got != "REQUIRED_FIELD_MISSING:Required fields are missing: [Region__c]:Region__c --" {
		t.Errorf("a field that is required now: %q", got)
	}
	if got := o.one(insertAccounts, "Name,Region__c\nX,North\n"); got != "" {
		t.Errorf("a field that was added: %q", got)
	}

	o.mustAlter("Account", `{"field":"Region__c","remove":true}`)
	if fields := o.describe("Account"); fields["Region__c"] != nil || fields["Name"] == nil {
		t.Errorf("removed: %v", fields["Region__c"])
	}
	if got := o.one(insertAccounts, "Name\nX\n"); got != "" {
		t.Errorf("without a required field that was removed: %q", got)
	}
	if a := o.get("sobjects/Account/Legacy_Id__c/A-1"); strings.Contains(string(a.body), "Region__c") {
		t.Errorf("a record shows the field that was removed: %s", a.body)
	}
	o.mustAlter("Account", `{"set":{"createable":false,"updateable":false}}`)
	if a := o.json(http.MethodPost, "jobs/ingest", insertAccounts); a.status != http.StatusBadRequest {
		t.Errorf("a job for an object that may not be written: %d %s", a.status, a.body)
	}

	o.json(http.MethodPost, "/emulator/reset", "")
	o.login()
	if fields := o.describe("Account"); fields["Site"] == nil || fields["Place__c"] != nil {
		t.Error("a reset does not restore the objects")
	}
}

func TestAlterRefuses(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	for _, tc := range []struct{ object, change, want string }{
		{"Acount", `{"set":{"createable":false}}`, "there is none"},
		{"Account", `{"field":"Region__c","set":{"label":"Region"}}`, "set its type"},
		{"Account", `{"remove":true}`, "only a field"},
		{"Account", `{"colour":"blue"}`, "unknown field"},
		{"Account", `{"set":{"keyPrefix":"1"}}`, "keyPrefix"},
	} {
		if a := o.alter(tc.object, tc.change); a.status != http.StatusBadRequest || !strings.Contains(string(a.body), tc.want) {
			t.Errorf("%s %s: %d %s, want %q", tc.object, tc.change, a.status, a.body, tc.want)
		}
	}
	id := o.create(insertAccounts)
	if a := o.alter("Account", `{"set":{"createable":false}}`); !strings.Contains(string(a.body), "a job is open") {
		t.Errorf("with an open job: %d %s", a.status, a.body)
	}
	o.patch(id, "Aborted")
	o.mustAlter("Account", `{"set":{"createable":false}}`)
}
