package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
)

// nightlyYAML is the customers, due every minute so that a test finds it due.
const nightlyYAML = "schedule: { cron: \"* * * * *\", catch_up: latest }\n" + customersYAML

// missed makes a schedule due: it was served until an hour ago.
func (b *bench) missed(pipeline string) {
	b.t.Helper()
	b.sql(`INSERT INTO etl.schedules (pipeline, cron, timezone, decided_until) VALUES ('` + pipeline + `', '* * * * *', 'UTC', now() - interval '1 hour')
		ON CONFLICT (pipeline) DO UPDATE SET decided_until = excluded.decided_until`)
}

// serve runs "etl serve" until the returned function is called; seen is closed when its log holds text.
func (b *bench) serve(text string, args ...string) (stop func() result, seen <-chan struct{}) {
	b.t.Helper()
	ctx, cancel := context.WithCancelCause(b.t.Context())
	wait, seen := b.until(ctx, text, "", append([]string{"serve", "--listen", "off"}, args...)...)
	return func() result {
		cancel(errors.New("stopped by a signal"))
		return wait()
	}, seen
}

func TestServeRunsWhatIsDue(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(50)
	b.write("pipelines/customers.yaml", nightlyYAML)
	b.write("pipelines/broken.yaml", "name: broken\nschedule: { cron: never }\n")
	b.missed("customers")
	stop, seen := b.serve("ended")
	<-seen
	stop().exits(t, exitDone).says(t, "this server leads", "a mistake keeps the pipeline from running", "broken.yaml", "never", "starting", "stopped")
	if n := b.count("SELECT COUNT() FROM Account"); n != 50 {
		t.Errorf("%d accounts in the org", n)
	}
	b.etl("runs", "--json").exits(t, exitDone).says(t, `"trigger": "schedule"`)
	listed := decode[struct {
		Leader    *struct{} `json:"leader"`
		Schedules []scheduleView
	}](t, b.etl("schedule", "list", "--json").exits(t, exitDone))
	if listed.Leader != nil || len(listed.Schedules) != 2 {
		t.Fatalf("listed %+v", listed)
	}
	if v := listed.Schedules[1]; v.Pipeline != "customers" || v.Next == nil || v.Last == nil || v.Last.Missed < 58 || v.Last.RunState != "succeeded" {
		t.Errorf("listed %+v", v)
	}
	b.etl("schedule", "list").exits(t, exitDone).says(t, "broken", "run 1, succeeded; ", "No server is running.")
}

// TestServeTakesOver kills a server in the middle of a run; the one that stands by finishes the run.
func TestServeTakesOver(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(50)
	b.write("pipelines/customers.yaml", strings.Replace(nightlyYAML, "    key: id\n", "    key: id\n    chunk: { rows: 20, parallel: 1 }\n", 1))
	b.missed("customers")
	hang := b.fault(emulator.Fault{Do: emulator.DoHang, Path: "/batches", Skip: 1})
	kill := b.servingProcess(`"chunk": 2, "from": "spooled", "to": "created"`)
	stop, seen := b.serve("ended")
	kill()
	b.org.RemoveFault(hang)
	<-seen
	stop().exits(t, exitDone).says(t, "runs_taken_over\": 1", "resuming the run that was interrupted")
	if n := b.count("SELECT COUNT() FROM Account"); n != 50 {
		t.Errorf("%d accounts in the org", n)
	}
	r := b.etl("runs", "--json").exits(t, exitDone).says(t, `"state": "succeeded"`)
	if strings.Count(r.stdout, `"id":`) != 1 {
		t.Errorf("it is more than one run: %s", r.stdout)
	}
}

// TestServeLeavesRunsToResume stops a server in good order in the middle of a run.
func TestServeLeavesRunsToResume(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(50)
	b.write("pipelines/customers.yaml", nightlyYAML)
	b.missed("customers")
	hang := b.fault(emulator.Fault{Do: emulator.DoHang, Path: "/batches"})
	stop, seen := b.serve(`"to": "created"`, "--log-level", "debug")
	<-seen
	stop().exits(t, exitDone).says(t, "interrupted; the next server goes on with it")
	b.org.RemoveFault(hang)
	stop, seen = b.serve("ended")
	<-seen
	stop().exits(t, exitDone).says(t, "resuming the run that was interrupted")
	if n := b.count("SELECT COUNT() FROM Account"); n != 50 {
		t.Errorf("%d accounts in the org", n)
	}
}

func TestScheduleCommands(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(5)
	b.etl("schedule", "list").exits(t, exitDone).says(t, "No pipeline has a schedule")
	b.write("pipelines/customers.yaml", "schedule: { cron: \"0 2 1 1 *\", timezone: Europe/Berlin, jitter: 5m }\n"+customersYAML)
	b.etl("schedule", "list").exits(t, exitDone).says(t, "customers", "0 2 1 1 *", "Europe/Berlin", "new", "No server is running.")
	b.etl("schedule", "run", "customers").exits(t, exitUsage).says(t, "no server is running", `"etl run customers"`)
	b.etl("schedule", "run", "custmers").exits(t, exitUsage).says(t, `did you mean "customers"?`)
	b.etl("schedule", "resume", "customers").exits(t, exitDone).says(t, "customers is not paused.")
	b.etl("schedule", "pause", "customers").exits(t, exitDone).says(t, `"etl schedule resume customers"`)
	b.etl("schedule", "pause", "customers").exits(t, exitDone).says(t, "paused already")
	b.etl("schedule", "list").exits(t, exitDone).says(t, "paused")

	stop, seen := b.serve("this server leads")
	<-seen
	b.etl("schedule", "run", "customers", "--json").exits(t, exitDone).says(t, `"fire_id": 1`)
	b.etl("schedule", "list").exits(t, exitDone).says(t, "Served by process")
	for b.count("SELECT COUNT() FROM Account") < 5 {
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
	stop().exits(t, exitDone).says(t, `"why": "request"`)
	b.etl("schedule", "resume", "customers").exits(t, exitDone).says(t, "goes on by its schedule")
}

func TestHealth(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	var config net.ListenConfig
	free, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wait, seen := b.until(ctx, "this server leads", "", "serve", "--listen", address)
	<-seen
	get := func(path string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var text json.RawMessage
		if path == "/readyz" {
			if err := json.NewDecoder(answer.Body).Decode(&text); err != nil {
				t.Fatal(err)
			}
		}
		return answer.StatusCode, string(text)
	}
	if code, _ := get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz answers %d", code)
	}
	if code, text := get("/readyz"); code != http.StatusOK || !strings.Contains(text, `"ready":true`) || !strings.Contains(text, `"running":[]`) {
		t.Errorf("/readyz answers %d, %s", code, text)
	}
	b.etl("serve", "--check", "--listen", address).exits(t, exitDone).says(t, `"role":"leader"`)
	b.etl("serve", "--listen", address).exits(t, exitUsage).says(t, "--listen: ", "Another server may be running here")
	cancel()
	wait().exits(t, exitDone)
	b.etl("serve", "--check", "--listen", address).exits(t, exitIncomplete).says(t, "no server is ready")
	b.etl("serve", "--listen", "8091").exits(t, exitUsage).says(t, "want HOST:PORT")
}
