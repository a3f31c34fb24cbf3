package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// watchEvery is how often a process's memory is looked at.
const watchEvery = 50 * time.Millisecond

// usage is what a process took from its start to its end.
type usage struct {
	wall, cpu time.Duration // cpu: user and system
	// peak is the most memory it was resident with, in bytes, and memory how that
	// went. Linux only; 0 and nil elsewhere. It is read from /proc as the process
	// goes: what wait4 tells of a child begins with the memory of its parent.
	peak   int64
	memory []sample
	begun  time.Time
	stdout []byte
}

// sample is a process's resident memory at a time.
type sample struct {
	at    time.Duration // since its start
	bytes int64
}

// exec runs a program to its end. Exit codes other than 0 and those of okay are
// errors with what it wrote to stderr.
func (s *stage) exec(ctx context.Context, okay []int, env []string, name string, args ...string) (usage, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endTime
	cmd.Env, cmd.Dir = append(os.Environ(), env...), s.dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	u := usage{begun: time.Now()}
	if err := cmd.Start(); err != nil {
		return u, err
	}
	watched := make(chan usage)
	stop := make(chan struct{})
	go func() { watched <- watch(cmd.Process.Pid, stop) }()
	err := cmd.Wait()
	u.wall = time.Since(u.begun)
	close(stop)
	w := <-watched
	u.peak, u.memory = w.peak, w.memory
	u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	u.stdout = stdout.Bytes()
	if ctx.Err() != nil {
		return u, context.Cause(ctx) // it ended because it was told to
	}
	if err != nil && !slices.Contains(okay, cmd.ProcessState.ExitCode()) {
		return u, fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, stderr.Bytes(), u.stdout)
	}
	return u, nil
}

// watch follows a process's memory until stop.
func watch(pid int, stop <-chan struct{}) usage {
	var u usage
	begin := time.Now()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		peak, now, err := memoryOf(pid)
		if err == nil {
			u.peak = max(u.peak, peak)
			u.memory = append(u.memory, sample{time.Since(begin), now})
		}
		select {
		case <-ticker.C:
		case <-stop:
			return u
		}
	}
}

var errNoMemory = errors.New("the process has no memory any more")

// memoryOf is the most that a process was ever resident with, and what it is now.
func memoryOf(pid int) (peak, now int64, err error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "VmHWM":
			peak = kilobytes(value)
		case "VmRSS":
			now = kilobytes(value)
		}
	}
	if peak == 0 {
		return 0, 0, errNoMemory
	}
	return peak, now, nil
}

func kilobytes(text string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
	return n << 10
}

// processorTimeOf is what a process has used so far, user and system. Linux only;
// 0 elsewhere.
func processorTimeOf(pid int) time.Duration {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The second field is a name in parentheses and may hold blanks.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / clockTicks
}

// clockTicks a second is what Linux tells times in, on every machine it runs on.
const clockTicks = 100
