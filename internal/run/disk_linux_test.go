package run_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/spool"
	"bulkhead/internal/state"
)

// smallDisk mounts a disk of its own, of a size such as 64m. It takes root; false where that is missing.
func smallDisk(t *testing.T, size string) (dir string, ok bool) {
	t.Helper()
	dir, err := os.MkdirTemp("", "etl-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=1777,size="+size); err != nil {
		t.Logf("no disk of its own: mount: %v", err)
		return "", false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, true
}

// fill takes all that is left of a disk and gives it back when told to.
func fill(dir string) (empty func() error, err error) {
	file, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := io.Copy(file, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		return nil, fmt.Errorf("fill the disk: %w", err)
	}
	return func() error { return os.Remove(file.Name()) }, nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestStateDiskIsReallyFull fills the disk of the state database's server while jobs are running, and gives
// it room again once the run waits. A server that died of it is started again. Where no disk can be mounted
// TestStateDiskIsFull alone has to do.
func TestStateDiskIsReallyFull(t *testing.T) {
	t.Parallel()
	disk, ok := smallDisk(t, "96m")
	if !ok {
		return
	}
	b := setup(t, emulator.Config{})
	b.people(t, 400)
	server := b.ownServer(t, disk)
	core, seen := observer.New(zap.WarnLevel)
	b.config.Log = zap.New(core)
	stuck := b.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick})
	b.fault(t, emulator.Fault{On: emulator.OnRow, Every: 2, Code: "FIELD_CUSTOM_VALIDATION_EXCEPTION", Message: strings.Repeat("no ", 100)})
	done := make(chan error, 1)
	go func() {
		until(t, func() bool { return b.server.State().Jobs["InProgress"] >= 2 })
		empty, err := fill(disk)
		if err != nil {
			done <- err
			return
		}
		b.server.RemoveFault(stuck.ID)
		b.server.Release()
		until(t, func() bool { return seen.FilterMessageSnippet("state database is away").Len() > 0 })
		done <- errors.Join(empty(), server.Crash(t.Context()), server.Restart(t.Context()))
	}()
	s, err := b.engine(t, accounts("insert", "    chunk: { rows: 100, parallel: 2 }\n")).Run(t.Context(), run.Options{})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.mustBalance(t, mustComplete(t, s, err, state.RunCompletedWithFailures))
	if n := b.count(t, "FROM Account"); n != 200 || s.Loaded != 200 || len(b.open(t)) != 200 {
		t.Errorf("the org has %d, the run says %s, %d are open", n, s.Counts, len(b.open(t)))
	}
	if why := seen.FilterMessageSnippet("state database is away").All()[0].ContextMap()["error"]; !strings.Contains(why.(string), "No space left") {
		t.Errorf("the run waited for %v", why)
	}
}

// TestSpoolDiskIsReallyFull lets a chunk grow beyond the disk that the spool lies on: the chunks before it
// are loaded, the run says what to do, and with room it goes on. Where no disk can be mounted, package
// spool's TestFullDisk alone has to do.
func TestSpoolDiskIsReallyFull(t *testing.T) {
	t.Parallel()
	disk, ok := smallDisk(t, "256k")
	if !ok {
		return
	}
	b := setup(t, emulator.Config{})
	b.people(t, 200)
	b.exec(t, `UPDATE people SET site = 'https://example.com/' || repeat('x', 200)`)
	b.exec(t, `CREATE TABLE fat AS SELECT id, CASE WHEN id > 100 THEN repeat('x', 8000) END AS about FROM people`)
	var err error
	if b.spool, err = spool.Open(spool.Config{Dir: disk}); err != nil {
		t.Fatal(err)
	}
	b.spoolDir, b.config.Spool = disk, b.spool
	yaml := strings.NewReplacer("SELECT id, name, site FROM people", "SELECT id, name, about FROM people JOIN fat USING (id)",
		"Website: site", "Description: about").Replace(accounts("insert", "    chunk: { rows: 50, parallel: 1 }\n"))
	s, err := b.engine(t, yaml).Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) || s.State != state.RunFailed || !s.Unfinished || !strings.Contains(s.Error, "no space left") ||
		!strings.Contains(s.Error, "ETL_SPOOL_DIR") || !strings.Contains(s.Error, "etl resume") {
		t.Fatalf("got %v, %+v", err, s)
	}
	if n := b.count(t, "FROM Account"); n != 100 || s.Loaded != 100 {
		t.Errorf("the org has %d, the run says %s", n, s.Counts)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	s, err = b.engine(t, yaml).Resume(t.Context(), s.ID)
	b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
	b.mustHave(t, s)
}
