package drift

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bulkhead/internal/nearest"
)

// Kind is what changed.
type Kind string

// The kinds of changes.
const (
	Removed     Kind = "removed" // or hidden from our user; After is the likely new name, if any
	Type        Kind = "type"
	Size        Kind = "size"         // characters, or digits before and after the point
	Required    Kind = "required"     // whether a new record must have a value
	Writable    Kind = "writable"     // what our user may do with it
	Key         Kind = "key"          // whether records are found by it, and how
	Reference   Kind = "reference"    // the objects that a lookup points to
	Restricted  Kind = "restricted"   // whether a picklist takes other values than its own
	Picklist    Kind = "picklist"     // Before is the values that are gone, After those that are new
	RecordTypes Kind = "record_types" // the same, for record types that our user may use
)

// Change is one thing that is different in an org.
type Change struct {
	Object string `json:"object"`
	Field  string `json:"field,omitempty"` // empty: the object itself
	Kind   Kind   `json:"change"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// String says what changed, on one line and in words.
func (c Change) String() string {
	name := c.Object
	if c.Field != "" {
		name += "." + c.Field
	}
	switch c.Kind {
	case Removed:
		if c.After != "" {
			return fmt.Sprintf("%s is gone, or hidden from the integration user; it was most likely renamed to %s", name, c.After)
		}
		return name + " is gone, or hidden from the integration user"
	case Picklist:
		return name + ": " + lostAndFound("value", c)
	case RecordTypes:
		return name + ": " + lostAndFound("record type", c)
	case Type:
		return fmt.Sprintf("%s: its type was %s and is %s", name, c.Before, c.After)
	case Size:
		return fmt.Sprintf("%s held %s and holds %s", name, c.Before, c.After)
	case Writable:
		return fmt.Sprintf("%s: the integration user could %s, and now can %s", name, c.Before, c.After)
	case Reference:
		return fmt.Sprintf("%s pointed to %s and points to %s", name, c.Before, c.After)
	case Required, Key, Restricted:
	}
	return fmt.Sprintf("%s was %s and is %s", name, c.Before, c.After)
}

func lostAndFound(what string, c Change) string {
	var parts []string
	if c.Before != "" {
		parts = append(parts, what+"s gone: "+c.Before)
	}
	if c.After != "" {
		parts = append(parts, what+"s new: "+c.After)
	}
	return strings.Join(parts, "; ")
}

// Compare lists what changed in what the later one uses, by field.
func Compare(before, after Object) []Change {
	c := comparison{before: before, after: after}
	if after.Written {
		c.note("", Writable, deeds(before.Createable, before.Updateable, before.Deletable), deeds(after.Createable, after.Updateable, after.Deletable))
	}
	if after.uses("RecordTypeId") && before.uses("RecordTypeId") {
		c.noteList("", RecordTypes, before.RecordTypes, after.RecordTypes)
	}
	for _, name := range after.Used {
		c.compareField(name)
	}
	c.compareRequired()
	return c.changes
}

type comparison struct {
	before, after Object
	changes       []Change
}

// note records a change if there is one.
func (c *comparison) note(field string, kind Kind, before, after string) {
	if before != after {
		c.changes = append(c.changes, Change{Object: c.after.Name, Field: field, Kind: kind, Before: before, After: after})
	}
}

// noteList records what a list lost and what it gained.
func (c *comparison) noteList(field string, kind Kind, before, after []string) {
	c.note(field, kind, without(before, after), without(after, before))
}

// without is those of a list that are not in the other, quoted.
func without(list, other []string) string {
	var only []string
	for _, value := range list {
		if !slices.Contains(other, value) {
			only = append(only, strconv.Quote(value))
		}
	}
	return strings.Join(only, ", ")
}

func (c *comparison) compareField(name string) {
	old, was := c.before.Field(name)
	now, is := c.after.Field(name)
	switch {
	case !was:
		return // it was not used then, or nobody could write it: nothing is known of it
	case !is:
		renamed, _ := Renamed(c.before, c.after, name)
		c.changes = append(c.changes, Change{Object: c.after.Name, Field: old.Name, Kind: Removed, Before: old.Name, After: renamed})
		return
	}
	c.note(now.Name, Type, old.Type, now.Type)
	if old.Type == now.Type {
		c.note(now.Name, Size, old.size(), now.size())
	}
	c.note(now.Name, Writable, deeds(old.Createable, old.Updateable, false), deeds(now.Createable, now.Updateable, false))
	if c.after.Created {
		c.note(now.Name, Required, old.need(), now.need())
	}
	c.note(now.Name, Key, old.key(), now.key())
	c.note(now.Name, Reference, strings.Join(old.ReferenceTo, ", "), strings.Join(now.ReferenceTo, ", "))
	c.note(now.Name, Restricted, old.openness(), now.openness())
	if c.before.uses(name) && old.Restricted && now.Restricted {
		c.noteList(now.Name, Picklist, old.Values, now.Values)
	}
}

// compareRequired finds fields that new records must have now, and that the
// pipeline does not set.
func (c *comparison) compareRequired() {
	if !c.after.Created {
		return
	}
	for _, f := range c.after.Fields {
		old, was := c.before.Field(f.Name)
		switch {
		case !f.Required || c.after.uses(f.Name) || old.Required:
		case was:
			c.note(f.Name, Required, old.need(), f.need())
		default:
			c.note(f.Name, Required, "not there", f.need())
		}
	}
}

// size is how much a field holds; empty for types without a size.
func (f Field) size() string {
	switch {
	case f.Precision > 0:
		return fmt.Sprintf("%d digits, %d after the point", f.Precision, f.Scale)
	case f.Digits > 0:
		return fmt.Sprintf("%d digits", f.Digits)
	case f.Length > 0:
		return fmt.Sprintf("%d characters", f.Length)
	}
	return "nothing"
}

// openness says whether a field takes any value of its type.
func (f Field) openness() string {
	if f.Restricted {
		return "restricted to the values of its picklist"
	}
	return "open to any value"
}

func (f Field) need() string {
	if f.Required {
		return "required"
	}
	return "optional"
}

// key says how records are found by a field.
func (f Field) key() string {
	var traits []string
	for _, t := range []struct {
		is   bool
		name string
	}{{f.ExternalID, "an external id"}, {f.IDLookup, "a lookup key"}, {f.Unique, "unique"}, {f.CaseSensitive, "case-sensitive"}} {
		if t.is {
			traits = append(traits, t.name)
		}
	}
	if len(traits) == 0 {
		return "no key"
	}
	return strings.Join(traits, ", ")
}

func deeds(create, update, remove bool) string {
	var can []string
	for _, d := range []struct {
		may  bool
		name string
	}{{create, "create"}, {update, "update"}, {remove, "delete"}} {
		if d.may {
			can = append(can, d.name)
		}
	}
	if len(can) == 0 {
		return "only read"
	}
	return strings.Join(can, ", ")
}

// Renamed guesses what a field that is gone is called now: among the fields
// that are new and of its type, the one with its label, or else with the name
// nearest to it; or, whatever its type, the only one with its label.
func Renamed(before, after Object, field string) (name string, ok bool) {
	old, known := before.Field(field)
	if !known {
		return "", false
	}
	var alike, labelled []string
	for _, f := range after.Fields {
		if _, was := before.Field(f.Name); was {
			continue
		}
		sameLabel := strings.EqualFold(f.Label, old.Label)
		if f.Type == old.Type && sameLabel {
			return f.Name, true
		}
		if f.Type == old.Type {
			alike = append(alike, f.Name)
		}
		if sameLabel {
			labelled = append(labelled, f.Name)
		}
	}
	if near, ok := nearest.Name(old.Name, alike); ok {
		return near, true
	}
	if len(labelled) == 1 {
		return labelled[0], true
	}
	return "", false
}
