package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/nearest"
	"bulkhead/internal/project"
	"bulkhead/internal/propose"
	"bulkhead/internal/salesforce"
)

type proposeOptions struct {
	tables            []string // table or table=object
	source, org, name string
}

// proposedTable is a table of the source with what is proposed for it.
type proposedTable struct {
	propose.Table
	Object  string `json:"object"`  // empty: none was found
	Matched int    `json:"matched"` // columns that a field was found for
	Note    string `json:"note"`    // why it was left out; empty where it was not
}

// propose looks at the source and the org and makes the text of a pipeline.
func (d *initialized) propose(ctx context.Context, a *app, opts initOptions) error {
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`).MatchString(opts.propose.name) {
		return usagef("--name: %q is no name: use up to 63 letters, digits, hyphens and underscores, beginning with a letter or a digit", opts.propose.name)
	}
	p, err := project.Load(opts.dir, a.env)
	if err != nil {
		return asUsage(err)
	}
	tables, err := sourceTables(ctx, p, opts.propose.source)
	if err != nil {
		return err
	}
	org, _, err := a.openOrg(ctx, p, opts.propose.org)
	if err != nil {
		return err
	}
	objects, err := org.Objects(ctx)
	if err != nil {
		return err
	}
	if d.Tables, err = chooseObjects(tables, objects, opts.propose.tables); err != nil {
		return err
	}
	steps, err := d.match(ctx, org)
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		return usagef("no table of the source has a primary key and an object of its name in the org; say which goes where, such as --table people=Contact\n%s", noted(d.Tables))
	}
	d.text, err = propose.Pipeline{Name: opts.propose.name, Source: opts.propose.source, Org: opts.propose.org, Steps: steps}.Text()
	return err
}

func sourceTables(ctx context.Context, p *project.Project, source string) ([]propose.Table, error) {
	dsn, err := p.Source(source)
	if err != nil {
		return nil, asUsage(err)
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, connectError(sourceSetting(source), dsn, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return propose.Tables(ctx, conn)
}

// chooseObjects finds an object for each table, or for those that were asked for.
func chooseObjects(tables []propose.Table, objects []salesforce.ObjectSummary, wanted []string) ([]proposedTable, error) {
	names := make([]string, len(objects))
	for i, o := range objects {
		names[i] = o.Name
	}
	chosen := make([]proposedTable, 0, len(tables))
	for _, t := range tables {
		chosen = append(chosen, proposedTable{Table: t, Object: propose.Object(t.Name, objects)})
	}
	asked := map[int]bool{}
	for _, w := range wanted {
		table, object, given := strings.Cut(w, "=")
		i := slices.IndexFunc(chosen, func(t proposedTable) bool { return t.Name == table || t.Schema+"."+t.Name == table })
		if i < 0 {
			return nil, unknownName("table", table, "the source", tableNames(tables))
		}
		asked[i] = true
		if !given {
			continue
		}
		at := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, object) })
		if at < 0 {
			return nil, unknownName("object", object, "the org", names)
		}
		chosen[i].Object = names[at]
	}
	for i := range chosen {
		chosen[i].judge(len(wanted) == 0 || asked[i])
	}
	return chosen, nil
}

// judge notes why a table is left out.
func (t *proposedTable) judge(asked bool) {
	switch {
	case !asked:
		t.Note = "not asked for"
	case t.Object == "":
		t.Note = fmt.Sprintf("no object of this name: --table %s=OBJECT says which", t.Name)
	case len(t.Key) == 0:
		t.Note = "no primary key: write the step by hand, with a key that is unique"
	}
}

// unknownName says what there is instead of a name of the command line.
func unknownName(kind, name, in string, names []string) error {
	e := &usageError{err: fmt.Errorf("--table: %s has no %s %q", in, kind, name)}
	if near, ok := nearest.Name(name, names); ok {
		e.hint = fmt.Sprintf("Did you mean %q?", near)
	}
	return e
}

func tableNames(tables []propose.Table) []string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.Name
	}
	return names
}

// match asks the org for the fields of the objects and matches them with the
// columns.
func (d *initialized) match(ctx context.Context, org *salesforce.Org) ([]*propose.Step, error) {
	described := map[string]*salesforce.Object{}
	var choices []propose.Choice
	for _, t := range d.Tables {
		if t.Note != "" {
			continue
		}
		if described[t.Object] == nil {
			object, err := org.Describe(ctx, t.Object)
			if err != nil {
				return nil, err
			}
			described[t.Object] = object
		}
		choices = append(choices, propose.Choice{Table: t.Table, Object: described[t.Object]})
	}
	steps := propose.Steps(choices)
	for i := range d.Tables {
		t := &d.Tables[i]
		at := slices.IndexFunc(steps, func(s *propose.Step) bool { return s.Table.Schema == t.Schema && s.Table.Name == t.Name })
		if at < 0 {
			continue
		}
		if t.Matched = len(steps[at].Fields); t.Matched == 0 {
			t.Note = "no column fits a field of " + t.Object
			steps = slices.Delete(steps, at, at+1)
		}
	}
	return steps, nil
}

// noted lists the tables with why each was left out.
func noted(tables []proposedTable) string {
	var b strings.Builder
	for _, t := range tables {
		fmt.Fprintf(&b, "  %s.%s: %s\n", t.Schema, t.Name, t.Note)
	}
	return strings.TrimRight(b.String(), "\n")
}

func printProposed(a *app, tables []proposedTable) {
	table := console.NewTable(console.Left("table"), console.Right("rows"), console.Left("object"), console.Left("columns with a field"), console.Cut("note", 80))
	for _, t := range tables {
		rows := any("unknown")
		if t.Rows >= 0 {
			rows = t.Rows
		}
		matched := "-"
		if t.Note == "" {
			matched = fmt.Sprintf("%d of %d", t.Matched, len(t.Columns))
		}
		table.Row(t.Schema+"."+t.Name, rows, orDash(t.Object), matched, t.Note)
	}
	table.Render(a.stdout)
	a.printf("\n")
}
