//go:build !unix

package pgtest

import (
	"errors"
	"os/exec"
)

// owner has nothing to choose on systems without Unix users.
type owner struct{}

func serverOwner() (owner, error) {
	return owner{}, errors.New("a throwaway postgres needs a Unix system: set " + envURL + " to a server")
}

func (owner) makeDir(string) (string, error) { return "", errors.ErrUnsupported }

func (owner) apply(*exec.Cmd, string) {}
