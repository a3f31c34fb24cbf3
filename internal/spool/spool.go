// Package spool keeps chunks of a load in files between the source and the org,
// so that an upload can be repeated without reading the source again.
//
// A chunk is up to three files beside each other: NAME.csv is what is uploaded,
// byte for byte; NAME.keys tells where each of its records begins and which
// source row it came from; NAME.rejected, there only when needed, holds the rows
// that were refused before upload. A chunk that can be opened is complete and
// was synced to disk: it is written under temporary names, and the CSV gets its
// name last and loses it first.
//
// The files are a cache of the source: the state tables decide what they mean,
// and a chunk that is gone can be extracted again. The package knows nothing of
// either side, and it must never show a chunk that is not whole.
package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const (
	dirMode  = 0o700 // customers' data: nobody else's business
	fileMode = 0o600
)

// The files of a chunk, by the ending of their names.
const (
	csvExt      = ".csv"
	keysExt     = ".keys"
	rejectedExt = ".rejected"
	tmpExt      = ".tmp"
)

// Config says where the spool is and how much it may hold.
type Config struct {
	// Dir is the spool's directory, made when missing.
	Dir string
	// MaxBytes is how many bytes of chunks this process keeps before Create waits;
	// 0 is no limit. A chunk that was begun is finished, so the files can exceed
	// it by the chunks in progress.
	MaxBytes int64
}

// Spool is a directory of chunks. Its methods may be called from any goroutine.
type Spool struct {
	dir        string
	maxBytes   int64
	createFile func(path string) (*os.File, error) // for tests of full disks

	mu    sync.Mutex
	held  map[string]int64 // bytes on disk of each chunk this process knows
	used  int64            // their sum
	freed chan struct{}    // closed and replaced whenever used falls
}

// Open opens the spool in cfg.Dir and removes what crashed processes left half
// written there. Chunks that are complete stay; see Adopt.
func Open(cfg Config) (*Spool, error) {
	if cfg.Dir == "" {
		return nil, errors.New("spool: no directory given")
	}
	if cfg.MaxBytes < 0 {
		return nil, fmt.Errorf("spool %q: max_bytes is %d, want 0 or more", cfg.Dir, cfg.MaxBytes)
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("spool %q: %w", cfg.Dir, err)
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("spool: make directory (ETL_SPOOL_DIR names another): %w", err)
	}
	if err := sweep(dir); err != nil {
		return nil, fmt.Errorf("spool %q: remove what a crash left: %w", dir, err)
	}
	return &Spool{
		dir:        dir,
		maxBytes:   cfg.MaxBytes,
		createFile: createFile,
		held:       make(map[string]int64),
		freed:      make(chan struct{}),
	}, nil
}

// Name is the name of a chunk, relative to any spool's directory.
func Name(run int64, step string, seq int) string {
	return fmt.Sprintf("%s/%s/%06d", runDir(run), escape(step), seq)
}

// Create begins a chunk whose CSV starts with header. While the spool holds
// MaxBytes or more it waits until enough of that was removed, or until ctx ends;
// onWait, which may be nil, is called once before it does. An earlier chunk of
// the same name is replaced.
func (s *Spool) Create(ctx context.Context, name string, header []byte, onWait func()) (*Writer, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	if err := s.awaitRoom(ctx, onWait); err != nil {
		return nil, fmt.Errorf("spool %q: wait for room (%d bytes held, the limit is %d): %w", name, s.Used(), s.maxBytes, err)
	}
	return s.create(name, path, header)
}

// CreateNow begins a chunk however full the spool is. It is for those whose waiting would keep the
// spool from being emptied.
func (s *Spool) CreateNow(name string, header []byte) (*Writer, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	return s.create(name, path, header)
}

func (s *Spool) create(name, path string, header []byte) (*Writer, error) {
	// An old CSV must not meet the new sidecars if we crash between their renames.
	if err := s.Remove(name); err != nil {
		return nil, err
	}
	return newWriter(s, name, path, header)
}

// makeDirs makes a directory of the spool and those between them. One that is
// there already may be of somebody else's making, where the spool lies in a
// folder that others can write to: it is made private, and no link is followed.
func (s *Spool) makeDirs(dir string) error {
	if dir == s.dir || len(dir) < len(s.dir) {
		return os.MkdirAll(s.dir, dirMode)
	}
	if err := s.makeDirs(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no directory", dir)
	case info.Mode().Perm()&^dirMode != 0:
		return os.Chmod(dir, dirMode)
	}
	return nil
}

// Used is how many bytes of complete chunks this process has in the spool.
func (s *Spool) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// Adopt counts a complete chunk that an earlier process left against MaxBytes.
// The error is ErrGone when it is not there.
func (s *Spool) Adopt(name string) error {
	f, err := s.Open(name)
	if err != nil {
		return err
	}
	var size int64
	for _, ext := range []string{csvExt, keysExt, rejectedExt} {
		info, err := os.Stat(f.path + ext)
		if err == nil {
			size += info.Size()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("spool %q: %w", name, err)
		}
	}
	s.hold(name, size)
	return nil
}

// Remove deletes a chunk. One that is not there is fine.
func (s *Spool) Remove(name string) error {
	path, err := s.path(name)
	if err != nil {
		return err
	}
	// The CSV first: without it, the rest is no chunk.
	for _, ext := range []string{csvExt, keysExt, rejectedExt} {
		if err := os.Remove(path + ext); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("spool %q: %w", name, err)
		}
	}
	s.release(func(held string) bool { return held == name })
	return nil
}

// RemoveRun deletes all chunks of a run. It must not be called while one of them
// is being written.
func (s *Spool) RemoveRun(run int64) error {
	if err := os.RemoveAll(filepath.Join(s.dir, runDir(run))); err != nil {
		return fmt.Errorf("spool: remove the files of run %d: %w", run, err)
	}
	s.release(func(held string) bool { return strings.HasPrefix(held, runDir(run)+"/") })
	return nil
}

// awaitRoom returns when the spool may take another chunk. An empty one always
// may, so that a limit below the size of a chunk slows a run down, not ends it.
func (s *Spool) awaitRoom(ctx context.Context, onWait func()) error {
	for {
		s.mu.Lock()
		full := s.maxBytes > 0 && s.used >= s.maxBytes
		freed := s.freed
		s.mu.Unlock()
		if !full {
			return ctx.Err()
		}
		if onWait != nil {
			onWait()
			onWait = nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hold counts a chunk's bytes.
func (s *Spool) hold(name string, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used += size - s.held[name]
	s.held[name] = size
}

// release stops counting the chunks that match and wakes who waits for room.
func (s *Spool) release(match func(name string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, size := range s.held {
		if match(name) {
			s.used -= size
			delete(s.held, name)
		}
	}
	close(s.freed)
	s.freed = make(chan struct{})
}

// path is where a chunk's files are, less their endings.
func (s *Spool) path(name string) (string, error) {
	local := filepath.FromSlash(name)
	if !filepath.IsLocal(local) || filepath.Clean(local) != local || local == "." {
		return "", fmt.Errorf("spool: %q is no name of a chunk", name)
	}
	return filepath.Join(s.dir, local), nil
}

// runPrefix is what the names of the runs' folders begin with.
const runPrefix = "run-"

func runDir(run int64) string {
	return fmt.Sprintf("%s%d", runPrefix, run)
}

// escape makes a step's name fit to be a file's name everywhere, and still tells
// any two names apart.
func escape(step string) string {
	var b strings.Builder
	for _, c := range []byte(step) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
