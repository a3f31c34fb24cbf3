package pgtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// binaries are the programs a server is made of.
type binaries struct {
	initdb, postgres, isready string
}

// findBinaries looks for the server's programs: beside the initdb in PATH, then
// where Debian, Homebrew and the PostgreSQL packages put them, newest first.
func findBinaries() (binaries, error) {
	var dirs []string
	if found, err := exec.LookPath("initdb"); err == nil {
		if target, err := filepath.EvalSymlinks(found); err == nil {
			dirs = append(dirs, filepath.Dir(target))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
	} {
		found, _ := filepath.Glob(pattern) // fails on a bad pattern only
		slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
		dirs = append(dirs, found...)
	}
	for _, dir := range dirs {
		bin := binaries{filepath.Join(dir, "initdb"), filepath.Join(dir, "postgres"), filepath.Join(dir, "pg_isready")}
		if executable(bin.initdb) && executable(bin.postgres) && executable(bin.isready) {
			return bin, nil
		}
	}
	return binaries{}, errors.New("no PostgreSQL server programs found (initdb, postgres):" +
		" install them (Debian: apt-get install postgresql) or set " + envURL + " to a server")
}

// version is the number in a path such as /usr/lib/postgresql/15/bin, or 0.
func version(path string) int {
	dir := filepath.Base(filepath.Dir(path))
	digits := dir[len(dir)-len(trailingDigits(dir)):]
	n, _ := strconv.Atoi(digits) // no digits: 0
	return n
}

func trailingDigits(s string) string {
	i := len(s)
	for i > 0 && s[i-1] >= '0' && s[i-1] <= '9' {
		i--
	}
	return s[i:]
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
