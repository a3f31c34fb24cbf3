// Package project is the folder that a user works in: etl.yaml with its
// sources and orgs, the .env file beside it, and the environment, which wins.
// It must never print a value, for any of them may be a secret: messages name
// the file, the line, the key and the variable.
package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bulkhead/internal/nearest"
	"bulkhead/internal/yamlfile"
)

// The files and the variables that a project is made of.
const (
	File        = "etl.yaml"
	EnvFile     = ".env"
	DatabaseURL = "ETL_DATABASE_URL"
	SpoolDirVar = "ETL_SPOOL_DIR"
)

// DefaultSpoolMaxBytes is how much the spool may hold where etl.yaml does not
// say otherwise: 20 GB.
const DefaultSpoolMaxBytes = 20_000_000_000

// DefaultStateWait is how long a run waits for a state database that is away
// where etl.yaml does not say otherwise: a restart takes seconds, a failover a
// minute or two.
const DefaultStateWait = 5 * time.Minute

// Project is a folder with its settings. It is safe for concurrent use.
type Project struct {
	Dir  string // absolute: where etl.yaml lies; the folder asked for where there is none
	File string // the path of etl.yaml, empty where there is none

	lookup        func(string) (string, bool)
	sources       group
	orgs          group
	spoolDir      string
	spoolMaxBytes int64
	limits        Limits
	stateWait     time.Duration
}

// Load finds etl.yaml in dir or in the nearest of the folders above it, and
// reads the .env file beside it; a project may have neither. env looks up a
// variable of the environment, as os.LookupEnv does. Mistakes in etl.yaml give
// a *yamlfile.Error with all of them. Variables are looked up when a source or
// an org is asked for, so that one of them can be used before the others are
// set up.
func Load(dir string, env func(string) (string, bool)) (*Project, error) {
	dir, file, err := find(dir)
	if err != nil {
		return nil, err
	}
	dotenv, err := readEnv(filepath.Join(dir, EnvFile))
	if err != nil {
		return nil, err
	}
	p := &Project{Dir: dir, File: file, spoolMaxBytes: DefaultSpoolMaxBytes, limits: defaultLimits(), stateWait: DefaultStateWait}
	p.lookup = func(name string) (string, bool) {
		if value, ok := env(name); ok {
			return value, true
		}
		value, ok := dotenv[name]
		return value, ok
	}
	if err := p.read(); err != nil {
		return nil, err
	}
	return p, nil
}

// find returns the folder of the project and its etl.yaml, if there is one.
func find(dir string) (project, file string, err error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return "", "", fmt.Errorf("find the project: %w", err)
	}
	for at := start; ; at = filepath.Dir(at) {
		candidate := filepath.Join(at, File)
		switch info, err := os.Stat(candidate); {
		case err == nil && !info.IsDir():
			return at, candidate, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
			return "", "", fmt.Errorf("find the project: %w", err)
		}
		if at == filepath.Dir(at) {
			return start, "", nil
		}
	}
}

// Getenv looks up a variable in the environment, then in the .env file. A
// variable that is set but empty counts as not set.
func (p *Project) Getenv(name string) string {
	value, _ := p.lookup(name)
	return value
}

// Source returns the connection string of a source of etl.yaml; for the empty
// name, ETL_DATABASE_URL.
func (p *Project) Source(name string) (dsn string, err error) {
	if name == "" {
		return p.StateDSN()
	}
	values, err := p.values("source", name, p.sources)
	if err != nil {
		return "", err
	}
	return values["url"], nil
}

// StateDSN returns the connection string of the database that keeps the state
// of runs: ETL_DATABASE_URL.
func (p *Project) StateDSN() (string, error) {
	if dsn := p.Getenv(DatabaseURL); dsn != "" {
		return dsn, nil
	}
	return "", fmt.Errorf("%s is not set: set it in the environment or in %s, such as postgres://user@localhost:5432/database", DatabaseURL, filepath.Join(p.Dir, EnvFile))
}

// Sources returns the names of the sources of etl.yaml, in file order.
func (p *Project) Sources() []string { return p.sources.names() }

// Orgs returns the names of the orgs of etl.yaml, in file order.
func (p *Project) Orgs() []string { return p.orgs.names() }

// SpoolDir is where chunks wait to be uploaded: ETL_SPOOL_DIR, or spool.dir of
// etl.yaml, or etl/spool in the user's cache folder.
func (p *Project) SpoolDir() string {
	if dir := p.Getenv(SpoolDirVar); dir != "" {
		return p.absolute(dir)
	}
	if p.spoolDir != "" {
		return p.absolute(p.spoolDir)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		// A service without a home has no cache folder. The project's own folder
		// will be the same again after a restart, unlike a temporary one.
		return filepath.Join(p.Dir, ".etl", "spool")
	}
	return filepath.Join(cache, "etl", "spool")
}

// SpoolMaxBytes is how much the spool may hold.
func (p *Project) SpoolMaxBytes() int64 { return p.spoolMaxBytes }

// StateWait is how long a run waits for a state database that is away.
func (p *Project) StateWait() time.Duration { return p.stateWait }

// absolute resolves a path of the settings, which is relative to the project.
func (p *Project) absolute(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.Dir, path)
}

// values looks up everything that a source or an org of etl.yaml says.
func (p *Project) values(kind, name string, in group) (map[string]string, error) {
	settings, ok := in.find(name)
	if !ok {
		return nil, p.unknown(kind, name, in.names())
	}
	values := map[string]string{}
	var problems []yamlfile.Problem
	for _, s := range settings {
		value, err := p.resolve(s)
		if err != nil {
			problems = append(problems, yamlfile.Problem{File: p.File, Line: s.at.Line, Column: s.at.Column, Path: s.path, Message: err.Error()})
			continue
		}
		values[s.key] = value
	}
	if len(problems) > 0 {
		return nil, &yamlfile.Error{Problems: problems}
	}
	return values, nil
}

// unknown says what there is instead of a name.
func (p *Project) unknown(kind, name string, names []string) error {
	if p.File == "" {
		return fmt.Errorf("%s %q: there is no %s in %s or above it; make one with %ss: %s", kind, name, File, p.Dir, kind, name)
	}
	if near, ok := nearest.Name(name, names); ok {
		return fmt.Errorf("%s %q: not in %s; did you mean %q?", kind, name, p.File, near)
	}
	if len(names) == 0 {
		return fmt.Errorf("%s %q: %s has no %ss; add it there", kind, name, p.File, kind)
	}
	return fmt.Errorf("%s %q: not in %s, which has %s", kind, name, p.File, strings.Join(names, ", "))
}

// group is the sources, or the orgs, of etl.yaml in file order.
type group []member

// member is one source or org.
type member struct {
	name     string
	settings []setting
}

func (g group) names() []string {
	names := make([]string, len(g))
	for i, m := range g {
		names[i] = m.name
	}
	return names
}

func (g group) find(name string) ([]setting, bool) {
	i := slices.IndexFunc(g, func(m member) bool { return m.name == name })
	if i < 0 {
		return nil, false
	}
	return g[i].settings, true
}
