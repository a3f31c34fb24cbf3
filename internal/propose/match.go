package propose

import (
	"slices"
	"strings"

	"bulkhead/internal/nearest"
	"bulkhead/internal/preflight"
	"bulkhead/internal/salesforce"
)

// Step is a table with the object that it goes into.
type Step struct {
	Table  Table
	Object *salesforce.Object
	// ExternalID is the field that records are found by; empty where the object
	// has none, and the step can only insert.
	ExternalID string
	Fields     []Match            // in the order of the table's columns
	Left       []Column           // no field fits
	Missing    []salesforce.Field // a new record must have it, and no column fits
}

// Match is a column that goes into a field.
type Match struct {
	Target string // a field, or a parent by one of its fields
	Column Column
	Parent *Step // whose records the parent is one of; nil for a field
	Guess  bool  // the names only resemble each other
}

// synonyms are what tables are called whose rows are records of a standard object.
func synonyms() map[string][]string {
	return map[string][]string{
		"Account":     {"customer", "company", "client", "organisation", "organization", "business", "firm"},
		"Contact":     {"person", "people", "employee", "contactperson", "member"},
		"Lead":        {"prospect"},
		"Opportunity": {"deal"},
		"Case":        {"ticket", "issue", "complaint"},
		"Product2":    {"product", "item", "article"},
		"Task":        {"activity", "todo"},
	}
}

// Object says which object a table's rows are most likely records of: one of its
// name, or of a name that people use for it; "" where none is.
func Object(table string, objects []salesforce.ObjectSummary) string {
	names := []string{table, singular(table)}
	for _, name := range names {
		for _, o := range objects {
			if o.Createable && (sameName(name, o.Name) || sameName(name, o.Label)) {
				return o.Name
			}
		}
	}
	standard := synonyms()
	for _, o := range objects {
		for _, name := range names {
			if o.Createable && slices.ContainsFunc(standard[o.Name], func(s string) bool { return sameName(s, name) }) {
				return o.Name
			}
		}
	}
	return ""
}

// singular takes the plural's ending off an English noun, roughly.
func singular(name string) string {
	lower := strings.ToLower(name)
	switch {
	case strings.HasSuffix(lower, "ies"):
		return name[:len(name)-3] + "y"
	case strings.HasSuffix(lower, "sses"), strings.HasSuffix(lower, "xes"), strings.HasSuffix(lower, "ches"):
		return name[:len(name)-2]
	case strings.HasSuffix(lower, "s") && !strings.HasSuffix(lower, "ss"):
		return name[:len(name)-1]
	}
	return name
}

// sameName compares names without what people leave out: letter case, _, blanks
// and Salesforce's endings.
func sameName(a, b string) bool {
	return fold(a) == fold(b)
}

func fold(name string) string {
	name = strings.TrimSuffix(strings.ToLower(name), "__c")
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(name)
}

// Choice is a table with the object that its rows are to become records of.
type Choice struct {
	Table  Table
	Object *salesforce.Object
}

// Steps matches tables with objects, parents before their children.
func Steps(choices []Choice) []*Step {
	var steps []*Step
	done := map[[2]string]*Step{}
	for rest := slices.Clone(choices); len(rest) > 0; {
		// The first whose parents are done; in a circle, the first of all.
		i := max(slices.IndexFunc(rest, func(c Choice) bool { return !waits(c.Table, rest) }), 0)
		step := newStep(rest[i].Table, rest[i].Object, done)
		steps = append(steps, step)
		done[[2]string{step.Table.Schema, step.Table.Name}] = step
		rest = slices.Delete(rest, i, i+1)
	}
	return steps
}

// waits says whether a parent of the table is still to come.
func waits(t Table, rest []Choice) bool {
	return slices.ContainsFunc(t.Parents, func(p Parent) bool {
		self := p.Schema == t.Schema && p.Table == t.Name
		return !self && slices.ContainsFunc(rest, func(c Choice) bool { return c.Table.Schema == p.Schema && c.Table.Name == p.Table })
	})
}

// newStep matches the columns of a table with the fields of an object. parents
// are the steps of other tables, by schema and name, to which foreign keys may
// lead.
func newStep(t Table, object *salesforce.Object, parents map[[2]string]*Step) *Step {
	s := &Step{Table: t, Object: object}
	taken := map[string]bool{}
	key, isKey := s.externalID()
	if isKey {
		s.ExternalID = key.Name
		taken[key.Name] = true
	}
	for _, column := range t.Columns {
		if isKey && len(t.Key) == 1 && column.Name == t.Key[0] {
			s.Fields = append(s.Fields, Match{Target: key.Name, Column: column})
			continue
		}
		if m, lookup, ok := s.parent(column, parents); ok && !taken[lookup] {
			taken[lookup] = true
			s.Fields = append(s.Fields, m)
			continue
		}
		if f, ok := s.field(column, taken); ok {
			taken[f.Name] = true
			s.Fields = append(s.Fields, Match{Target: f.Name, Column: column, Guess: !named(f, column)})
			continue
		}
		if !isKey || !slices.Contains(t.Key, column.Name) {
			s.Left = append(s.Left, column)
		}
	}
	for _, f := range object.Fields {
		if f.Required() && f.Type != "boolean" && !taken[f.Name] {
			s.Missing = append(s.Missing, f)
		}
	}
	return s
}

// externalID is the field that the table's key most likely goes into: an external
// id of the same name, else a unique one, else any.
func (s *Step) externalID() (salesforce.Field, bool) {
	var best salesforce.Field
	rank := 0
	for _, f := range s.Object.Fields {
		if !f.ExternalID || !f.Createable || len(s.Table.Key) == 0 {
			continue
		}
		at := 1
		if f.Unique {
			at = 2
		}
		if len(s.Table.Key) == 1 && sameName(f.Name, s.Table.Key[0]) {
			at = 3
		}
		if at > rank {
			best, rank = f, at
		}
	}
	return best, rank > 0
}

// parent is the lookup of a foreign key whose table goes into an object with an
// external id; lookup is the field.
func (s *Step) parent(column Column, parents map[[2]string]*Step) (m Match, lookup string, ok bool) {
	for _, p := range s.Table.Parents {
		step := parents[[2]string{p.Schema, p.Table}]
		if p.Column != column.Name || step == nil || step.ExternalID == "" {
			continue
		}
		for _, f := range s.Object.Fields {
			if f.Createable && f.RelationshipName != "" && slices.Equal(f.ReferenceTo, []string{step.Object.Name}) {
				return Match{Target: f.RelationshipName + "." + step.ExternalID, Column: column, Parent: step}, f.Name, true
			}
		}
	}
	return Match{}, "", false
}

// named says whether a field has a column's name.
func named(f salesforce.Field, column Column) bool {
	return sameName(f.Name, column.Name) || sameName(f.Label, column.Name)
}

// field is the field of a column's name, or nearest to it, that takes values of
// its type.
func (s *Step) field(column Column, taken map[string]bool) (salesforce.Field, bool) {
	var near []string
	for _, f := range s.Object.Fields {
		if taken[f.Name] || !f.Createable || f.Type == "reference" || f.Type == "address" || f.Type == "location" || !preflight.Fits(column.Type, f) {
			continue
		}
		if named(f, column) {
			return f, true
		}
		near = append(near, f.Name)
	}
	name, ok := nearest.Name(column.Name, near)
	if !ok {
		return salesforce.Field{}, false
	}
	return s.Object.Field(name)
}
