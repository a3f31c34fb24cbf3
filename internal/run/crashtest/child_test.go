package crashtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"bulkhead/internal/run"
)

// taskVar holds a task as JSON.
const taskVar = "ETL_CRASH_TASK"

// kill says where a process dies: at the hit-th time that it reaches the point.
type kill struct {
	Point string
	Hit   int
}

func (k kill) String() string { return fmt.Sprintf("%s #%d", k.Point, k.Hit) }

// task is what a child process does.
type task struct {
	Place    place
	Pipeline string
	Do       deed
	Kill     kill
}

// report is what a child that was not killed says at its end.
type report struct {
	Hits  map[string]int // of each point
	Error string         // what the deed returned
}

// childMain is a child process's whole life.
func childMain(text string) int {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx := context.Background()
	counter := &counter{hits: map[string]int{}, kill: t.Kill}
	var out report
	kit, err := t.Place.open(ctx, counter.reach)
	if err == nil {
		_, err = patiently(ctx, func() (*run.Summary, error) { return kit.do(ctx, t.Pipeline, t.Do) })
		kit.store.Close()
	}
	if err != nil {
		out.Error = err.Error()
	}
	out.Hits = counter.hits
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		return 2
	}
	return 0
}

// counter counts the points that are reached and kills its process at one of them.
type counter struct {
	mu   sync.Mutex
	hits map[string]int
	kill kill
}

func (c *counter) reach(point string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hits[point]++
	if point == c.kill.Point && c.hits[point] == c.kill.Hit {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way; nothing more happens here
	}
}

// spawn runs a task in a process of its own. It reports whether the process was killed, and if not,
// what it said. interrupt, which may be nil, is given the process once it runs.
func spawn(tb testing.TB, t task, interrupt func(*os.Process)) (killed bool, r report) {
	tb.Helper()
	text, err := json.Marshal(t)
	if err != nil {
		tb.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	command := exec.CommandContext(tb.Context(), self)
	command.Env = append(os.Environ(), taskVar+"="+string(text), "GORACE=atexit_sleep_ms=0")
	command.Stderr = os.Stderr
	out, err := output(command, interrupt)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return true, report{}
		}
	}
	if err != nil {
		tb.Fatalf("process to %s: %v", t.Do, err)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		tb.Fatalf("process to %s said %q: %v", t.Do, out, err)
	}
	return false, r
}

// output runs a command to its end and returns what it printed.
func output(command *exec.Cmd, started func(*os.Process)) ([]byte, error) {
	var out bytes.Buffer
	command.Stdout = &out
	if err := command.Start(); err != nil {
		return nil, err
	}
	if started != nil {
		started(command.Process)
	}
	err := command.Wait()
	return out.Bytes(), err
}
