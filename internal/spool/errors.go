package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// ErrGone says that a chunk is not in the spool: it was removed, or is on
// another machine.
var ErrGone = errors.New("chunk is not in the spool")

// ErrDamaged says that a chunk's files are not what was written.
var ErrDamaged = errors.New("chunk is damaged")

// DiskFullError says that the disk or the quota of the spool is used up.
type DiskFullError struct {
	Dir     string // of the spool
	Written int64  // bytes of the file that reached the disk
	Needed  int64  // bytes that were to be written next; 0 when the system does not tell
	Err     error  // what the system said
}

func (e *DiskFullError) Error() string {
	needed := "more are needed"
	if e.Needed > 0 {
		needed = fmt.Sprintf("at least %d more are needed", e.Needed)
	}
	return fmt.Sprintf("the disk of the spool directory %q is full: %d bytes of the file are written, %s;"+
		" free some space or set ETL_SPOOL_DIR to a directory on a larger disk: %v", e.Dir, e.Written, needed, e.Err)
}

func (e *DiskFullError) Unwrap() error { return e.Err }

// writeError makes a system's error of writing a file into one that helps.
func writeError(dir string, written, needed int64, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &DiskFullError{Dir: dir, Written: written, Needed: needed, Err: err}
	}
	return err
}

// readError makes a missing file ErrGone.
func readError(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("spool %q: %w: %w", name, ErrGone, err)
	}
	return fmt.Errorf("spool %q: %w", name, err)
}

// damaged makes an error that is ErrDamaged and says how.
func damaged(name, format string, args ...any) error {
	return fmt.Errorf("spool %q: %w: %s", name, ErrDamaged, fmt.Sprintf(format, args...))
}
