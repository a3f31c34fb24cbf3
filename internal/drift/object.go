// Package drift is what an org's objects looked like, kept small, and what has
// changed in them since. It must never ask the org anything, nor decide what a
// change means for a run.
package drift

import (
	"slices"
	"strings"

	"bulkhead/internal/salesforce"
)

// Object is the part of an object's describe that matters to a pipeline: what
// it uses, and the fields beside it that a record can be given.
type Object struct {
	Name       string `json:"name"`
	Createable bool   `json:"createable,omitempty"`
	Updateable bool   `json:"updateable,omitempty"`
	Deletable  bool   `json:"deletable,omitempty"`
	// Written says that the pipeline writes records of the object, and Created
	// that it may make new ones; an object that is only a parent has neither.
	Written bool     `json:"written,omitempty"`
	Created bool     `json:"created,omitempty"`
	Used    []string `json:"used"` // names of the fields that the pipeline uses, sorted; the org may lack some
	Fields  []Field  `json:"fields"`
	// RecordTypes are the names of those that our user may use; empty where the
	// pipeline sets none.
	RecordTypes []string `json:"record_types,omitempty"`
}

// Field is a field of an Object.
type Field struct {
	Name          string   `json:"name"`
	Label         string   `json:"label"`
	Type          string   `json:"type"`
	Length        int      `json:"length,omitempty"`
	Precision     int      `json:"precision,omitempty"`
	Scale         int      `json:"scale,omitempty"`
	Digits        int      `json:"digits,omitempty"`
	Createable    bool     `json:"createable,omitempty"`
	Updateable    bool     `json:"updateable,omitempty"`
	Required      bool     `json:"required,omitempty"` // of a new record
	ExternalID    bool     `json:"external_id,omitempty"`
	IDLookup      bool     `json:"id_lookup,omitempty"`
	Unique        bool     `json:"unique,omitempty"`
	CaseSensitive bool     `json:"case_sensitive,omitempty"`
	Relationship  string   `json:"relationship,omitempty"`
	ReferenceTo   []string `json:"reference_to,omitempty"`
	Restricted    bool     `json:"restricted,omitempty"` // a picklist that takes its values only
	Values        []string `json:"values,omitempty"`     // of a restricted picklist that is used: those that are active, sorted
}

// Keep takes from a describe what matters to a pipeline that uses these fields.
// The result is the same for the same describe, whatever the order of used.
func Keep(o *salesforce.Object, used []string) Object {
	kept := Object{
		Name: o.Name, Createable: o.Createable, Updateable: o.Updateable, Deletable: o.Deletable,
		Used: slices.Compact(slices.Sorted(slices.Values(used))), Fields: []Field{},
	}
	for _, f := range o.Fields {
		uses := kept.uses(f.Name)
		if uses || f.Createable || f.Updateable {
			kept.Fields = append(kept.Fields, keepField(f, uses))
		}
	}
	slices.SortFunc(kept.Fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	if kept.uses("RecordTypeId") {
		kept.RecordTypes = recordTypes(o.RecordTypes)
	}
	return kept
}

func keepField(f salesforce.Field, used bool) Field {
	kept := Field{
		Name: f.Name, Label: f.Label, Type: f.Type, Length: f.Length, Precision: f.Precision, Scale: f.Scale, Digits: f.Digits,
		Createable: f.Createable, Updateable: f.Updateable, Required: f.Required() && f.Type != "boolean",
		ExternalID: f.ExternalID, IDLookup: f.IDLookup, Unique: f.Unique, CaseSensitive: f.CaseSensitive,
		Relationship: f.RelationshipName, ReferenceTo: slices.Sorted(slices.Values(f.ReferenceTo)), Restricted: f.RestrictedPicklist,
	}
	if used && f.RestrictedPicklist {
		for _, p := range f.PicklistValues {
			if p.Active {
				kept.Values = append(kept.Values, p.Value)
			}
		}
		slices.Sort(kept.Values)
	}
	return kept
}

func recordTypes(all []salesforce.RecordType) []string {
	var names []string
	for _, t := range all {
		if t.Active && t.Available {
			names = append(names, t.DeveloperName)
		}
	}
	slices.Sort(names)
	return names
}

// Field finds a field by its API name, whatever its letter case.
func (o Object) Field(name string) (Field, bool) {
	return o.find(func(f Field) bool { return strings.EqualFold(f.Name, name) })
}

// Lookup finds the field behind a relationship's name.
func (o Object) Lookup(relationship string) (Field, bool) {
	return o.find(func(f Field) bool { return f.Relationship != "" && strings.EqualFold(f.Relationship, relationship) })
}

func (o Object) find(is func(Field) bool) (Field, bool) {
	i := slices.IndexFunc(o.Fields, is)
	if i < 0 {
		return Field{}, false
	}
	return o.Fields[i], true
}

func (o Object) uses(field string) bool {
	return slices.ContainsFunc(o.Used, func(name string) bool { return strings.EqualFold(name, field) })
}
