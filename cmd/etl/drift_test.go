package main

import (
	"strings"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/preflight"
	"bulkhead/internal/run"
)

// alter changes an object of the org as an administrator does.
func (b *bench) alter(object, field string, set map[string]any) {
	b.t.Helper()
	if err := b.org.Alter(object, emulator.Alteration{Field: field, Set: set}); err != nil {
		b.t.Fatal(err)
	}
}

// driftJSON is what "etl drift --json" prints.
type driftJSON struct {
	Ready     bool `json:"ready"`
	Pipelines []struct {
		Pipeline string              `json:"pipeline"`
		SinceRun int64               `json:"since_run"`
		Ready    bool                `json:"ready"`
		Changes  []preflight.Drift   `json:"changes"`
		Findings []preflight.Finding `json:"findings"`
	} `json:"pipelines"`
}

// TestDrift follows an org that changes from night to night.
func TestDrift(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(20)
	b.etl("drift").exits(t, 0).says(t, "customers: no run into this org has gone well yet")
	b.etl("run", "customers").exits(t, 0)
	b.etl("drift", "customers").exits(t, 0).says(t, "nothing that it uses has changed since run 1")

	b.alter("Account", "Website", map[string]any{"length": 100})
	const shorter = "Account.Website held 255 characters and holds 100 characters"
	b.etl("drift").exits(t, 0).says(t, "1 change since run 1", "customers.yaml:12:7", shorter)
	b.etl("plan", "customers").exits(t, 0).says(t, "Changed in the org since the last run", shorter)
	b.etl("run", "customers").exits(t, 0).says(t, `12:7: warning: step "accounts": `+shorter+" (changed in the org since the last run)", "Changed in the org since the run before")
	b.etl("show", "2").exits(t, 0).says(t, shorter)
	if again := b.etl("run", "customers").exits(t, 0); strings.Contains(again.stdout+again.stderr, "changed") {
		t.Errorf("said twice: %s%s", again.stdout, again.stderr)
	}
	found := decode[driftJSON](t, b.etl("drift", "customers", "--since", "1", "--json").exits(t, 0))
	if !found.Ready || len(found.Pipelines) != 1 || found.Pipelines[0].SinceRun != 1 || len(found.Pipelines[0].Changes) != 1 || found.Pipelines[0].Changes[0].Line != 12 {
		t.Errorf("as JSON: %+v", found)
	}

	b.alter("Account", "Website", map[string]any{"name": "Home_Page__c"})
	const renamed = "write Home_Page__c, which is new, and with the same label"
	b.etl("run", "customers").exits(t, 4).says(t, "customers.yaml:12:7", renamed, "nothing was sent")
	b.etl("drift").exits(t, 4).says(t, "most likely renamed to Home_Page__c", renamed, "A run of customers would be refused")
	b.etl("plan", "customers").exits(t, 4).says(t, "most likely renamed to Home_Page__c")
	b.write("pipelines/customers.yaml", strings.ReplaceAll(customersYAML, "Website:", "Home_Page__c:"))
	b.etl("run", "customers").exits(t, 0)
}

// TestDriftStops has a pipeline that does not run into a changed org.
func TestDriftStops(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(20)
	b.write("pipelines/customers.yaml", strings.Replace(customersYAML, "steps:", "on_drift: stop\nsteps:", 1))
	b.etl("run", "customers").exits(t, 0)
	b.alter("Account", "Website", map[string]any{"length": 100})
	b.etl("plan", "customers").exits(t, 4).says(t, "A run would be refused", "--accept-drift")
	b.etl("drift").exits(t, 4)
	b.etl("run", "customers").exits(t, 4).says(t, "customers.yaml:13:7", "held 255 characters", `"etl run --accept-drift"`)
	summary := decode[run.Summary](t, b.etl("run", "customers", "--accept-drift", "--json").exits(t, 0))
	if len(summary.Drift) != 1 {
		t.Errorf("the summary's drift is %v", summary.Drift)
	}
	b.etl("run", "customers").exits(t, 0)
}

// TestDriftUsage has command lines that mean nothing.
func TestDriftUsage(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.etl("drift").exits(t, 2).says(t, "has no pipeline")
	b.customers(1)
	b.write("pipelines/other.yaml", strings.Replace(customersYAML, "name: customers", "name: other", 1))
	b.etl("run", "customers").exits(t, 0)
	b.etl("drift", "--since", "1").exits(t, 2).says(t, `write "etl drift customers --since 1"`)
	b.etl("drift", "other", "--since", "1").exits(t, 2).says(t, `run 1 is one of pipeline "customers"`)
	b.etl("drift", "--since", "9").exits(t, 2).says(t, "not found")
	b.etl("drift", "--since", "last").exits(t, 2).says(t, "want a number")
	b.sql(`DELETE FROM etl.run_describes`)
	b.etl("drift", "customers", "--since", "1").exits(t, 2).says(t, "not known any more")
}

// TestPreflightIsCheap counts what a look at the org costs.
func TestPreflightIsCheap(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(1)
	before := b.org.State().Calls
	b.etl("plan", "customers").exits(t, 0)
	if calls := b.org.State().Calls - before; calls != 2 {
		t.Errorf("a plan with one object took %d calls, want a describe and the limits", calls)
	}
	before = b.org.State().Calls
	b.etl("drift").exits(t, 0)
	if calls := b.org.State().Calls - before; calls != 1 {
		t.Errorf("drift with one object took %d calls, want a describe", calls)
	}
}
