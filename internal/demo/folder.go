package demo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// folder is a temporary folder that goes with this process, however it ends.
type folder struct {
	path     string
	guard    *exec.Cmd
	lifeline *os.File // closing it ends the guard and the folder
}

// guardScript removes the folder "$1" when standard input ends, which it does
// when we close it and also when we die. A Ctrl-C, which a terminal sends to all
// of us, is not for it.
const guardScript = `
trap '' INT TERM HUP
cat >/dev/null
rm -rf "$1"
`

// makeFolder makes an empty folder that only we can enter.
func makeFolder() (*folder, error) {
	path, err := os.MkdirTemp("", "etl-demo-")
	if err != nil {
		return nil, fmt.Errorf("make the project's folder: %w", err)
	}
	f := &folder{path: path}
	if err := f.watch(); err != nil {
		return nil, errors.Join(fmt.Errorf("guard the project's folder: %w", err), os.RemoveAll(path))
	}
	return f, nil
}

// watch starts the guard.
func (f *folder) watch() error {
	stdin, lifeline, err := os.Pipe()
	if err != nil {
		return err
	}
	// Not CommandContext: the folder belongs to remove, not to a call.
	guard := exec.Command("/bin/sh", "-c", guardScript, "guard", f.path) //nolint:noctx // outlives the call by design
	guard.Stdin = stdin
	err = guard.Start()
	// The child has its own copy.
	_ = stdin.Close()
	if err != nil {
		return errors.Join(err, lifeline.Close())
	}
	f.guard, f.lifeline = guard, lifeline
	return nil
}

// remove removes the folder with all that is in it.
func (f *folder) remove() error {
	closeErr := f.lifeline.Close()
	if err := f.guard.Wait(); err != nil {
		return fmt.Errorf("remove %s: %w", f.path, errors.Join(err, closeErr))
	}
	return nil
}
