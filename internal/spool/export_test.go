package spool

import "os"

// CreateFilesWith replaces how the spool makes its files, so that a test can
// give it a device that is full.
func (s *Spool) CreateFilesWith(create func(path string) (*os.File, error)) {
	s.createFile = create
}
