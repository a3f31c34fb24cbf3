//go:build unix

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bulkhead/internal/emulator"
)

// crashVariable makes this test binary run a load in the folder that it names,
// so that it can be made to crash.
const crashVariable = "ETL_TEST_CRASH"

func TestCrashes(t *testing.T) {
	t.Parallel()
	dir := os.Getenv(crashVariable)
	if dir == "" {
		t.Skip("is run by TestSecretsAreNotInACrash")
	}
	code := execute(context.Background(), invocation{
		args:  []string{"--dir", dir, "run", "secret", "--log-level", "debug"},
		stdin: strings.NewReader(""), stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv,
	})
	t.Fatalf("ended with %d, which it should not have", code)
}

// TestSecretsAreNotInACrash makes a load die in the middle with the stacks of
// all goroutines, as a panic would print them.
func TestSecretsAreNotInACrash(t *testing.T) {
	t.Parallel()
	b := plant(t)
	b.fault(emulator.Fault{Do: emulator.DoHang, Path: "/batches"})
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrashes$", "-test.v")
	cmd.Env = append(os.Environ(), crashVariable+"="+b.dir, "GOTRACEBACK=all")
	for name, value := range b.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out := &stream{text: `"to": "created"`, seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-out.seen:
	case err := <-ended:
		t.Fatalf("the load ended by itself: %v\n%s", err, out)
	}
	if err := cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the crash looks like success")
	}
	if !strings.Contains(out.String(), "SIGQUIT") || !strings.Contains(out.String(), "internal/run.") {
		t.Fatalf("this is no crash:\n%s", out)
	}
	b.vault.search(t, "the crash", out.String())
	b.afterwards()
	b.spoolIsPrivate()
}

// spoolIsPrivate looks at the permissions of everything in the spool, where the
// crash left its chunks.
func (b *planted) spoolIsPrivate() {
	b.t.Helper()
	chunks := 0
	err := filepath.WalkDir(b.env["ETL_SPOOL_DIR"], func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := os.FileMode(0o600)
		if info.IsDir() {
			want = 0o700
		} else {
			chunks++
		}
		if info.Mode().Perm() != want {
			b.t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		return nil
	})
	if err != nil || chunks == 0 {
		b.t.Errorf("%d files in the spool: %v", chunks, err)
	}
}
