package main

import (
	"context"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"bulkhead/internal/bulkv2"
	"bulkhead/internal/emulator"
	"bulkhead/internal/salesforce"
	"bulkhead/internal/state"
)

// orphan makes an Open job that no chunk knows.
func (b *bench) orphan() string {
	b.t.Helper()
	org, err := salesforce.Open(b.t.Context(), salesforce.Config{
		LoginURL: b.org.URL(), ClientID: emulator.DefaultClientID, ClientSecret: emulator.DefaultClientSecret,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	bulk, err := bulkv2.New(bulkv2.Config{HTTP: org.HTTPClient(), InstanceURL: org.InstanceURL()})
	if err != nil {
		b.t.Fatal(err)
	}
	job, err := bulk.Create(b.t.Context(), bulkv2.JobSpec{Object: "Account", Operation: bulkv2.Insert})
	if err != nil {
		b.t.Fatal(err)
	}
	return job.ID
}

type jobList struct {
	Total int
	Jobs  []jobView
}

func (b *bench) jobs(args ...string) jobList {
	b.t.Helper()
	return decode[jobList](b.t, b.etl(append([]string{"jobs", "list", "--json"}, args...)...).exits(b.t, exitDone))
}

func TestJobs(t *testing.T) {
	t.Parallel()
	b := failed(t)
	job := b.jobs().Jobs[0].ID
	b.etl("jobs", "list").exits(t, exitDone).says(t, job, "upsert", "JobComplete")
	b.etl("jobs", "show", job).exits(t, exitDone).says(t, "JobComplete", "9 records, 1 failed", `run 1, step "accounts", chunk 1`)
	view := decode[map[string]any](t, b.etl("jobs", "show", job, "--json").exits(t, exitDone))
	owner, _ := view["belongs_to"].(map[string]any)
	if view["records_processed"] != 9.0 || owner["run_id"] != 1.0 {
		t.Errorf("jobs show --json says %v", view)
	}
	for kind, lines := range map[string]int{"failed": 2, "successful": 9, "unprocessed": 1} {
		records, err := csv.NewReader(strings.NewReader(b.etl("jobs", "results", job, "--kind", kind).exits(t, exitDone).stdout)).ReadAll()
		if err != nil || len(records) != lines {
			t.Errorf("%s results have %d lines, want %d: %v", kind, len(records), lines, err)
		}
	}
	b.etl("jobs", "abort", job, "--yes").exits(t, exitUsage).says(t, "is JobComplete already")
	b.etl("jobs", "show", "7505g00000AbCdEAAV").exits(t, exitUsage).says(t, "the org does not know it")
	b.etl("jobs", "results", "7505g00000AbCdEAAV").exits(t, exitUsage).says(t, "the org does not know it")
}

func TestJobsClean(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{Now: func() time.Time { return time.Now().Add(-3 * time.Hour) }})
	orphan := b.orphan()
	b.etl("jobs", "clean", "--older-than", "5h").exits(t, exitDone).says(t, "No orphaned jobs.")
	b.etl("jobs", "clean", "--dry-run").exits(t, exitDone).says(t, orphan, "1 job would be aborted.")
	if got := b.jobs("--state", "open"); got.Total != 1 {
		t.Fatalf("a dry run left %d jobs open", got.Total)
	}
	cleaned := decode[struct {
		DryRun bool `json:"dry_run"`
		Jobs   []jobView
	}](t, b.etl("jobs", "clean", "--json").exits(t, exitDone))
	if cleaned.DryRun || len(cleaned.Jobs) != 1 || cleaned.Jobs[0].ID != orphan {
		t.Errorf("jobs clean --json says %+v", cleaned)
	}
	if got := b.jobs("--state", "aborted"); got.Total != 1 {
		t.Errorf("%d jobs are aborted", got.Total)
	}
}

func TestJobsAbort(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	orphan := b.orphan()
	b.etl("jobs", "abort", orphan).exits(t, exitUsage).says(t, "nobody is there to ask; add --yes")
	b.etl("jobs", "abort", orphan, "--yes").exits(t, exitDone).says(t, "Job "+orphan+" is Aborted.")

	b.customers(5)
	b.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick})
	ctx, cancel := context.WithCancel(t.Context())
	first, submitted := b.until(ctx, `"to": "submitted"`, "", "run", "customers", "--log-level", "debug")
	<-submitted
	ours := b.jobs("--all-users", "--limit", "1").Jobs[0].ID
	b.etl("jobs", "abort", ours, "--yes").exits(t, exitRefused).says(t, "belongs to chunk 1", "unfinished run 1", `"etl resume 1"`)
	cancel()
	first().exits(t, exitInterrupted)
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	b := newEmptyBench(t)
	status := func() (applied int) {
		for _, m := range decode[struct{ Migrations []state.MigrationStatus }](t, b.etl("migrate", "status", "--json").exits(t, exitDone)).Migrations {
			if m.Applied {
				applied++
			}
		}
		return applied
	}
	if n := status(); n != 0 {
		t.Errorf("an empty database has %d migrations", n)
	}
	b.etl("migrate", "up").exits(t, exitDone).says(t, "applied 00001_state.sql")
	b.etl("migrate", "up").exits(t, exitDone).says(t, "up to date")
	if n := status(); n == 0 {
		t.Error("no migration is applied")
	}
	up := decode[map[string]any](t, b.etl("migrate", "up", "--json").exits(t, exitDone))
	if applied, ok := up["applied"].([]any); !ok || len(applied) != 0 {
		t.Errorf("migrate up --json says %v", up)
	}
	b.etl("migrate", "status").exits(t, exitDone).says(t, "00002_reconciliation.sql  yes", "00007_failures.sql        yes")
}

func TestEmulatorCommand(t *testing.T) {
	t.Parallel()
	b := newOfflineBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	wait, started := b.until(ctx, "/jobs/ingest\n", "", "emulator", "--addr", "127.0.0.1:0", "--client-secret", "it's",
		"--fault", `{"on":"row","do":"row-error","object":"Account"}`)
	select {
	case <-started:
	case <-t.Context().Done():
		t.Fatal("the emulator does not start")
	}
	cancel()
	r := wait().exits(t, exitDone).says(t, "export SALESFORCE_LOGIN_URL=http://127.0.0.1:", "export SALESFORCE_CLIENT_ID=emulator", `'it'\''s'`, "the emulator stops")
	if !strings.HasPrefix(r.stdout, "# The emulator answers at ") {
		t.Errorf("stdout is no script: %s", r.stdout)
	}
	b.etl("emulator", "--addr", "127.0.0.1:0", "--describe", "/nowhere").exits(t, exitUsage).says(t, "--describe")
}
