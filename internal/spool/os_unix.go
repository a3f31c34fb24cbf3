//go:build unix

package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// createFile makes an empty file. The temporary file of a CSV is locked as well,
// for as long as it is open: that says that the chunk is in use. The others are
// made by whoever holds that lock.
func createFile(path string) (*os.File, error) {
	if !strings.HasSuffix(path, csvExt+tmpExt) {
		return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
	}
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, fileMode)
		if err != nil {
			return nil, err
		}
		locked, err := lock(f, path)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if locked {
			return f, f.Truncate(0)
		}
		// A sweep removed the file between our open and our lock.
		_ = f.Close()
	}
}

// lockLeftover locks a temporary file that no process uses any more. It returns
// nil when one does, when the file is gone by now, or when it is not ours.
func lockLeftover(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	locked, err := lock(f, path)
	if locked {
		return f, nil
	}
	_ = f.Close()
	var inUse *inUseError
	if errors.As(err, &inUse) {
		return nil, nil
	}
	return nil, err
}

// inUseError says that another process, or another Writer, has the lock.
type inUseError struct{ path string }

func (e *inUseError) Error() string {
	return fmt.Sprintf("%s is being written by another process", e.path)
}

// lock takes the lock of an open file. It is false without an error when the
// file is not the one at path any more.
func lock(f *os.File, path string) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, &inUseError{path}
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", path, err)
	}
	ours, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(ours, there), err
}

// publish gives a finished file its name. It stays locked until it has it.
func publish(f *os.File, from, to string) error {
	return errors.Join(os.Rename(from, to), f.Close())
}
