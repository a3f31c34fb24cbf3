// Package demo is the stage of `etl demo`: a throwaway Postgres with believable
// customers and their people, some of them wrong in the ways that real rows are
// wrong, an emulated org, and a project folder that points at both.
//
// What must become of every record is known beforehand, and [Stage.Audit] holds
// it against what did. The package must never touch a database or an org that it
// did not start. Nothing of the stage outlives the process, not even a killed one.
package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"bulkhead/internal/emulator"
	"bulkhead/internal/pgtest"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/project"
	"bulkhead/pipelines"
)

// What a Config that leaves them zero gets.
const (
	DefaultCustomers = 50_000
	DefaultContacts  = 120_000
	DefaultSeed      = 1
)

// Pipeline is the name of the pipeline that the project has.
const Pipeline = "customers"

// database is the name of the source, which holds the state of runs too.
const database = "crm"

// batchParallel is how many batches the org works on at once: few, as a busy
// org does, so that there is something to see.
const batchParallel = 2

// Config says what a stage is filled with.
type Config struct {
	Customers, Contacts int    // rows; DefaultCustomers, DefaultContacts
	Seed                uint64 // of names and the like, never of the mistakes; DefaultSeed
	// BatchLatency is how long the org takes for a batch of 10,000 records,
	// unless the work on them takes longer. Default none.
	BatchLatency time.Duration
}

func (c Config) withDefaults() Config {
	if c.Customers == 0 {
		c.Customers = DefaultCustomers
	}
	if c.Contacts == 0 {
		c.Contacts = DefaultContacts
	}
	if c.Seed == 0 {
		c.Seed = DefaultSeed
	}
	return c
}

// validate refuses what no stage can be filled with.
func (c Config) validate() error {
	switch {
	case c.Customers < 0:
		return fmt.Errorf("customers: want 1 or more, got %d", c.Customers)
	case c.Contacts < 0:
		return fmt.Errorf("contacts: want 1 or more, got %d", c.Contacts)
	}
	return nil
}

// Stage is a running Postgres, a running org, and a project folder.
type Stage struct {
	// Dir is the project: a pipeline, and a .env file with Variables.
	Dir string

	cfg      Config
	folder   *folder
	postgres *pgtest.Server
	org      *emulator.Server
	dsn      string
}

// Variable is a variable of the environment.
type Variable struct{ Name, Value string }

// Open starts an empty Postgres and an empty org. Fill comes next. The caller
// closes the stage.
func Open(ctx context.Context, cfg Config) (*Stage, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Stage{cfg: cfg}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stage) open(ctx context.Context) error {
	var err error
	if s.postgres, err = pgtest.Start(ctx); err != nil {
		return err
	}
	if s.dsn, err = s.postgres.CreateDatabase(ctx, database); err != nil {
		return err
	}
	if s.folder, err = makeFolder(); err != nil {
		return err
	}
	s.Dir = s.folder.path
	// The org outlives ctx: a run that is interrupted still settles with it.
	s.org, err = emulator.Start(context.WithoutCancel(ctx), emulator.Config{
		DataDir: filepath.Join(s.Dir, "org"), BatchLatency: s.cfg.BatchLatency, BatchParallel: batchParallel,
		Faults: s.cfg.faults(), Seed: int64(s.cfg.Seed),
	})
	if err != nil {
		return err
	}
	return s.writeProject()
}

// faults are what goes wrong in the org, as it does in busy ones: records that
// somebody else has locked, and a connection that is lost while a chunk is
// uploaded.
func (c Config) faults() []emulator.Fault {
	faults := []emulator.Fault{{On: emulator.OnRequest, Do: emulator.DoCutAfter, Method: "PUT", Path: "/batches", Skip: 1, Times: 1}}
	for n := range c.Contacts {
		if c.contended(n) {
			// A fault of its own, so that each record is refused once.
			key := strconv.FormatInt(personID(n), 10)
			faults = append(faults, emulator.Fault{On: emulator.OnRow, Object: "Contact", Field: "Legacy_Id__c", Keys: []string{key}, Times: 1})
		}
	}
	return faults
}

// Contended is how many records are locked by somebody else when they are
// loaded for the first time, which a run is to get over by itself.
func (s *Stage) Contended() int64 {
	total := int64(0)
	for n := range s.cfg.Contacts {
		if s.cfg.contended(n) {
			total++
		}
	}
	return total
}

// writeProject makes the folder one that the commands work in.
func (s *Stage) writeProject() error {
	folder := filepath.Join(s.Dir, pipeline.Folder)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("make the project: %w", err)
	}
	var env strings.Builder
	for _, v := range s.Variables() {
		fmt.Fprintf(&env, "%s='%s'\n", v.Name, v.Value)
	}
	// Without an etl.yaml, one in a folder above would make that the project.
	const settings = "# All that this project needs is in .env.\n"
	return errors.Join(
		os.WriteFile(filepath.Join(s.Dir, project.File), []byte(settings), 0o600),
		os.WriteFile(filepath.Join(folder, Pipeline+".yaml"), []byte(pipelines.Customers()), 0o600),
		os.WriteFile(filepath.Join(s.Dir, project.EnvFile), []byte(env.String()), 0o600),
	)
}

// Variables are the settings with which etl works on the stage.
func (s *Stage) Variables() []Variable {
	return []Variable{
		{project.DatabaseURL, s.dsn},
		{project.SpoolDirVar, filepath.Join(s.Dir, "spool")},
		{"SALESFORCE_LOGIN_URL", s.org.URL()},
		{"SALESFORCE_CLIENT_ID", emulator.DefaultClientID},
		{"SALESFORCE_CLIENT_SECRET", emulator.DefaultClientSecret},
	}
}

// Env looks up a variable as it is on the stage: one of Variables, or else what
// env says, but for other settings of etl, which are about somebody's real
// database and org.
func (s *Stage) Env(env func(string) (string, bool)) func(string) (string, bool) {
	ours := map[string]string{}
	for _, v := range s.Variables() {
		ours[v.Name] = v.Value
	}
	return func(name string) (string, bool) {
		if value, ok := ours[name]; ok {
			return value, true
		}
		if strings.HasPrefix(name, "ETL_") || strings.HasPrefix(name, "SALESFORCE_") {
			return "", false
		}
		return env(name)
	}
}

// Config is what the stage is filled with.
func (s *Stage) Config() Config { return s.cfg }

// DatabaseURL is where the source is, for etl and for psql.
func (s *Stage) DatabaseURL() string { return s.dsn }

// OrgURL is where the org is.
func (s *Stage) OrgURL() string { return s.org.URL() }

// Mistakes are the kinds of mistakes that the rows have, with their numbers.
func (s *Stage) Mistakes() []Mistake { return s.cfg.Mistakes() }

// Close stops the org and Postgres, and removes what there is of them on disk. It
// must be called once.
func (s *Stage) Close() error {
	var errs []error
	if s.org != nil {
		errs = append(errs, s.org.Close())
	}
	if s.postgres != nil {
		errs = append(errs, s.postgres.Stop())
	}
	if s.folder != nil {
		errs = append(errs, s.folder.remove())
	}
	return errors.Join(errs...)
}
