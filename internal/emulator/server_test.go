package emulator_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"bulkhead/internal/emulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	upsertAccounts = `{"object":"Account","operation":"upsert","externalIdFieldName":"Legacy_Id__c"}`
	insertAccounts = `{"object":"Account","operation":"insert"}`
	insertContacts = `{"object":"Contact","operation":"insert"}`
)

func TestUpsertLoadsAndUpdates(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	info := o.run(upsertAccounts, "Legacy_Id__c,Name,AnnualRevenue\nA-1,Acme,912260031\nA-2,Globex,12.5\n")
	if info["state"] != "JobComplete" || info["numberRecordsProcessed"] != 2.0 || info["numberRecordsFailed"] != 0.0 {
		t.Fatalf("job: %v", info)
	}
	header, rows := o.results(info["id"].(string), "successfulResults")
	if want := []string{"sf__Id", "sf__Created", "Legacy_Id__c", "Name", "AnnualRevenue"}; !cmp.Equal(header, want) {
		t.Error(cmp.Diff(want, header))
	}
	for _, r := range rows {
		if r[1] != "true" || len(r[0]) != 18 || r[0][:3] != "001" {
			t.Errorf("row %v", r)
		}
		if r[2] == "A-1" && r[4] != "9.12260031E8" {
			t.Errorf("number came back as %q", r[4])
		}
	}
	info = o.run(upsertAccounts, "Legacy_Id__c,Name\na-1,Acme Inc\nA-3,Initech\n")
	_, rows = o.results(info["id"].(string), "successfulResults")
	created := map[string]string{}
	for _, r := range rows {
		created[r[2]] = r[1]
	}
	if want := map[string]string{"a-1": "false", "A-3": "true"}; !cmp.Equal(created, want) {
		t.Error(cmp.Diff(want, created))
	}
	if n := o.count("SELECT COUNT() FROM Account"); n != 3 {
		t.Errorf("%d accounts, want 3", n)
	}
	if n := o.count("SELECT COUNT() FROM Account WHERE Name = 'acme inc' AND AnnualRevenue = 912260031"); n != 1 {
		t.Errorf("%d updated accounts, want 1", n)
	}
}

func TestRelationshipColumnFindsTheParent(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	o.run(upsertAccounts, "Legacy_Id__c,Name\nA-1,Acme\n")
	info := o.run(insertContacts, "LastName,Account.Legacy_Id__c\nDoe,A-1\nRoe,A-9\n")
	_, rows := o.results(info["id"].(string), "failedResults")
	want := [][]string{{"", "INVALID_FIELD:Foreign key external ID: A-9 not found for field Legacy_Id__c in entity Account:--", "Roe", "A-9"}}
	if !cmp.Equal(rows, want) {
		t.Error(cmp.Diff(want, rows))
	}
	var got struct {
		Records []struct {
			LastName string
			Account  struct{ Name string }
		}
	}
	if err := json.Unmarshal(o.query("SELECT LastName, Account.Name FROM Contact").body, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Records) != 1 || got.Records[0].Account.Name != "Acme" {
		t.Errorf("query: %+v", got)
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, err := emulator.Start(context.Background(), emulator.Config{DataDir: filepath.Join(dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL()+"/services/data", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		t.Error("still answers after Close")
		resp.Body.Close()
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err != nil {
		t.Errorf("the caller's folder is gone: %v", err)
	}
}
