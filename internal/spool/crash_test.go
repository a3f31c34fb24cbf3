//go:build unix

package spool_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/spool"
)

// envVictim makes this test binary write half a chunk into the spool it names
// and wait to be killed.
const envVictim = "SPOOL_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envVictim); dir != "" {
		if err := writeHalf(dir); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func writeHalf(dir string) error {
	s, err := spool.Open(spool.Config{Dir: dir})
	if err != nil {
		return err
	}
	w, err := s.Create(context.Background(), spool.Name(1, "victim", 1), []byte(header), nil)
	if err != nil {
		return err
	}
	if err := w.Reject(spool.Rejection{Key: "1"}); err != nil {
		return err
	}
	fmt.Println("writing")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, errors.New("nobody killed me"))
}

func TestOpenRemovesOnlyWhatTheDeadLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	alive, err := spool.Open(spool.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	name := spool.Name(2, "alive", 1)
	w := create(t, alive, name)
	write(t, alive, spool.Name(2, "alive", 2), "1,Ann\n")

	victim := exec.CommandContext(t.Context(), os.Args[0])
	victim.Env = append(os.Environ(), envVictim+"="+dir)
	stdin, err := victim.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	stdout, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}

	reopen := func() []string {
		t.Helper()
		if _, err := spool.Open(spool.Config{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		return files(t, dir)
	}
	all := []string{
		"run-1/victim/000001.csv.tmp", "run-1/victim/000001.keys.tmp", "run-1/victim/000001.rejected.tmp",
		"run-2/alive/000001.csv.tmp", "run-2/alive/000001.keys.tmp",
		"run-2/alive/000002.csv", "run-2/alive/000002.keys",
	}
	if diff := cmp.Diff(all, reopen()); diff != "" {
		t.Errorf("both alive (-want +got):\n%s", diff)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // says that it was killed
	if diff := cmp.Diff(all[3:], reopen()); diff != "" {
		t.Errorf("victim dead (-want +got):\n%s", diff)
	}
	if err := w.Append([]byte("1"), []byte("1,Ann\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); err != nil {
		t.Errorf("the chunk that was being written: %v", err)
	}
}

func TestCreateTakesOverALeftover(t *testing.T) {
	t.Parallel()
	s, dir := open(t, 0)
	name := spool.Name(1, "a", 1)
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, ext := range []string{".csv.tmp", ".keys.tmp"} {
		if err := os.WriteFile(path+ext, bytes.Repeat([]byte("old"), 1000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	info := write(t, s, name, "1,Ann\n")
	if err := readAll(s, name, info); err != nil {
		t.Error(err)
	}
}

// TestFullDisk writes to the device that is always full.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	full := func(string) (*os.File, error) { return os.OpenFile("/dev/full", os.O_WRONLY, 0) }
	steps := map[string]func(w *spool.Writer) error{
		"append": func(w *spool.Writer) error {
			record := []byte("1," + strings.Repeat("x", 100_000) + "\n")
			for range 10 {
				if err := w.Append([]byte("1"), record); err != nil {
					return err
				}
			}
			return nil
		},
		"reject": func(w *spool.Writer) error {
			for range 10 {
				if err := w.Reject(spool.Rejection{Key: strings.Repeat("1", 100_000)}); err != nil {
					return err
				}
			}
			return nil
		},
		"commit": func(w *spool.Writer) error {
			_, err := w.Commit()
			return err
		},
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir := open(t, 0)
			s.CreateFilesWith(full)
			w := create(t, s, spool.Name(1, "a", 1))
			err := step(w)
			var diskFull *spool.DiskFullError
			if !errors.As(err, &diskFull) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("error %v, want a DiskFullError", err)
			}
			if diskFull.Dir != dir || diskFull.Needed == 0 {
				t.Errorf("error names %q and %d bytes needed", diskFull.Dir, diskFull.Needed)
			}
			for _, want := range []string{dir, "ETL_SPOOL_DIR", "no space left on device"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not hold %q", err, want)
				}
			}
			if err := w.Abort(); err != nil {
				t.Error(err)
			}
			if s.Used() != 0 {
				t.Errorf("%d bytes count as used", s.Used())
			}
		})
	}
}
