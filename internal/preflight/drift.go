package preflight

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bulkhead/internal/drift"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/salesforce"
	"bulkhead/internal/yamlfile"
)

// Known is what objects looked like before, by their names in lower case.
type Known map[string]drift.Object

// Drift is a change in the org, with the place in the pipeline file that it
// concerns.
type Drift struct {
	drift.Change
	File   string   `json:"file"`
	Line   int      `json:"line"`
	Column int      `json:"column"`
	Steps  []string `json:"steps"`
}

// DriftError is a refusal to run because the org has changed.
type DriftError struct {
	Drift []Drift
}

// String is the change on one line, beginning with its place.
func (d Drift) String() string {
	steps := make([]string, len(d.Steps))
	for i, name := range d.Steps {
		steps[i] = fmt.Sprintf("step %q", name)
	}
	return yamlfile.Problem{File: d.File, Line: d.Line, Column: d.Column, Path: strings.Join(steps, ", "), Message: d.Change.String()}.String()
}

// Error lists the changes, one a line.
func (e *DriftError) Error() string {
	lines := make([]string, len(e.Drift))
	for i, d := range e.Drift {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// usage is what the steps use of one object.
type usage struct {
	places           map[string]place // by field in lower case; "" for the object itself
	fields           []string         // as the file writes them
	written, created bool
}

// place is where something is used.
type place struct {
	at    pipeline.Pos // the first of them
	steps []string
}

// use notes that the step uses a field of an object; empty for the object itself.
func (s *stepCheck) use(object, field string, at pipeline.Pos) *usage {
	u := s.used[strings.ToLower(object)]
	if u == nil {
		u = &usage{places: map[string]place{}}
		s.used[strings.ToLower(object)] = u
	}
	key := strings.ToLower(field)
	p, known := u.places[key]
	if !known {
		p.at = at
		if field != "" {
			u.fields = append(u.fields, field)
		}
	}
	if !slices.Contains(p.steps, s.step.Name) {
		p.steps = append(p.steps, s.step.Name)
	}
	u.places[key] = p
	return u
}

// useObject notes that the step writes its object.
func (s *stepCheck) useObject() {
	u := s.use(s.step.Object, "", s.step.ObjectPos)
	u.written = true
	u.created = u.created || s.step.Operation.Creates()
}

// useLookup notes that the step uses a lookup field, given by its relationship.
func (s *stepCheck) useLookup(object *salesforce.Object, lookup salesforce.Field, relationship string, at pipeline.Pos) {
	name := lookup.Name
	if name == "" {
		before, _ := s.known[strings.ToLower(object.Name)].Lookup(relationship)
		name = before.Name
	}
	if name != "" {
		s.use(object.Name, name, at)
	}
}

// renamed says what a field that is gone was most likely renamed to; empty where
// nothing is known.
func (c *checker) renamed(object *salesforce.Object, field string) string {
	before, known := c.known[strings.ToLower(object.Name)]
	if !known {
		return ""
	}
	old, was := before.Field(field)
	if !was {
		return ""
	}
	name, ok := drift.Renamed(before, drift.Keep(object, nil), field)
	if !ok {
		return fmt.Sprintf("it was there at the last run (%s, %q): it has been deleted, renamed or hidden since", old.Type, old.Label)
	}
	now, _ := object.Field(name)
	why := fmt.Sprintf("new, and of the same type (%s)", now.Type)
	if strings.EqualFold(now.Label, old.Label) {
		why = fmt.Sprintf("new, and with the same label (%q)", now.Label)
	}
	return fmt.Sprintf("it was there at the last run, and was most likely renamed: write %s, which is %s", name, why)
}

// lookBack compares what the steps use with what is known from before.
func (c *checker) lookBack() {
	for _, key := range slices.Sorted(maps.Keys(c.used)) {
		u := c.used[key]
		before, known := c.known[key]
		object := c.objects[key]
		if object == nil {
			if known {
				c.addDrift(u, drift.Change{Object: before.Name, Kind: drift.Removed, Before: before.Name})
			}
			continue
		}
		seen := drift.Keep(object, u.names(object))
		seen.Written, seen.Created = u.written, u.created
		c.report.Seen = append(c.report.Seen, seen)
		if !known {
			continue
		}
		for _, change := range drift.Compare(before, seen) {
			c.addDrift(u, change)
		}
	}
	slices.SortStableFunc(c.report.Drift, func(a, b Drift) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// names are the fields in use, in the org's letter case.
func (u *usage) names(object *salesforce.Object) []string {
	names := slices.Clone(u.fields)
	for i, name := range names {
		if f, ok := object.Field(name); ok {
			names[i] = f.Name
		}
	}
	return names
}

func (c *checker) addDrift(u *usage, change drift.Change) {
	p, ok := u.places[strings.ToLower(change.Field)]
	if !ok {
		p = u.places[""] // a field that is required now, and not mapped
	}
	c.report.Drift = append(c.report.Drift, Drift{Change: change, File: c.file, Line: p.at.Line, Column: p.at.Column, Steps: p.steps})
}
