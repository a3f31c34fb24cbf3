package emulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/emulator"
	"bulkhead/testdata/describe"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	var list []struct{ Label, URL, Version string }
	a := o.get("/services/data/")
	if err := json.Unmarshal(a.body, &list); err != nil {
		t.Fatal(err)
	}
	last := list[len(list)-1]
	if last.Label != "Summer '26" || last.URL != "/services/data/v67.0" || last.Version != "67.0" || list[0].Label != "Summer '14" {
		t.Errorf("versions from %v to %v", list[0], last)
	}
	if a.header.Get("Sforce-Limit-Info") != "" {
		t.Error("the list of versions counts")
	}
	for path, want := range map[string]int{
		"/services/data/v66.0/limits": 200, "/services/data/v66.0": 200, "/services/data/v30.0/limits": 410,
		"/services/data/v7.0/limits": 410, "/services/data/v99.0/limits": 404, "/services/data/66.0/limits": 404,
		"/services/data/v66.0/nothing": 404, "/services/data/v66.0/sobjects/Nothing": 404, "/elsewhere": 404,
	} {
		if a := o.get(path); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
}

func TestRequestsCount(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{Limits: emulator.Limits{DailyAPIRequests: 3}, Session: 100 * time.Hour})
	for i := 1; i <= 3; i++ {
		a := o.get("limits")
		if got, want := a.header.Get("Sforce-Limit-Info"), fmt.Sprintf("api-usage=%d/3", i); got != want {
			t.Errorf("header %q, want %q", got, want)
		}
		var limits map[string]emulator.Limit
		if err := json.Unmarshal(a.body, &limits); err != nil {
			t.Fatal(err)
		}
		if limits["DailyApiRequests"] != (emulator.Limit{Max: 3, Remaining: int64(3 - i)}) || limits["DailyBulkApiBatches"].Max != 15_000 {
			t.Errorf("limits %v", limits)
		}
	}
	a := o.get("limits")
	if code, message := a.refusal(); a.status != 403 || code != "REQUEST_LIMIT_EXCEEDED" || message != "TotalRequests Limit exceeded." {
		t.Errorf("%d %s: %s", a.status, code, message)
	}
	o.server.Advance(24 * time.Hour)
	if a := o.get("limits"); a.status != http.StatusOK {
		t.Errorf("the next day: %d", a.status)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{Describe: describe.Files()})
	a := o.get("sobjects/account/describe")
	fields := a.object()["fields"].([]any)
	if first := fields[0].(map[string]any); first["name"] != "Id" || len(first) != 57 {
		t.Errorf("first field %v has %d keys", first["name"], len(first))
	}
	again := o.get("sobjects/Account/describe", "If-Modified-Since", a.header.Get("Last-Modified"))
	if again.status != http.StatusNotModified || len(again.body) != 0 {
		t.Errorf("asked again: %d", again.status)
	}
	if old := o.get("sobjects/Account/describe", "If-Modified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"); old.status != http.StatusOK {
		t.Errorf("with an old copy: %d", old.status)
	}
	var global struct {
		Objects []struct{ Name, KeyPrefix string } `json:"sobjects"`
	}
	if err := json.Unmarshal(o.get("sobjects").body, &global); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range global.Objects {
		names = append(names, s.Name)
	}
	want := []string{"Account", "Case", "Contact", "Invoice__c", "Lead", "Opportunity", "Product2", "Task", "User"}
	if !cmp.Equal(names, want) {
		t.Error(cmp.Diff(want, names))
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	o.run(upsertAccounts, "Legacy_Id__c,Name,AnnualRevenue,NumberOfEmployees,Industry,Website\n"+
		"A,Acme,1000,10,Energy,https://acme.example\nB,Beta 50%,2500,,Energy,\nC,Cé_lia,,30,,\nD,delta,12345678,5,Banking,\n")
	o.run(insertContacts, "LastName,Email,Birthdate,Account.Legacy_Id__c\nDoe,doe@acme.example,1990-05-01,A\nRoe,,1980-01-31,B\nPoe,,,\n")
	for _, tc := range []struct{ soql, want string }{
		{"SELECT Name FROM Account WHERE Name = 'ACME'", "Acme"},
		{"SELECT Name FROM Account WHERE Name != 'acme' ORDER BY Name", "Beta 50%,Cé_lia,delta"},
		{"select name from account where AnnualRevenue > 1e3 order by AnnualRevenue desc", "delta,Beta 50%"},
		{"SELECT Name FROM Account WHERE AnnualRevenue >= 1000 AND AnnualRevenue <= 2.50E3", "Acme,Beta 50%"},
		{"SELECT Name FROM Account WHERE AnnualRevenue = null", "Cé_lia"},
		{"SELECT Name FROM Account WHERE NumberOfEmployees != null AND (Industry = 'Banking' OR Industry = null)", "Cé_lia,delta"},
		{"SELECT Name FROM Account WHERE NOT Industry = 'Energy'", "Cé_lia,delta"},
		{"SELECT Name FROM Account WHERE NOT (Industry = 'Energy' OR Name LIKE 'd%')", "Cé_lia"},
		{"SELECT Name FROM Account WHERE Name IN ('acme', 'nobody', 'Delta')", "Acme,delta"},
		{"SELECT Name FROM Account WHERE Legacy_Id__c IN ('b','d','a') AND Industry = 'Energy'", "Acme,Beta 50%"},
		{"SELECT Name FROM Account WHERE Industry NOT IN ('Energy')", "Cé_lia,delta"},
		{"SELECT Name FROM Account WHERE Name LIKE '%50\\%'", "Beta 50%"},
		{"SELECT Name FROM Account WHERE Name LIKE 'C_\\_%'", "Cé_lia"},
		{"SELECT Name FROM Account WHERE Name LIKE '_eta%'", "Beta 50%"},
		{"SELECT Name FROM Account ORDER BY NumberOfEmployees", "Beta 50%,delta,Acme,Cé_lia"},
		{"SELECT Name FROM Account ORDER BY NumberOfEmployees ASC NULLS LAST, Name", "delta,Acme,Cé_lia,Beta 50%"},
		{"SELECT Name FROM Account ORDER BY Industry DESC, Name DESC LIMIT 2 OFFSET 1", "Beta 50%,Acme"},
		{"SELECT LastName FROM Contact WHERE Account.Name = 'Acme'", "Doe"},
		{"SELECT LastName FROM Contact WHERE Account.Industry = null", "Poe"},
		{"SELECT LastName FROM Contact WHERE Birthdate < 1985-01-01", "Roe"},
		{"SELECT LastName FROM Contact WHERE CreatedDate > 2020-01-01T00:00:00Z AND CreatedDate < 2999-01-01T00:00:00+01:00 AND Email != null", "Doe"},
		{"SELECT Name FROM Account WHERE Website = 'https://acme.example'", "Acme"},
		{"SELECT Name FROM Account WHERE IsDeleted = true", ""},
	} {
		a := o.query(tc.soql)
		var got struct{ Records []map[string]any }
		if err := json.Unmarshal(a.body, &got); err != nil || a.status != http.StatusOK {
			t.Errorf("%s: %d %s", tc.soql, a.status, a.body)
			continue
		}
		var names []string
		for _, r := range got.Records {
			for _, k := range []string{"Name", "LastName"} {
				if v, ok := r[k].(string); ok {
					names = append(names, v)
				}
			}
		}
		if list := strings.Join(names, ","); list != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.soql, list, tc.want)
		}
	}
	if got, want := string(o.query("SELECT COUNT() FROM Contact WHERE Email = null").body), `{"totalSize":2,"done":true,"records":[]}`; got != want {
		t.Errorf("count: %s", got)
	}
	if got, want := string(o.query("SELECT COUNT(Id), COUNT(Email) mails FROM Contact").body),
		`{"totalSize":1,"done":true,"records":[{"attributes":{"type":"AggregateResult"},"expr0":3,"mails":1}]}`; got != want {
		t.Errorf("counts: %s", got)
	}
	got := string(o.query("SELECT Name, AnnualRevenue, NumberOfEmployees, IsDeleted, Parent.Name FROM Account WHERE Legacy_Id__c='D'").body)
	if want := `"Name":"delta","AnnualRevenue":1.2345678E7,"NumberOfEmployees":5,"IsDeleted":false,"Parent":null}]}`; !strings.HasSuffix(got, want) {
		t.Errorf("types: %s", got)
	}
}

func TestQueryRefusals(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	for _, tc := range []struct{ soql, code, message string }{
		{"", "MALFORMED_QUERY", "A query string has to be specified"},
		{"SELECT Id FORM Account", "MALFORMED_QUERY", "\nSELECT Id FORM Account\n          ^\nERROR at Row:1:Column:11\nunexpected token: 'FORM'"},
		{"SELECT Id FROM Account WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'"},
		{"SELECT Id FROM Account WHERE Name = 'x", "MALFORMED_QUERY", "expecting a quote, found end of query"},
		{"SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY", "unexpected token: 'OR'"},
		{"SELECT Id FROM Account LIMIT -1", "MALFORMED_QUERY", "unexpected token: '-1'"},
		{"SELECT Id, COUNT(Id) FROM Account", "MALFORMED_QUERY", "Field must be grouped or aggregated: Id"},
		{"SELECT Id FROM Nothing", "INVALID_TYPE", "ERROR at Row:1:Column:16\nsObject type 'Nothing' is not supported."},
		{"SELECT Id, Foo FROM Account", "INVALID_FIELD", "\nSELECT Id, Foo FROM Account\n           ^\nERROR at Row:1:Column:12\nNo such column 'Foo' on entity 'Account'."},
		{"SELECT Id FROM Account WHERE Foo = 1", "INVALID_FIELD", "No such column 'Foo' on entity 'Account'."},
		{"SELECT Account.Foo FROM Contact", "INVALID_FIELD", "No such column 'Foo' on entity 'Account'."},
		{"SELECT Firm.Name FROM Contact", "INVALID_FIELD", "Didn't understand relationship 'Firm' in field path."},
		{"SELECT Id, Id FROM Account", "INVALID_FIELD", "duplicate field selected: Id"},
		{"SELECT Id FROM Account WHERE AnnualRevenue = '5'", "INVALID_FIELD", "value of filter criterion for field 'AnnualRevenue' must be of type currency and should not be enclosed in quotes"},
		{"SELECT Id FROM Account WHERE Name = 5", "INVALID_FIELD", "must be of type string and must be enclosed in quotes"},
		{"SELECT Id FROM Account WHERE CreatedDate > yesterday", "MALFORMED_QUERY", "unexpected token: 'yesterday'"},
		{"SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD", "field 'Description' can not be filtered in a query call"},
		{"SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"},
	} {
		a := o.query(tc.soql)
		if code, message := a.refusal(); a.status != http.StatusBadRequest || code != tc.code || !strings.Contains(message, tc.message) {
			t.Errorf("%s:\n got %d %s: %q\nwant 400 %s: %q", tc.soql, a.status, code, message, tc.code, tc.message)
		}
	}
}

func TestQueryPages(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	o.run(insertContacts, "LastName\n"+strings.Repeat("Doe\n", 450))
	seen := map[string]bool{}
	var sizes []int
	for next := "query?q=" + url.QueryEscape("SELECT Id FROM Contact"); next != ""; {
		var page struct {
			TotalSize      int
			Done           bool
			NextRecordsURL string
			Records        []struct{ ID string }
		}
		if err := json.Unmarshal(o.get(next, "Sforce-Query-Options", "batchSize=10").body, &page); err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			seen[r.ID] = true
		}
		sizes = append(sizes, len(page.Records))
		if next = page.NextRecordsURL; page.TotalSize != 450 || page.Done != (next == "") {
			t.Errorf("page %+v", page)
		}
	}
	if want := []int{200, 200, 50}; len(seen) != 450 || !cmp.Equal(sizes, want) {
		t.Errorf("%d records in pages of %v", len(seen), sizes)
	}
	if code, _ := o.get("query/01gEm0000000009AAA-200").refusal(); code != "INVALID_QUERY_LOCATOR" {
		t.Errorf("unknown locator: %s", code)
	}
}

func TestQueryInProcess(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	o.run(upsertAccounts, "Legacy_Id__c,Name,AnnualRevenue\nA-1,Acme,7\n")
	got, err := o.server.Query("SELECT Name, AnnualRevenue FROM Account")
	if want := []map[string]any{{"Name": "Acme", "AnnualRevenue": 7.0}}; err != nil || !cmp.Equal(got, want) {
		t.Error(err, cmp.Diff(want, got))
	}
	for _, bad := range []string{"SELECT", "SELECT Id FROM Nothing", "SELECT COUNT() FROM Account"} {
		if _, err := o.server.Query(bad); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestQueryAllSeesTheRecycleBin(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	id := o.seed()
	o.run(`{"object":"Account","operation":"delete"}`, "Id\n"+id+"\n")
	const q = "SELECT COUNT() FROM Account WHERE IsDeleted = true AND Legacy_Id__c = 'A-1'"
	if n := o.count(q); n != 0 {
		t.Errorf("query sees %d", n)
	}
	if a := o.get("queryAll?q=" + url.QueryEscape(q)); a.object()["totalSize"] != 1.0 {
		t.Errorf("queryAll: %s", a.body)
	}
}

func TestSingleRecords(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	a := o.json(http.MethodPost, "sobjects/Account", `{"Name":"Acme","AnnualRevenue":5.5,"Legacy_Id__c":"A/1"}`)
	got := a.object()
	id, _ := got["id"].(string)
	if a.status != http.StatusCreated || got["success"] != true || a.header.Get("Location") != "/services/data/v66.0/sobjects/Account/"+id {
		t.Fatalf("create: %d %s", a.status, a.body)
	}
	if got := o.get("sobjects/Account/" + id + "?fields=Name,AnnualRevenue").object(); got["Name"] != "Acme" || got["AnnualRevenue"] != 6.0 || len(got) != 3 {
		t.Errorf("get: %v", got)
	}
	if a := o.json(http.MethodPatch, "sobjects/Account/"+id, `{"Name":"Acme Inc","AnnualRevenue":null}`); a.status != http.StatusNoContent {
		t.Errorf("update: %d %s", a.status, a.body)
	}
	if got := o.get("sobjects/Account/Legacy_Id__c/A%2F1").object(); got["Name"] != "Acme Inc" || got["AnnualRevenue"] != nil {
		t.Errorf("by external id: %v", got)
	}
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"PATCH", "sobjects/Account/Legacy_Id__c/A%2F1", `{"Name":"Again"}`, 200, `"created":false`},
		{"PATCH", "sobjects/Account/Legacy_Id__c/A-2", `{"Name":"New"}`, 201, `"created":true`},
		{"PATCH", "/services/data/v45.0/sobjects/Account/Legacy_Id__c/A-2", `{"Name":"New"}`, 204, ``},
		{"PATCH", "sobjects/Account/Legacy_Id__c/A-2", `{"Name":"New","Legacy_Id__c":"A-2"}`, 400, `INVALID_FIELD`},
		{"PATCH", "sobjects/Account/Shoe__c/A-2", `{"Name":"New"}`, 404, `NOT_FOUND`},
		{"POST", "sobjects/Contact", `{"LastName":"Doe","Account":{"Legacy_Id__c":"A-2"}}`, 201, `"success":true`},
		{"POST", "sobjects/Contact", `{"LastName":"Doe","Account":{"Legacy_Id__c":"A-9"}}`, 400, `Foreign key external ID: A-9 not found`},
		{"POST", "sobjects/Contact", `{"FirstName":"Jo"}`, 400, `"errorCode":"REQUIRED_FIELD_MISSING","fields":["LastName"]`},
		{"POST", "sobjects/Contact", `{"Nickname":"Jo"}`, 400, `No such column 'Nickname' on sobject of type Contact`},
		{"POST", "sobjects/Contact", `{`, 400, `JSON_PARSER_ERROR`},
		{"GET", "sobjects/Account/001Em000000zzzz", ``, 404, `NOT_FOUND`},
		{"DELETE", "sobjects/Account/" + id, ``, 204, ``},
		{"DELETE", "sobjects/Account/" + id, ``, 404, `ENTITY_IS_DELETED`},
		{"GET", "sobjects/Account/" + id, ``, 404, `ENTITY_IS_DELETED`},
	} {
		a := o.json(tc.method, tc.path, tc.body)
		if a.status != tc.status || !strings.Contains(string(a.body), tc.want) {
			t.Errorf("%s %s %s: %d %s", tc.method, tc.path, tc.body, a.status, a.body)
		}
	}
}
