package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// serveVariable makes this test binary serve the project in the folder that it names, so that it can be
// killed.
const serveVariable = "ETL_TEST_SERVE"

func TestServes(t *testing.T) {
	t.Parallel()
	dir := os.Getenv(serveVariable)
	if dir == "" {
		t.Skip("is run by TestServeTakesOver")
	}
	code := execute(context.Background(), invocation{
		args:  []string{"--dir", dir, "serve", "--listen", "off", "--log-level", "debug"},
		stdin: strings.NewReader(""), stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv,
	})
	t.Fatalf("ended with %d, which it should not have", code)
}

// servingProcess starts a process that serves the project, waits until its log holds a text, and returns
// what kills it.
func (b *bench) servingProcess(text string) (kill func()) {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), os.Args[0], "-test.run=^TestServes$", "-test.v")
	cmd.Env = append(os.Environ(), serveVariable+"="+b.dir)
	for name, value := range b.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out := &stream{text: text, seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-out.seen:
	case err := <-ended:
		b.t.Fatalf("the server ended by itself: %v\n%s", err, out)
	}
	return func() {
		b.t.Helper()
		if err := cmd.Process.Kill(); err != nil {
			b.t.Fatal(err)
		}
		if err := <-ended; err == nil {
			b.t.Error("the server ended well, though it was killed")
		}
	}
}
