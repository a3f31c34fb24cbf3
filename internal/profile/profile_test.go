package profile_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/internal/profile"
)

// event is what the tests read of a trace.
type event struct {
	Name, Cat, Ph, ID string
	Ts, Dur           int64
	Pid, Tid          int
	Args              map[string]any
}

func readTrace(t *testing.T, dir string) []event {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, profile.TraceFile))
	if err != nil {
		t.Fatal(err)
	}
	var events []event
	if err := json.Unmarshal(text, &events); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return events
}

// TestProfile is one test, because the runtime's profiles are the process's.
func TestProfile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "down")
	p, err := profile.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := profile.Start(t.TempDir()); err == nil || !strings.Contains(err.Error(), "profile the CPU") {
		t.Errorf("a second profile at once: %v", err)
	}
	var requests sync.WaitGroup
	for range 20 {
		requests.Go(func() {
			p.Request(profile.Request{Op: "upload", JobID: "750A", Attempt: 2, Status: 201, Took: time.Second, Sent: 7})
		})
	}
	requests.Wait()
	now := time.Now()
	err = p.Stop([]profile.Track{
		{Name: `accounts, "chunk" 1`, Stages: []profile.Stage{
			{Name: "read", For: "postgres", From: now.Add(-time.Hour), To: now.Add(-30 * time.Minute)}, // another process's
			{Name: "upload", For: "network", From: now.Add(-time.Hour), To: now.Add(time.Second)},
		}},
		{Name: "of before", Stages: []profile.Stage{{Name: "read", From: now.Add(-2 * time.Hour), To: now.Add(-time.Hour)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Request(profile.Request{Op: "late"})

	for _, name := range []string{profile.CPUFile, profile.HeapFile, profile.BlockFile, profile.MutexFile} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		unzipped, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n, err := io.Copy(io.Discard, unzipped); err != nil || n == 0 {
			t.Errorf("%s is not whole: %d bytes, %v", name, n, err)
		}
	}
	phases := map[string]int{}
	for _, e := range readTrace(t, dir) {
		phases[e.Ph]++
		if e.Ph == "X" && (e.Name != "upload" || e.Cat != "network" || e.Dur < 1e6 || e.Dur > 60e6) {
			t.Errorf("stage %+v", e)
		}
		if e.Ph == "b" && (e.Args["job_id"] != "750A" || e.Args["status"] != 201.0 || e.ID == "") {
			t.Errorf("request %+v", e)
		}
	}
	// Two groups and one track have names: what was over before has none.
	if phases["b"] != 20 || phases["e"] != 20 || phases["X"] != 1 || phases["M"] != 3 {
		t.Errorf("events %v", phases)
	}

	// Another one, over the first.
	if p, err = profile.Start(dir); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(nil); err != nil {
		t.Fatal(err)
	}
	if n := len(readTrace(t, dir)); n != 2 {
		t.Errorf("the second trace has %d events", n)
	}
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := profile.Start(file); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a file: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, profile.MutexFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := profile.Start(dir); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a folder in a file's place: %v", err)
	}
}
