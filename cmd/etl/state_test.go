package main

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/emulator"
	"bulkhead/internal/pgtest"
)

// TestStateThatStaysAway: a run waits for its state database as long as etl.yaml says, and is resumed.
func TestStateThatStaysAway(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(20)
	b.write("etl.yaml", "state: { wait: 1s }\n")
	b.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick})
	config, err := pgx.ParseConfig(b.dsn)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := pgtest.Empty(t)
	connections := func(allowed string) {
		pgtest.Exec(t, elsewhere, "ALTER DATABASE "+pgx.Identifier{config.Database}.Sanitize()+" ALLOW_CONNECTIONS "+allowed)
		pgtest.Exec(t, elsewhere, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+config.Database+"'")
	}
	run, submitted := b.until(t.Context(), `"to": "submitted"`, "", "run", "customers", "--log-level", "debug")
	<-submitted
	connections("false")
	b.org.RemoveFault("")
	b.org.Release()
	run().exits(t, exitIncomplete).says(t, "the state database is away; the run waits for it", `"at_most": "1s"`, "waited ", "for the state database")
	connections("true")
	b.etl("resume").exits(t, exitDone).says(t, "20 of 20 rows loaded")
	if n := b.count("SELECT count() FROM Account"); n != 20 {
		t.Errorf("the org has %d accounts", n)
	}
}
