package emulator_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/emulator"
)

func TestDiscardChecksRecordsAndKeepsNone(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{Discard: true})
	content := "Legacy_Id__c,Name\nA-1,Acme\nA-2," + strings.Repeat("x", 300) + "\nA-3,Other\n"
	ids := map[string]bool{}
	for range 2 {
		info := o.run(upsertAccounts, content)
		if info["numberRecordsProcessed"] != 3.0 || info["numberRecordsFailed"] != 1.0 {
			t.Fatalf("job: %v", info)
		}
		_, rows := o.results(info["id"].(string), "successfulResults")
		for _, row := range rows {
			if row[1] != "true" {
				t.Errorf("row %q: want it created", row)
			}
			ids[row[0]] = true
		}
		if _, rows := o.results(info["id"].(string), "unprocessedrecords"); len(rows) != 0 {
			t.Errorf("unprocessed: %v", rows)
		}
	}
	if len(ids) != 4 {
		t.Errorf("ids %v: want one for each record", ids)
	}
	if n := o.count("SELECT count() FROM Account"); n != 0 {
		t.Errorf("%d records are kept", n)
	}
}

func TestTrafficIsCounted(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{})
	info := o.run(upsertAccounts, "Legacy_Id__c,Name\nA-1,Acme\n")
	before := o.server.State().Traffic
	for _, encoding := range []string{"gzip", "identity"} {
		o.get("jobs/ingest/"+info["id"].(string)+"/failedResults", "Accept-Encoding", encoding)
	}
	got := o.server.State().Traffic
	if got.Answers != before.Answers+2 || got.Compressed != before.Compressed+1 || got.Bytes <= before.Bytes || got.Connections < 1 {
		t.Errorf("traffic %+v after %+v", got, before)
	}
	if diff := cmp.Diff(map[string]int64{"failedresults": 2}, got.Downloads); diff != "" {
		t.Errorf("downloads (-want +got):\n%s", diff)
	}
	if err := o.server.Reset(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(emulator.Traffic{}, o.server.State().Traffic); diff != "" {
		t.Errorf("after a reset:\n%s", diff)
	}
}

// A batch that takes its time has saved a part when its job is aborted.
func TestSlowBatchIsAbortedHalfWay(t *testing.T) {
	t.Parallel()
	o := start(t, emulator.Config{BatchLatency: time.Hour})
	var content strings.Builder
	content.WriteString("Legacy_Id__c,Name\n")
	for i := range 400 {
		fmt.Fprintf(&content, "A-%d,Acme\n", i)
	}
	id := o.create(upsertAccounts)
	o.put(id, content.String())
	o.patch(id, "UploadComplete")
	o.await(func() bool { return o.count("SELECT count() FROM Account") == 200 })
	o.patch(id, "Aborted")
	o.await(func() bool { return o.get("jobs/ingest/" + id).object()["numberRecordsProcessed"] == 200.0 })
	if _, rows := o.results(id, "unprocessedrecords"); len(rows) != 200 {
		t.Errorf("%d records are unprocessed", len(rows))
	}
}

// await asks again and again until something holds.
func (o *org) await(holds func() bool) {
	o.tb.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-o.tb.Context().Done():
			o.tb.Fatal("it never did")
		}
	}
}
