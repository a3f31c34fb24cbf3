package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/project"
	"bulkhead/internal/yamlfile"
)

// doctorPatience bounds each check, so that a host that never answers is a
// finding and not a wait.
const doctorPatience = 20 * time.Second

func newDoctorCmd(a *app) *cobra.Command {
	var withJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything that etl needs, and say how to mend it",
		Long: `Check everything that etl needs, in the order in which it needs it: the files, the
database and what its user may do, the spool, the login, the API, and the objects
of the pipelines. Nothing is changed.

Exit codes: 0 all is well; 1 something has to be mended.`,
		Example: `  etl doctor
  etl doctor --json`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), a, withJSON) },
	}
	addJSON(cmd, &withJSON)
	return cmd
}

// finding is the outcome of one check.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warning, failed or skipped
	Detail string `json:"detail"`
	Mend   string `json:"mend,omitempty"` // what to do about it
}

// doctor collects findings. A check that needs what an earlier one could not
// provide is skipped.
type doctor struct {
	app       *app
	project   *project.Project
	pipelines []*pipeline.Pipeline
	findings  []finding
}

func runDoctor(ctx context.Context, a *app, withJSON bool) error {
	d := &doctor{app: a}
	d.checkProject()
	d.checkPipelines()
	d.checkDatabase(ctx)
	d.checkSources(ctx)
	d.checkSpool()
	d.checkOrgs(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	healthy := true
	for _, f := range d.findings {
		healthy = healthy && f.Status != "failed" && f.Status != "skipped"
	}
	if withJSON {
		view := struct {
			Healthy bool      `json:"healthy"`
			Checks  []finding `json:"checks"`
		}{healthy, d.findings}
		if err := a.printJSON(view); err != nil {
			return err
		}
	} else {
		d.print(healthy)
	}
	if !healthy {
		return &doneError{exitIncomplete}
	}
	return nil
}

func (d *doctor) print(healthy bool) {
	a := d.app
	paint := a.paint(a.stdout)
	marks := map[string]string{"ok": paint.Good("✓"), "warning": paint.Warn("!"), "failed": paint.Bad("✗"), "skipped": "-"}
	for _, f := range d.findings {
		a.printf("%s %-18s %s\n", marks[f.Status], f.Check, f.Detail)
		if f.Mend != "" {
			a.printf("  %-18s → %s\n", "", f.Mend)
		}
	}
	if healthy {
		a.printf("\nAll is well.\n")
		return
	}
	a.printf("\nMend what is marked ✗, from the top.\n")
}

func (d *doctor) ok(check, format string, args ...any) {
	d.findings = append(d.findings, finding{Check: check, Status: "ok", Detail: fmt.Sprintf(format, args...)})
}

func (d *doctor) warn(check, detail, mend string) {
	d.findings = append(d.findings, finding{Check: check, Status: "warning", Detail: detail, Mend: mend})
}

func (d *doctor) fail(check, mend string, err error) {
	d.findings = append(d.findings, finding{Check: check, Status: "failed", Detail: err.Error(), Mend: mend})
}

func (d *doctor) skip(check, why string) {
	d.findings = append(d.findings, finding{Check: check, Status: "skipped", Detail: "not looked at: " + why})
}

func (d *doctor) checkProject() {
	p, err := project.Load(d.app.dir, d.app.env)
	if err != nil {
		d.fail("project", "correct the file at this place", err)
		return
	}
	d.project = p
	if p.File == "" {
		d.warn("project", fmt.Sprintf("no %s in %s or above it; pipelines can use the variables only", project.File, p.Dir), "\"etl init\" writes one")
		return
	}
	d.ok("project", "%s: %s, %s", p.File, console.Plural(int64(len(p.Sources())), "source"), console.Plural(int64(len(p.Orgs())), "org"))
}

func (d *doctor) checkPipelines() {
	if d.project == nil {
		d.skip("pipelines", "the project cannot be read")
		return
	}
	files, err := pipeline.List(pipelineFolder(d.project))
	if err != nil {
		d.fail("pipelines", "", err)
		return
	}
	wrong := 0
	for _, file := range files {
		p, err := pipeline.Load(file)
		if err != nil {
			wrong++
			d.fail("pipelines", pipelineMend(err), err)
			continue
		}
		d.pipelines = append(d.pipelines, p)
	}
	switch {
	case len(files) == 0:
		d.warn("pipelines", "none in "+pipelineFolder(d.project), "\"etl init\" writes one to start from")
	case wrong == 0:
		d.ok("pipelines", "%s without a mistake", console.Plural(int64(len(files)), "file"))
	}
}

func pipelineMend(err error) string {
	var mistakes *yamlfile.Error
	if errors.As(err, &mistakes) {
		return "correct the file at these places; \"etl validate\" checks it again"
	}
	return ""
}
