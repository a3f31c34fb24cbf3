// Package describe holds the sObject describes that the emulator and the
// tests share, in the format a real org answers at
// /services/data/vXX.X/sobjects/{Object}/describe. It holds files only: what
// they mean is for its readers to work out.
//
// The folder lies under testdata so that ./... leaves it alone; it is a
// package so that the emulator can embed the very files the tests read.
package describe

import (
	"embed"
	"io/fs"
)

//go:embed *.json
var files embed.FS

// Files is the describes, one <Object>.json each at the root.
func Files() fs.FS { return files }
