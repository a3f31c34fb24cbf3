package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/profile"
)

// traced returns how often each stage or request is in the trace of a folder, all of whose profiles are
// there.
func traced(t *testing.T, dir string) map[string]int {
	t.Helper()
	for _, name := range []string{profile.CPUFile, profile.HeapFile, profile.BlockFile, profile.MutexFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, profile.TraceFile))
	if err != nil {
		t.Fatal(err)
	}
	var events []struct{ Name, Ph string }
	if err := json.Unmarshal(text, &events); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	counts := map[string]int{}
	for _, e := range events {
		counts[e.Ph+" "+e.Name]++
	}
	return counts
}

// TestProfileOfRuns is one test: a process has one profile at a time.
func TestProfileOfRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(30)
	b.write("pipelines/customers.yaml", customersYAML+"    chunk: {rows: 10, parallel: 2}\n")
	b.sql(`UPDATE customers SET name = NULL WHERE id = 7`)
	dir := filepath.Join(b.dir, "profiles", "first")

	// What cannot be written is refused, and nothing is sent.
	file := b.write("in-the-way", "")
	b.etl("run", "customers", "--profile", file).exits(t, exitUsage).says(t, "--profile: ", "not a directory", "nothing was sent")
	b.etl("run", "customers", "--profile", "").exits(t, exitUsage).says(t, "--profile", "want a name, got nothing")
	if n := b.count("SELECT count() FROM Account"); n != 0 {
		t.Errorf("%d accounts were sent", n)
	}

	// An interrupted run has its profile, and so has its resume.
	b.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick})
	ctx, cancel := context.WithCancelCause(t.Context())
	first, submitted := b.until(ctx, `"to": "submitted"`, "", "run", "customers", "--log-level", "debug", "--profile", dir)
	<-submitted
	cancel(errors.New("stopped by the test"))
	first().exits(t, exitInterrupted).says(t, "the profile is in "+dir)
	if got := traced(t, dir); got["X read"] != 3 || got["X process"] == 0 || got["b upload"] == 0 || got["b upload"] != got["e upload"] {
		t.Errorf("the interrupted run's trace has %v", got)
	}
	b.org.RemoveFault("")
	b.org.Release()
	dir = filepath.Join(b.dir, "second")
	b.etl("resume", "--profile", dir).exits(t, exitLeftovers)
	if got := traced(t, dir); got["X results"] == 0 || got["X read"] != 0 {
		t.Errorf("the resume's trace has %v", got)
	}

	b.sql(`UPDATE customers SET name = 'Seven' WHERE id = 7`)
	b.etl("failed", "retry", "--profile", dir).exits(t, exitDone)
	if got := traced(t, dir); got["X read"] != 1 {
		t.Errorf("the retry's trace has %v", got)
	}

	// A run that is refused has one, too: why it took long to refuse may be the question.
	b.write("pipelines/customers.yaml", strings.Replace(customersYAML, "Website: website", "Webseit: website", 1))
	b.etl("run", "customers", "--profile", dir).exits(t, exitRefused)
	traced(t, dir)
}
