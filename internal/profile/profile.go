// Package profile writes down what the process does: profiles of the Go runtime (CPU, heap, what goroutines
// block on and which locks are fought for) and a trace of stages and requests that chrome://tracing and
// ui.perfetto.dev show.
//
// A process has one profile at a time, because the runtime's are the process's. The package must never
// write what a record or a secret holds, and costs nothing unless it is started.
package profile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"time"
)

// The files of a profile.
const (
	CPUFile   = "cpu.pprof"
	HeapFile  = "heap.pprof"
	BlockFile = "block.pprof"
	MutexFile = "mutex.pprof"
	TraceFile = "trace.json"
)

// How much of what happens is looked at: enough to see what matters, little enough not to be seen itself.
const (
	blockRate     = int(10 * time.Microsecond) // on average one event for so much time spent blocked, in ns
	mutexFraction = 100                        // one of so many contentions
)

// Profile is being written. Stop makes it complete.
type Profile struct {
	began               time.Time
	files               map[string]*os.File
	trace               *trace
	formerMutexFraction int
}

// Start makes the folder if it is not there, opens all files, overwriting those of a profile before, and
// begins to measure.
func Start(dir string) (*Profile, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder for profiles: %w", err)
	}
	p := &Profile{began: time.Now(), files: map[string]*os.File{}}
	for _, name := range []string{CPUFile, HeapFile, BlockFile, MutexFile, TraceFile} {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open a profile: %w", err), p.closeFiles())
		}
		p.files[name] = file
	}
	if err := pprof.StartCPUProfile(p.files[CPUFile]); err != nil {
		return nil, errors.Join(fmt.Errorf("profile the CPU: %w", err), p.closeFiles())
	}
	runtime.SetBlockProfileRate(blockRate)
	p.formerMutexFraction = runtime.SetMutexProfileFraction(mutexFraction)
	p.trace = newTrace(p.files[TraceFile])
	return p, nil
}

func (p *Profile) closeFiles() error {
	var errs []error
	for _, file := range p.files {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// Stop ends the measuring and completes all files, whatever becomes of one of them. tracks are the stages
// that the trace is to show beside the requests.
func (p *Profile) Stop(tracks []Track) error {
	pprof.StopCPUProfile()
	runtime.GC() // the heap profile is as of the last collection
	var errs []error
	for name, file := range map[string]string{"heap": HeapFile, "block": BlockFile, "mutex": MutexFile} {
		errs = append(errs, pprof.Lookup(name).WriteTo(p.files[file], 0))
	}
	runtime.SetBlockProfileRate(0)
	runtime.SetMutexProfileFraction(p.formerMutexFraction)
	for i, track := range tracks {
		p.trace.track(i+1, track, p.began)
	}
	errs = append(errs, p.trace.end(), p.closeFiles())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write the profiles: %w", err)
	}
	return nil
}
