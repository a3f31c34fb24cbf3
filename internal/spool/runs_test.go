package spool_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/spool"
)

func TestRunsAreListedByTheirFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"run-7/accounts", "run-12", "run-x", "other"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s, err := spool.Open(spool.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveRun(12); err != nil {
		t.Fatal(err)
	}
	runs, err := s.Runs()
	slices.Sort(runs)
	if diff := cmp.Diff([]int64{7}, runs); err != nil || diff != "" {
		t.Error(err, diff)
	}
}
