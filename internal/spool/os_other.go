//go:build !unix

package spool

import (
	"errors"
	"os"
)

// createFile makes an empty file.
func createFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
}

// lockLeftover finds nothing: without flock there is no telling what is in use.
// Leftovers go with the other files of their run.
func lockLeftover(string) (*os.File, error) { return nil, nil }

// publish gives a finished file its name; Windows renames no open file.
func publish(f *os.File, from, to string) error {
	return errors.Join(f.Close(), os.Rename(from, to))
}
