package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bulkhead/internal/nearest"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/salesforce"
)

// checkFields checks each field that is mapped.
func (s *stepCheck) checkFields(ctx context.Context) error {
	written := map[string]string{}
	for i, f := range s.step.Fields {
		var field *salesforce.Field
		if strings.ContainsAny(f.Target, ".:") {
			var err error
			if field, err = s.checkParent(ctx, i); err != nil {
				return err
			}
		} else {
			field = s.checkField(i)
		}
		if field == nil {
			continue
		}
		s.fields[i] = field
		s.plan.Columns[i].SalesforceType = field.Type
		if first, twice := written[field.Name]; twice {
			s.fault(f.Pos, f.Target, fmt.Sprintf("sets %s, which %s sets too", field.Name, first), "remove one of them")
		}
		written[field.Name] = f.Target
		s.checkWritable(f, field)
	}
	return nil
}

// checkField checks a field of the object itself; nil where it has none.
func (s *stepCheck) checkField(i int) *salesforce.Field {
	f, object := s.step.Fields[i], s.plan.Object
	field, ok := object.Field(f.Target)
	s.use(object.Name, f.Target, f.Pos)
	if !ok {
		s.fault(f.Pos, f.Target, fmt.Sprintf("%s has no such field, or the integration user may not see it", object.Name), s.suggestField(object, f.Target))
		return nil
	}
	column := &s.plan.Columns[i]
	column.Target = field.Name
	if holdsText(field.Type) {
		column.MaxChars = field.Length
	}
	return &field
}

// suggestField says which field may be meant.
func (s *stepCheck) suggestField(object *salesforce.Object, name string) string {
	if renamed := s.renamed(object, name); renamed != "" {
		return renamed
	}
	if strings.EqualFold(name, recordTypeID) {
		return object.Name + " has no record types that the integration user may use: remove it"
	}
	names := make([]string, len(object.Fields))
	for i, f := range object.Fields {
		if strings.EqualFold(f.Label, name) {
			return fmt.Sprintf("%q is its label, its API name is %s", f.Label, f.Name)
		}
		names[i] = f.Name
	}
	if f, ok := object.Relationship(name); ok {
		return fmt.Sprintf("%s is the relationship behind %s: map %s to Salesforce ids, or %s.FIELD to an external id of the parent", name, f.Name, f.Name, f.RelationshipName)
	}
	if near, ok := nearest.Name(name, names); ok {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "Setup, Object Manager shows the API names; field-level security in a permission set decides what the integration user sees"
}

// unwritable is what helps against a field that the integration user may not write.
const unwritable = "field-level security in a permission set may grant it; some fields of Salesforce's own can never be written"

// checkWritable checks whether the integration user may write a field in this operation.
func (s *stepCheck) checkWritable(f pipeline.Field, field *salesforce.Field) {
	operation := s.step.Operation
	identifies := field.Name == "Id" || operation == pipeline.Upsert && strings.EqualFold(field.Name, s.step.ExternalID)
	// What identifies a record is looked up, not written.
	if identifies && (field.IDLookup || field.ExternalID) {
		return
	}
	switch {
	case field.Calculated:
		s.fault(f.Pos, f.Target, "is calculated by Salesforce, so it cannot be loaded", "remove it")
	case field.AutoNumber:
		s.fault(f.Pos, f.Target, "is numbered by Salesforce, so it cannot be loaded", "remove it")
	case field.Type == "address" || field.Type == "location":
		s.fault(f.Pos, f.Target, "is made of other fields, so it cannot be loaded itself", "map its parts: "+parts(s.plan.Object, field.Name))
	case operation == pipeline.Upsert && field.Createable != field.Updateable:
		s.warnHalf(f, field)
	case operation.Creates() && !field.Createable:
		s.fault(f.Pos, f.Target, "the integration user may not set it in a new record", unwritable)
	case operation == pipeline.Update && !field.Updateable:
		s.fault(f.Pos, f.Target, "the integration user may not change it", unwritable)
	}
}

// warnHalf tells of a field that only new records, or only those that are
// there, can be given.
func (s *stepCheck) warnHalf(f pipeline.Field, field *salesforce.Field) {
	if field.Createable {
		s.warn(f.Pos, f.Target, "can be set in a new record but not changed later: records that are in Salesforce already may fail",
			"a master-detail field needs \"Allow reparenting\" to be changed")
		return
	}
	s.warn(f.Pos, f.Target, "can be changed but not set in a new record: records that are not in Salesforce yet will fail", "")
}

// parts are the fields that a compound field is made of.
func parts(object *salesforce.Object, compound string) string {
	var names []string
	for _, f := range object.Fields {
		if f.CompoundFieldName == compound && f.Name != compound {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, ", ")
}

// checkParent checks a parent that is given by one of its own fields; it
// returns the lookup field, or nil where that is not known.
func (s *stepCheck) checkParent(ctx context.Context, i int) (*salesforce.Field, error) {
	f, object := s.step.Fields[i], s.plan.Object
	prefix, path, hasPrefix := strings.Cut(f.Target, ":")
	if !hasPrefix {
		prefix, path = "", f.Target
	}
	relationship, key, isParent := strings.Cut(path, ".")
	if !isParent {
		s.fault(f.Pos, f.Target, "names an object but no relationship", "write it as "+prefix+":RELATIONSHIP.FIELD, or "+path+" alone")
		return nil, nil
	}
	lookup, ok := object.Relationship(relationship)
	s.useLookup(object, lookup, relationship, f.Pos)
	if !ok {
		s.fault(f.Pos, f.Target, fmt.Sprintf("%s has no relationship %s, or the integration user may not see it", object.Name, relationship), suggestRelationship(object, relationship, key))
		return nil, nil
	}
	parent, ok := s.parentObject(f, lookup, prefix, key)
	if !ok {
		return &lookup, nil
	}
	described, err := s.describe(ctx, parent)
	if err != nil {
		return nil, err
	}
	if described == nil {
		s.fault(f.Pos, f.Target, fmt.Sprintf("the integration user may not see %s, the parent", parent), "an admin can grant it in a permission set")
		return &lookup, nil
	}
	s.checkParentKey(i, described, lookup, prefix, key)
	return &lookup, nil
}

// parentObject decides which object a parent is. Only where it may be of
// several must the header say which (Bulk API 2.0 guide, 'Relationship Fields
// in a Header Row').
func (s *stepCheck) parentObject(f pipeline.Field, lookup salesforce.Field, prefix, key string) (string, bool) {
	choice := strings.Join(lookup.ReferenceTo, ", ")
	path := lookup.RelationshipName + "." + key
	switch {
	case len(lookup.ReferenceTo) == 0:
		s.fault(f.Pos, f.Target, lookup.RelationshipName+" points to no object that the integration user may see", "an admin can grant it in a permission set")
		return "", false
	case len(lookup.ReferenceTo) == 1 && prefix != "":
		s.fault(f.Pos, f.Target, fmt.Sprintf("%s always points to %s, and Salesforce refuses to be told so", lookup.RelationshipName, choice), "write "+path)
		return "", false
	case len(lookup.ReferenceTo) == 1:
		return lookup.ReferenceTo[0], true
	case prefix == "":
		s.fault(f.Pos, f.Target, fmt.Sprintf("%s may point to several objects (%s)", lookup.RelationshipName, choice), fmt.Sprintf("say to which, as %s:%s", lookup.ReferenceTo[0], path))
		return "", false
	}
	i := slices.IndexFunc(lookup.ReferenceTo, func(name string) bool { return strings.EqualFold(name, prefix) })
	if i < 0 {
		s.fault(f.Pos, f.Target, fmt.Sprintf("%s cannot point to %s", lookup.RelationshipName, prefix), "it may point to "+choice)
		return "", false
	}
	return lookup.ReferenceTo[i], true
}

// checkParentKey checks the field that a parent is found by.
func (s *stepCheck) checkParentKey(i int, parent *salesforce.Object, lookup salesforce.Field, prefix, key string) {
	f := s.step.Fields[i]
	field, ok := parent.Field(key)
	s.use(parent.Name, key, f.Pos)
	if !ok {
		s.fault(f.Pos, f.Target, fmt.Sprintf("%s has no field %s, or the integration user may not see it", parent.Name, key), s.suggestField(parent, key))
		return
	}
	if !field.ExternalID && !field.IDLookup {
		s.fault(f.Pos, f.Target, fmt.Sprintf("%s of %s is not marked as an external id, so no parent can be found by it", field.Name, parent.Name), s.suggestKeys(parent))
		return
	}
	column := &s.plan.Columns[i]
	column.Target = lookup.RelationshipName + "." + field.Name
	if prefix != "" {
		column.Target = parent.Name + ":" + column.Target
	}
}

// suggestRelationship says which relationship may be meant.
func suggestRelationship(object *salesforce.Object, name, key string) string {
	if f, ok := object.Field(name); ok && f.RelationshipName != "" {
		return fmt.Sprintf("%s is the field, its relationship is %s: write %s.%s", f.Name, f.RelationshipName, f.RelationshipName, key)
	}
	var names []string
	for _, f := range object.Fields {
		if f.RelationshipName != "" {
			names = append(names, f.RelationshipName)
		}
	}
	if near, ok := nearest.Name(name, names); ok {
		return fmt.Sprintf("did you mean %s.%s?", near, key)
	}
	return "it has " + strings.Join(names, ", ")
}

// holdsText says whether the length of a field of this type counts the
// characters of a text that we send (REST API guide, 'sObject Describe').
func holdsText(fieldType string) bool {
	switch fieldType {
	case "string", "textarea", "phone", "url", "email", "encryptedstring", "combobox":
		return true
	}
	return false
}
