package main

import (
	"context"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/state"
)

func TestTimelineOfARun(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(30)
	b.write("pipelines/customers.yaml", customersYAML+"    chunk: {rows: 10, parallel: 2}\n")
	b.etl("run", "customers").exits(t, exitDone)
	b.etl("show", "1", "--timeline").exits(t, exitDone).says(t, "Run 1 of customers: all loaded, 3 chunks", "waited", "P process",
		"Salesforce (processing)", "network (upload/results)", "Postgres", "spool/workers (parallel)", "state database", "The run waited most for ")

	view := decode[timelineView](t, b.etl("show", "1", "--timeline", "--json").exits(t, exitDone))
	percent := 0
	for _, w := range view.Waited {
		percent += w.Percent
	}
	if percent != 100 || len(view.Chunks) != 3 || view.Verdict == "" || view.Seconds <= 0 || view.Driven {
		t.Errorf("the timeline says %+v", view)
	}
	var names []string
	for _, s := range view.Chunks[0].Stages {
		names = append(names, string(s.Stage))
	}
	way := strings.Join(names, " ")
	for _, stage := range []state.Stage{state.StageRead, state.StageCreate, state.StageUpload, state.StageClose, state.StageProcess, state.StageResults, state.StageState} {
		if !strings.Contains(way, string(stage)) {
			t.Errorf("no %s in %s", stage, way)
		}
	}
	shown := decode[struct{ Chunks []state.Chunk }](t, b.etl("show", "1", "--json").exits(t, exitDone))
	if trail := shown.Chunks[0].Trail; len(trail) == 0 || trail[0].Stage != state.StageRead || trail[len(trail)-1].Stage != state.StageDone {
		t.Errorf("show --json has the stages %+v", trail)
	}
}

func TestTimelineAsPicture(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(5)
	b.etl("run", "customers").exits(t, exitDone)
	path := filepath.Join(b.dir, "run.svg")
	b.etl("show", "1", "--svg", path).exits(t, exitDone).says(t, "The timeline is in "+path)
	text, err := os.ReadFile(path)
	if err != nil || xml.Unmarshal(text, new(struct{ XMLName xml.Name })) != nil || !strings.Contains(string(text), "Run 1 of customers") {
		t.Errorf("the picture is %s, %v", text, err)
	}
	b.etl("show", "1", "--svg", path).exits(t, exitUsage).says(t, "exists already; --force overwrites it")
	b.etl("show", "1", "--svg", path, "--force", "--json").exits(t, exitDone).says(t, `"verdict"`)
	b.etl("show", "1", "--svg", filepath.Join(b.dir, "none", "run.svg")).exits(t, exitUsage).says(t, "--svg: ", "no such file or directory")
	b.etl("show", "1", "--svg", "").exits(t, exitUsage).says(t, "--svg", "want a name, got nothing")
	b.etl("show", "1", "--force").exits(t, exitUsage).says(t, "--force is for the file of --svg")
	b.etl("show", "1", "--step", "acounts", "--timeline").exits(t, exitUsage).says(t, `run 1 has no step "acounts"`, `It has "accounts".`)
}

// TestTimelineOfAnOpenRun looks at a run that goes on, and at the same one interrupted and resumed.
func TestTimelineOfAnOpenRun(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(20)
	b.fault(emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick})
	ctx, cancel := context.WithCancelCause(t.Context())
	first, submitted := b.until(ctx, `"to": "submitted"`, "", "run", "customers", "--log-level", "debug")
	<-submitted
	view := decode[timelineView](t, b.etl("show", "1", "--timeline", "--json").exits(t, exitDone))
	if !view.Driven || len(view.Chunks) != 1 {
		t.Errorf("the run goes on, and its timeline says %+v", view)
	}
	b.etl("show", "1", "--timeline").exits(t, exitDone).says(t, "running, 1 chunk", "The run has waited most for")
	cancel(errors.New("stopped by the test"))
	first().exits(t, exitInterrupted)
	b.etl("show", "1", "--timeline").exits(t, exitDone).says(t, "interrupted, 1 chunk")
	b.org.RemoveFault("")
	b.org.Release()
	b.etl("resume").exits(t, exitDone)
	b.etl("show", "1", "--timeline").exits(t, exitDone).says(t, "all loaded, 1 chunk", "nobody drove the run for")
}

func TestTimelineOfChunksFromBeforeStagesWereKept(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Config{})
	b.customers(5)
	b.etl("run", "customers").exits(t, exitDone)
	b.sql(`UPDATE etl.chunks SET stages = '{}', stages_at = '{}'`)
	b.etl("show", "1", "--timeline").exits(t, exitDone).says(t, "before stages were kept")
}
