//go:build unix

package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
)

// pipeVariable makes this test binary run a load in the folder that it names,
// so that nobody reads what it prints.
const pipeVariable = "ETL_TEST_PIPE"

func TestLoadsUnread(t *testing.T) {
	t.Parallel()
	dir := os.Getenv(pipeVariable)
	if dir == "" {
		t.Skip("is run by TestAReaderThatGoesAway")
	}
	os.Exit(execute(context.Background(), invocation{
		args:  []string{"--dir", dir, "run", "customers"},
		stdin: strings.NewReader(""), stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv,
	}))
}

// TestAReaderThatGoesAway has a load whose output is a pipe that nobody reads
// any more, as "head" leaves it.
func TestAReaderThatGoesAway(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(5)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	defer write.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLoadsUnread$")
	cmd.Env = append(os.Environ(), pipeVariable+"="+b.dir)
	for name, value := range b.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Run(); err != nil {
		t.Errorf("the load ended with %v", err)
	}
	b.etl("show", "1").exits(t, exitDone).says(t, "Run 1 of customers: all loaded")
}
