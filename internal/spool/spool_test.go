package spool_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bulkhead/internal/spool"
)

const header = "Id,Name\n"

// open opens a spool in a directory of the test's own.
func open(tb testing.TB, maxBytes int64) (*spool.Spool, string) {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "spool")
	s, err := spool.Open(spool.Config{Dir: dir, MaxBytes: maxBytes})
	if err != nil {
		tb.Fatal(err)
	}
	return s, dir
}

// write makes a chunk of records such as "1,Ann\n", keyed by their first field.
func write(tb testing.TB, s *spool.Spool, name string, records ...string) spool.Info {
	tb.Helper()
	w := create(tb, s, name)
	for _, record := range records {
		key, _, _ := strings.Cut(record, ",")
		if err := w.Append([]byte(key), []byte(record)); err != nil {
			tb.Fatal(err)
		}
	}
	info, err := w.Commit()
	if err != nil {
		tb.Fatal(err)
	}
	return info
}

func create(tb testing.TB, s *spool.Spool, name string) *spool.Writer {
	tb.Helper()
	w, err := s.Create(tb.Context(), name, []byte(header), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// files lists what is below dir.
func files(tb testing.TB, dir string) []string {
	tb.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, filepath.ToSlash(strings.TrimPrefix(path, dir+string(filepath.Separator))))
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return names
}

func TestName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		run  int64
		step string
		seq  int
		want string
	}{
		{42, "accounts", 17, "run-42/accounts/000017"},
		{1, "../../etc/passwd", 0, "run-1/%2E%2E%2F%2E%2E%2Fetc%2Fpasswd/000000"},
		{1, "a b", 12345678, "run-1/a%20b/12345678"},
		{1, "a%20b", 1, "run-1/a%2520b/000001"},
	} {
		if got := spool.Name(test.run, test.step, test.seq); got != test.want {
			t.Errorf("Name(%d, %q, %d) = %q, want %q", test.run, test.step, test.seq, got, test.want)
		}
	}
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	s, dir := open(t, 0)
	name := spool.Name(1, "a", 1)
	write(t, s, name, "1,Ann\n")
	for path, want := range map[string]os.FileMode{
		dir:                               0o700 | os.ModeDir,
		filepath.Join(dir, "run-1"):       0o700 | os.ModeDir,
		filepath.Join(dir, name+".csv"):   0o600,
		filepath.Join(dir, name+".keys"):  0o600,
		filepath.Join(dir, "run-1", "a/"): 0o700 | os.ModeDir,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
	}
}

// TestDirectoriesOfOthers has what somebody else could prepare in a spool that
// lies where all can write.
func TestDirectoriesOfOthers(t *testing.T) {
	t.Parallel()
	s, dir := open(t, 0)
	loose := filepath.Join(dir, "run-1")
	if err := os.Mkdir(loose, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(loose, 0o777); err != nil {
		t.Fatal(err)
	}
	write(t, s, spool.Name(1, "a", 1), "1,Ann\n")
	if info, err := os.Stat(loose); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s has mode %v, %v", loose, info.Mode(), err)
	}
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(dir, "run-2")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), spool.Name(2, "a", 1), []byte(header), nil); err == nil {
		t.Error("a link is followed")
	}
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) != 0 {
		t.Errorf("the link's target holds %v, %v", left, err)
	}
}

// TestStepNamesStayInside has names that the pipeline would have refused.
func TestStepNamesStayInside(t *testing.T) {
	t.Parallel()
	s, dir := open(t, 0)
	rapid.Check(t, func(rt *rapid.T) {
		step := rapid.OneOf(
			rapid.SampledFrom([]string{"../../x", "..", ".", "", "/etc/passwd", `..\..\x`, "a/b", "a\x00b", "CON", "a:b"}),
			rapid.String(),
		).Draw(rt, "step")
		name := spool.Name(1, step, 1)
		w, err := s.Create(t.Context(), name, []byte(header), nil)
		if err != nil {
			return // refused is fine too
		}
		if err := w.Abort(); err != nil {
			rt.Fatal(err)
		}
		at := filepath.Join(dir, filepath.FromSlash(name))
		if rel, err := filepath.Rel(filepath.Join(dir, "run-1"), at); err != nil || !filepath.IsLocal(rel) || strings.Count(rel, string(filepath.Separator)) > 1 {
			rt.Fatalf("step %q is kept at %s", step, at)
		}
	})
}

func TestNothingShowsBeforeCommit(t *testing.T) {
	t.Parallel()
	s, _ := open(t, 0)
	name := spool.Name(1, "a", 1)
	w := create(t, s, name)
	if err := w.Append([]byte("1"), []byte("1,Ann\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(name); !errors.Is(err, spool.ErrGone) {
		t.Errorf("Open before Commit: %v, want ErrGone", err)
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(name); err != nil {
		t.Errorf("Open after Commit: %v", err)
	}
	if err := w.Abort(); err != nil {
		t.Errorf("Abort after Commit: %v", err)
	}
	if _, err := s.Open(name); err != nil {
		t.Errorf("Abort after Commit removed the chunk: %v", err)
	}
	if _, err := w.Commit(); err == nil {
		t.Error("a second Commit succeeds")
	}
}

func TestAbortLeavesNoFile(t *testing.T) {
	t.Parallel()
	s, dir := open(t, 0)
	w := create(t, s, spool.Name(1, "a", 1))
	if err := w.Reject(spool.Rejection{Key: "1", Code: "X"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCreateReplaces(t *testing.T) {
	t.Parallel()
	s, dir := open(t, 0)
	name := spool.Name(1, "a", 1)
	w := create(t, s, name)
	if err := w.Reject(spool.Rejection{Key: "1", Code: "X"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	info := write(t, s, name, "2,Bob\n")
	want := []string{name + ".csv", name + ".keys"}
	if diff := cmp.Diff(want, files(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	f, err := s.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Verify(info.Bytes, info.CRC32C); err != nil {
		t.Error(err)
	}
}

func TestOneWriterPerChunk(t *testing.T) {
	t.Parallel()
	s, _ := open(t, 0)
	name := spool.Name(1, "a", 1)
	w := create(t, s, name)
	if _, err := s.Create(t.Context(), name, []byte(header), nil); err == nil {
		t.Error("two writers on one chunk")
	}
	if err := w.Append([]byte("1"), []byte("1,Ann\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); err != nil {
		t.Error(err)
	}
}

func TestAppendRefusesHalfALine(t *testing.T) {
	t.Parallel()
	s, _ := open(t, 0)
	w := create(t, s, spool.Name(1, "a", 1))
	for _, record := range []string{"", "1,Ann"} {
		if err := w.Append(nil, []byte(record)); err == nil {
			t.Errorf("record %q was taken", record)
		}
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
}

func TestNamesStayInside(t *testing.T) {
	t.Parallel()
	s, _ := open(t, 0)
	for _, name := range []string{"", ".", "..", "../x", "/etc/passwd", "a/../../x", "a//b"} {
		if _, err := s.Create(t.Context(), name, []byte(header), nil); err == nil {
			t.Errorf("Create(%q) succeeds", name)
		}
		if err := s.Remove(name); err == nil {
			t.Errorf("Remove(%q) succeeds", name)
		}
	}
}

func TestOpenRefusesBadConfig(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []spool.Config{{}, {Dir: t.TempDir(), MaxBytes: -1}, {Dir: file}} {
		if _, err := spool.Open(cfg); err == nil {
			t.Errorf("Open(%+v) succeeds", cfg)
		}
	}
}

func TestCreateWaitsForRoom(t *testing.T) {
	t.Parallel()
	s, _ := open(t, 10)
	first, second := spool.Name(1, "a", 1), spool.Name(1, "a", 2)
	write(t, s, first, "1,Ann\n") // alone it may exceed the limit
	waits := make(chan struct{}, 10)
	created := make(chan error)
	go func() {
		w, err := s.Create(t.Context(), second, []byte(header), func() { waits <- struct{}{} })
		if err == nil {
			err = w.Abort()
		}
		created <- err
	}()
	<-waits
	select {
	case err := <-created:
		t.Fatalf("Create did not wait: %v", err)
	default:
	}
	// Something else going is no room.
	if err := s.Remove(spool.Name(1, "a", 99)); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(first); err != nil {
		t.Fatal(err)
	}
	if err := <-created; err != nil {
		t.Fatal(err)
	}
	if len(waits) > 0 {
		t.Error("onWait was called more than once")
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s, _ := open(t, 1)
	write(t, s, spool.Name(1, "a", 1), "1,Ann\n")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Create(ctx, spool.Name(1, "a", 2), []byte(header), cancel)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Create: %v, want context.Canceled", err)
	}
}

func TestUsed(t *testing.T) {
	t.Parallel()
	s, dir := open(t, 0)
	onDisk := func(dir string) (sum int64) {
		for _, name := range files(t, dir) {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			sum += info.Size()
		}
		return sum
	}
	want := func(when string, s *spool.Spool, want int64) {
		t.Helper()
		if got := s.Used(); got != want {
			t.Errorf("%s: Used() = %d, want %d", when, got, want)
		}
	}
	one, two := spool.Name(1, "a", 1), spool.Name(12, "b", 1)
	write(t, s, one, "1,Ann\n")
	write(t, s, two, "1,Ann\n", "2,Bob\n")
	want("two chunks", s, onDisk(dir))

	// Another process, after a crash of this one.
	later, err := spool.Open(spool.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	want("opened", later, 0)
	for range 2 { // twice counts once
		if err := later.Adopt(two); err != nil {
			t.Fatal(err)
		}
	}
	want("adopted", later, onDisk(filepath.Join(dir, "run-12")))
	if err := later.Adopt(spool.Name(3, "a", 1)); !errors.Is(err, spool.ErrGone) {
		t.Errorf("Adopt of nothing: %v, want ErrGone", err)
	}

	if err := s.RemoveRun(1); err != nil { // not run 12
		t.Fatal(err)
	}
	want("run removed", s, onDisk(dir))
	if err := s.Remove(two); err != nil {
		t.Fatal(err)
	}
	want("all removed", s, 0)
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
