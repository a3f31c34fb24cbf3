//go:build unix

package main

import "golang.org/x/sys/unix"

// freeBytes is how much the user may still write to a folder's disk.
func freeBytes(dir string) (free int64, known bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	// The types of both differ from system to system.
	return int64(float64(s.Bavail) * float64(s.Bsize)), true
}
