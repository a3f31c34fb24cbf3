package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/nearest"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/run"
	"bulkhead/internal/salesforce"
)

// checkOrgs looks at each org that a pipeline loads into, or at that of the
// variables where there is none.
func (d *doctor) checkOrgs(ctx context.Context) {
	if d.project == nil {
		d.skip("login", "the project cannot be read")
		return
	}
	var names []string
	for _, p := range d.pipelines {
		if !slices.Contains(names, p.Org) {
			names = append(names, p.Org)
		}
	}
	if len(names) == 0 {
		names = []string{""}
	}
	for _, name := range names {
		d.checkOrg(ctx, name)
	}
}

func (d *doctor) checkOrg(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	label := func(check string) string { return strings.TrimSpace(check + " " + name) }
	config, err := d.project.Org(name)
	if err != nil {
		d.fail(label("login"), "set it in .env, the environment or etl.yaml", err)
		d.skip(label("api"), "there is no login")
		return
	}
	org, err := salesforce.Open(ctx, config)
	if err != nil {
		d.fail(label("login"), loginMend(err), err)
		d.skip(label("api"), "there is no login")
		return
	}
	d.ok(label("login"), "%s, org %s, user %s", org.InstanceURL(), orDash(org.OrgID()), orDash(org.UserID()))
	d.checkVersion(ctx, label("api"), org)
	d.checkLimits(ctx, label("limits"), org)
	for _, p := range d.pipelines {
		if p.Org == name {
			d.checkObjects(ctx, org, p)
		}
	}
}

// loginMend is what to do where the org's words say nothing about it.
func loginMend(err error) string {
	var refused *salesforce.LoginError
	if errors.As(err, &refused) && refused.StatusCode == 0 {
		return "login_url is SALESFORCE_LOGIN_URL, or stands in etl.yaml; for a try, start \"etl emulator\""
	}
	return ""
}

func (d *doctor) checkVersion(ctx context.Context, check string, org *salesforce.Org) {
	versions, err := org.Versions(ctx)
	if err != nil {
		d.fail(check, "", err)
		return
	}
	for _, v := range versions {
		if v.Version == org.APIVersion() {
			d.ok(check, "version %s (%s)", v.Version, v.Label)
			return
		}
	}
	newest := ""
	if len(versions) > 0 {
		newest = versions[len(versions)-1].Version
	}
	d.fail(check, "set SALESFORCE_API_VERSION (or api_version in etl.yaml) to "+newest, fmt.Errorf("the org does not speak version %s; its newest is %s", org.APIVersion(), newest))
}

// checkLimits looks at what the org has left; that the limits of the Bulk API
// are among them shows that it is there.
func (d *doctor) checkLimits(ctx context.Context, check string, org *salesforce.Org) {
	limits, err := org.Limits(ctx)
	if err != nil {
		d.fail(check, "give the user the permissions \"API Enabled\" and \"View Setup and Configuration\"", err)
		return
	}
	batches, ok := limits[run.LimitBatches]
	if !ok {
		d.fail(check, "use an edition with the Bulk API: Enterprise, Performance, Unlimited or Developer", fmt.Errorf("the org tells no limit %s", run.LimitBatches))
		return
	}
	calls := limits[run.LimitCalls]
	detail := fmt.Sprintf("%s of %s batches and %s of %s API calls left today",
		console.Count(batches.Remaining), console.Count(batches.Max), console.Count(calls.Remaining), console.Count(calls.Max))
	if batches.Remaining*10 < batches.Max || calls.Remaining*10 < calls.Max {
		d.warn(check, detail, "wait: the allowance comes back over 24 hours")
		return
	}
	d.ok(check, "%s", detail)
}

// checkObjects looks whether our user can do with the objects of a pipeline what
// its steps do.
func (d *doctor) checkObjects(ctx context.Context, org *salesforce.Org, p *pipeline.Pipeline) {
	check := "objects of " + p.Name
	good := 0
	for _, step := range p.Steps {
		object, err := org.Describe(ctx, step.Object)
		if err != nil {
			d.fail(check, suggestObject(ctx, org, step.Object, err), err)
			continue
		}
		if missing := missingRight(object, step.Operation); missing != "" {
			d.fail(check, fmt.Sprintf("give the user the object permission %q on %s, by a permission set", missing, object.Name),
				fmt.Errorf("step %q: the user may not %s %s", step.Name, step.Operation, object.Name))
			continue
		}
		good++
	}
	if good == len(p.Steps) {
		d.ok(check, "%s, all of which the user may load", console.Plural(int64(good), "object"))
	}
}

func suggestObject(ctx context.Context, org *salesforce.Org, name string, err error) string {
	var unknown *salesforce.NotFoundError
	if !errors.As(err, &unknown) {
		return ""
	}
	objects, err := org.Objects(ctx)
	if err != nil {
		return ""
	}
	var names []string
	for _, o := range objects {
		names = append(names, o.Name)
	}
	if best, ok := nearest.Name(name, names); ok {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "check the name, and that the user may see the object"
}

// missingRight is the object permission that an operation lacks; empty when none.
func missingRight(o *salesforce.Object, operation pipeline.Operation) string {
	switch {
	case operation.Creates() && !o.Createable:
		return "Create"
	case (operation == pipeline.Update || operation == pipeline.Upsert) && !o.Updateable:
		return "Edit"
	case operation.Deletes() && !o.Deletable:
		return "Delete"
	}
	return ""
}
