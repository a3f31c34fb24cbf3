//go:build unix

package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// owner is the user a throwaway server runs as. The zero value is ourselves.
type owner struct {
	credential *syscall.Credential
}

// serverOwner returns who the server has to run as: ourselves, or user
// "postgres" when we are root.
func serverOwner() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{}, nil
	}
	u, err := user.Lookup(superuser)
	if err != nil {
		return owner{}, fmt.Errorf("postgres refuses to run as root, and there is no user %q to run it as: %w", superuser, err)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return owner{}, fmt.Errorf("user %q: %w", superuser, err)
	}
	return owner{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// makeDir makes the server's directory in parent, which only the owner can enter. Not
// testing.TB.TempDir: that lies in a directory that only we can enter.
func (o owner) makeDir(parent string) (string, error) {
	dir, err := os.MkdirTemp(parent, "etl-postgres-")
	if err != nil || o.credential == nil {
		return dir, err
	}
	err = os.Chown(dir, int(o.credential.Uid), int(o.credential.Gid))
	return dir, err
}

// apply makes cmd run as the owner in dir, in a process group of its own: a
// Ctrl-C is for us to handle, and would end the server under the tests.
func (o owner) apply(cmd *exec.Cmd, dir string) {
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: o.credential}
}
