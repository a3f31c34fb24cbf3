package salesforce_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/salesforce"
)

const accountDescribe = `{"name":"Account","label":"Account","keyPrefix":"001","createable":true,"updateable":true,"deletable":true,"queryable":true,"fields":[
{"name":"Id","label":"Account ID","type":"id","soapType":"tns:ID","length":18,"idLookup":true,"nillable":false,"defaultedOnCreate":true,"referenceTo":[],"picklistValues":[]},
{"name":"Name","label":"Account Name","type":"string","length":255,"byteLength":765,"createable":true,"updateable":true,"nillable":false,"nameField":true,"precision":0,"scale":0,"digits":0},
{"name":"ParentId","type":"reference","referenceTo":["Account"],"relationshipName":"Parent","createable":true,"nillable":true},
{"name":"Industry","type":"picklist","restrictedPicklist":true,"picklistValues":[{"active":true,"defaultValue":false,"label":"Tech","validFor":null,"value":"Technology"}],"relationshipName":null,"controllerName":null},
{"name":"AnnualRevenue","type":"currency","precision":18,"scale":2,"later":{"new":true}}]}`

func TestDescribe(t *testing.T) {
	t.Parallel()
	o := newFakeOrg(t)
	o.handle("GET /services/data/v66.0/sobjects/Account/describe", reply(200, accountDescribe))
	o.handle("GET /services/data/v66.0/sobjects/Acount/describe", reply(404, `[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]`))
	o.handle("GET /services/data/v66.0/sobjects/Contact/describe", reply(403, `[{"errorCode":"API_DISABLED_FOR_ORG","message":"x"}]`))
	org := o.open(t)
	got, err := org.Describe(t.Context(), "Account")
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "Account" || !got.Createable || len(got.Fields) != 5 {
		t.Errorf("got %+v", got)
	}
	name, ok := got.Field("NAME")
	want := salesforce.Field{Name: "Name", Label: "Account Name", Type: "string", Length: 255, ByteLength: 765, Createable: true, Updateable: true, NameField: true}
	if diff := cmp.Diff(want, name); !ok || diff != "" || !name.Required() {
		t.Errorf("field (-want +got):\n%s", diff)
	}
	if id, _ := got.Field("id"); id.Required() {
		t.Error("Id is required")
	}
	if parent, ok := got.Relationship("parent"); !ok || parent.Name != "ParentId" {
		t.Errorf("Relationship finds %+v", parent)
	}
	if _, ok := got.Relationship(""); ok {
		t.Error("a relationship without a name")
	}

	for _, name := range []string{"Acount", "Account/../x", "", "Konto ü"} {
		var missing *salesforce.NotFoundError
		if _, err := org.Describe(t.Context(), name); !errors.As(err, &missing) || missing.Object != name {
			t.Errorf("%q: got %v", name, err)
		}
	}
	var refused *salesforce.APIError
	if _, err := org.Describe(t.Context(), "Contact"); !errors.As(err, &refused) || err.Error() != `describe "Contact": salesforce 403 API_DISABLED_FOR_ORG: x` {
		t.Errorf("got %v", err)
	}
}

func TestObjectsLimitsAndVersions(t *testing.T) {
	t.Parallel()
	o := newFakeOrg(t)
	o.handle("GET /services/data/v66.0/sobjects", reply(200, `{"encoding":"UTF-8","sobjects":[{"name":"Account","label":"Account","keyPrefix":"001","createable":true},{"name":"AccountShare","keyPrefix":null}]}`))
	o.handle("GET /services/data/v66.0/limits", reply(200, `{"DailyApiRequests":{"Max":15000,"Remaining":14998,"Ant Migration Tool":{"Max":0,"Remaining":0}},"Odd":[1],"DataStorageMB":{"Max":1024.0,"Remaining":1e3}}`))
	o.handle("GET /services/data/{$}", reply(200, `[{"label":"Winter '11","url":"/services/data/v20.0","version":"20.0"},{"label":"Spring '26","url":"/services/data/v66.0","version":"66.0"}]`))
	org := o.open(t)
	objects, err := org.Objects(t.Context())
	if err != nil || len(objects) != 2 || objects[0] != (salesforce.ObjectSummary{Name: "Account", Label: "Account", KeyPrefix: "001", Createable: true}) {
		t.Errorf("got %+v, %v", objects, err)
	}
	limits, err := org.Limits(t.Context())
	want := map[string]salesforce.Limit{"DailyApiRequests": {Max: 15000, Remaining: 14998}, "DataStorageMB": {Max: 1024, Remaining: 1000}}
	if diff := cmp.Diff(want, limits); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	versions, err := org.Versions(t.Context())
	if err != nil || len(versions) != 2 || versions[1].Version != "66.0" {
		t.Errorf("got %+v, %v", versions, err)
	}
}

func TestQueryFollowsThePages(t *testing.T) {
	t.Parallel()
	o := newFakeOrg(t)
	o.handle("GET /services/data/v66.0/query", func(w http.ResponseWriter, r *http.Request) {
		if q := r.FormValue("q"); q != "SELECT Id, Owner.Name FROM Account WHERE Name = 'A & B'" {
			t.Errorf("asked %q", q)
		}
		reply(200, `{"totalSize":3,"done":false,"nextRecordsUrl":"/services/data/v66.0/query/01g-2","records":[
{"attributes":{"type":"Account"},"Id":"001a","Amount":9007199254740993,"Owner":{"attributes":{"type":"User"},"Name":"Ada"}},{"Id":"001b","Owner":null}]}`)(w, r)
	})
	o.handle("GET /services/data/v66.0/query/01g-2", reply(200, `{"totalSize":3,"done":true,"records":[{"Id":"001c"}]}`))
	org := o.open(t)
	var got []salesforce.Record
	for r, err := range org.Query(t.Context(), "SELECT Id, Owner.Name FROM Account WHERE Name = 'A & B'") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	want := []salesforce.Record{
		{"Id": "001a", "Amount": json.Number("9007199254740993"), "Owner": salesforce.Record{"Name": "Ada"}},
		{"Id": "001b", "Owner": nil},
		{"Id": "001c"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestQueryEndsWithAnError(t *testing.T) {
	t.Parallel()
	o := newFakeOrg(t)
	o.handle("GET /services/data/v66.0/query", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("q") == "bad" {
			reply(400, `[{"errorCode":"MALFORMED_QUERY","message":"unexpected token: bad"}]`)(w, r)
			return
		}
		reply(200, `{"done":false,"nextRecordsUrl":"https://evil.example/x","records":[]}`)(w, r)
	})
	org := o.open(t)
	for soql, want := range map[string]string{
		"bad":                            "query: salesforce 400 MALFORMED_QUERY: unexpected token: bad",
		"astray":                         `query: next page "https://evil.example/x": not a path of the API`,
		strings.Repeat("long ", 16384/5): "bytes as a URL, the org takes 14000",
	} {
		var last error
		for _, err := range org.Query(t.Context(), soql) {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), want) {
			t.Errorf("got %v, want %q", last, want)
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]int64{
		`{"totalSize":42,"done":true,"records":[]}`:                                                                           42,
		`{"totalSize":1,"done":true,"records":[{"attributes":{"type":"AggregateResult"},"expr0":7}]}`:                         7,
		`{"totalSize":2,"done":true,"records":[{"attributes":{},"Id":"a"},{"attributes":{},"Id":"b"}]}`:                       2,
		`{"totalSize":1,"done":true,"records":[{"attributes":{"type":"AggregateResult"},"Name":"5","expr0":7}],"later":true}`: 1,
	} {
		o := newFakeOrg(t)
		o.handle("GET /services/data/v66.0/query", reply(200, answer))
		if n, err := o.open(t).Count(t.Context(), "SELECT COUNT() FROM Account"); err != nil || n != want {
			t.Errorf("%s: got %d, %v, want %d", answer, n, err, want)
		}
	}
}

func TestReadingIsRepeatedForPassingTrouble(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		trouble  http.HandlerFunc
		repeated bool
	}{
		"502":           {reply(502, "<html>"), true},
		"420":           {reply(420, "<html>"), true},
		"503":           {reply(503, `[{"errorCode":"SERVER_UNAVAILABLE","message":"x"}]`), true},
		"limit":         {reply(403, `{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"x"}`), true},
		"no JSON":       {reply(200, "<html>"), true},
		"broken off":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
		"not allowed":   {reply(403, `[{"errorCode":"FUNCTIONALITY_NOT_ENABLED","message":"x"}]`), false},
		"wrong version": {reply(404, `[{"errorCode":"NOT_FOUND","message":"x"}]`), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newFakeOrg(t)
			var calls atomic.Int64
			o.handle("GET /services/data/v66.0/limits", func(w http.ResponseWriter, r *http.Request) {
				if calls.Add(1) == 1 {
					tt.trouble(w, r)
					return
				}
				reply(200, `{}`)(w, r)
			})
			if _, err := o.open(t).Limits(t.Context()); (err == nil) != tt.repeated || calls.Load() > 1 != tt.repeated {
				t.Errorf("got %v after %d calls", err, calls.Load())
			}
		})
	}
}
