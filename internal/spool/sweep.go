package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sweep removes the files of chunks that were never finished because their
// process died. Whether it did is asked of the system: a writer holds a lock on
// the temporary file of its CSV, which ends with the process however it ends. An
// age or a process id in the name could not tell: a chunk may wait long for its
// rows, ids are used again, and another machine's mean nothing here.
func sweep(dir string) error {
	pattern := filepath.Join(dir, "run-*", "*", "*"+csvExt+tmpExt)
	found, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, path := range found {
		if err := sweepChunk(path); err != nil {
			return err
		}
	}
	return nil
}

// sweepChunk removes the chunk that csvTmp belongs to unless it is in use.
func sweepChunk(csvTmp string) error {
	lock, err := lockLeftover(csvTmp)
	if err != nil || lock == nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	path := strings.TrimSuffix(csvTmp, csvExt+tmpExt)
	// The CSV's temporary file last: it is what the next sweep looks for.
	for _, leftover := range []string{
		path + rejectedExt + tmpExt, path + rejectedExt,
		path + keysExt + tmpExt, path + keysExt,
		csvTmp,
	} {
		if err := os.Remove(leftover); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
