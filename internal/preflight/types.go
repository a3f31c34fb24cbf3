package preflight

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bulkhead/internal/nearest"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/salesforce"
)

// family is a group of types that behave alike.
type family string

const (
	unknown   family = ""
	boolean   family = "true or false"
	integer   family = "a whole number"
	number    family = "a number"
	date      family = "a date"
	timestamp family = "a date with a time"
	clock     family = "a time of day"
	list      family = "a list"
	uuid      family = "a UUID"
	binary    family = "binary data"
	reference family = "a Salesforce id"
)

// sourceFamily is the family of an SQL type; unknown where its values may be
// anything, such as text.
func sourceFamily(typeName string) family {
	if strings.HasSuffix(typeName, "[]") {
		return list
	}
	// A name may have a size and a precision: numeric(10,2), timestamp(3) with time zone.
	name, _, _ := strings.Cut(typeName, "(")
	switch {
	case name == "boolean":
		return boolean
	case name == "smallint" || name == "integer" || name == "bigint":
		return integer
	case name == "numeric" || name == "real" || name == "double precision":
		return number
	case name == "date":
		return date
	case strings.HasPrefix(name, "timestamp"):
		return timestamp
	case strings.HasPrefix(name, "time"):
		return clock
	case name == "uuid":
		return uuid
	case name == "bytea":
		return binary
	}
	return unknown
}

// fieldFamily is the family of a field's type; unknown where it takes text.
func fieldFamily(fieldType string) family {
	switch fieldType {
	case "boolean":
		return boolean
	case "int", "long":
		return integer
	case "double", "currency", "percent":
		return number
	case "date":
		return date
	case "datetime":
		return timestamp
	case "time":
		return clock
	case "id", "reference":
		return reference
	}
	return unknown
}

// checkTypes tells of values that are certain to be refused.
func (s *stepCheck) checkTypes() {
	for i, f := range s.step.Fields {
		field := s.fields[i]
		switch {
		case field == nil:
		case f.Null:
			s.checkNull(f, field)
		case isRecordType(field) && f.Value != nil:
			s.checkRecordType(f, *f.Value)
		case strings.Contains(f.Target, "."): // a parent's key: its type is not the lookup's
		case f.Value != nil:
			s.checkConstant(f, field, *f.Value)
		case s.sound:
			s.checkType(f, field, s.plan.Columns[i].SourceType)
		}
	}
}

// checkType compares the type of a column with that of its field.
func (s *stepCheck) checkType(f pipeline.Field, field *salesforce.Field, sourceType string) {
	if Fits(sourceType, *field) {
		return
	}
	have, want := sourceFamily(sourceType), fieldFamily(field.Type)
	fix := ""
	switch {
	case have == timestamp && want == date:
		fix = "say which day it is, such as { sql: \"" + expression(f) + "::date\" }"
	case have == timestamp && want == clock:
		fix = "take the time alone, such as { sql: \"" + expression(f) + "::time\" }"
	case want == reference && len(field.ReferenceTo) > 0 && field.RelationshipName != "":
		fix = fmt.Sprintf("to find the parent by a key of your own, map %s.FIELD, where FIELD is an external id of %s", field.RelationshipName, field.ReferenceTo[0])
	default:
		fix = "map another column, or an expression that gives " + string(want)
	}
	s.warn(f.From, f.Target, fmt.Sprintf("the source has %s (%s), but the field takes %s (%s): Salesforce will refuse every record", have, sourceType, want, field.Type), fix)
}

// Fits says whether a field may take values of an SQL type, as far as that can be
// told without them.
func Fits(sourceType string, field salesforce.Field) bool {
	have, want := sourceFamily(sourceType), fieldFamily(field.Type)
	return have == unknown || want == unknown || fits(have, want)
}

// fits says whether a field of one family may take values of another. What
// Salesforce might read is let through: it decides.
func fits(have, want family) bool {
	switch {
	case have == want, have == integer && want == number, have == number && want == integer:
		return true
	case want == boolean: // 1 and 0 may do
		return have == integer || have == number
	case have == date && want == timestamp: // midnight
		return true
	}
	return false
}

// expression is the SQL of a field's value, for a suggestion.
func expression(f pipeline.Field) string {
	if f.SQL != "" {
		return "(" + f.SQL + ")"
	}
	return f.Column
}

// checkNull tells of a constant null in a field that must have a value.
func (s *stepCheck) checkNull(f pipeline.Field, field *salesforce.Field) {
	if !field.Nillable && field.Type != "boolean" {
		s.warn(f.From, f.Target, "must have a value in Salesforce, and is always null: Salesforce will refuse every record", "remove it, or give it a value")
	}
}

// checkConstant compares a constant with its field; how long it is, extract
// checks.
func (s *stepCheck) checkConstant(f pipeline.Field, field *salesforce.Field, value string) {
	if value == "" {
		return
	}
	ok := true
	switch want := fieldFamily(field.Type); want {
	case integer, number:
		_, err := strconv.ParseFloat(value, 64)
		ok = err == nil
	case boolean:
		_, err := strconv.ParseBool(strings.ToLower(value))
		ok = err == nil
	case date, timestamp:
		ok = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}`).MatchString(value)
	case reference:
		ok = regexp.MustCompile(`^[A-Za-z0-9]{15}([A-Za-z0-9]{3})?$`).MatchString(value)
	}
	if !ok {
		s.warn(f.From, f.Target, fmt.Sprintf("%q is not %s (%s): Salesforce will refuse every record", value, fieldFamily(field.Type), field.Type), "correct the value")
		return
	}
	s.checkPicklist(f, field, value)
}

// restricted are the values that a field takes and no others; none where it takes
// any.
func restricted(field *salesforce.Field) []string {
	if !field.RestrictedPicklist || field.Type != "picklist" && field.Type != "multipicklist" {
		return nil
	}
	var values []string
	for _, p := range field.PicklistValues {
		if p.Active {
			values = append(values, p.Value)
		}
	}
	return values
}

// checkPicklist tells of a constant that a restricted picklist does not have.
func (s *stepCheck) checkPicklist(f pipeline.Field, field *salesforce.Field, value string) {
	values := restricted(field)
	for _, one := range strings.Split(value, ";") {
		known := func(v string) bool { return strings.EqualFold(v, one) }
		if len(values) == 0 || slices.ContainsFunc(values, known) {
			continue
		}
		fix := "it has " + strings.Join(values, ", ")
		if near, ok := nearest.Name(one, values); ok {
			fix = fmt.Sprintf("did you mean %q?", near)
		}
		s.warn(f.From, f.Target, fmt.Sprintf("%q is not among the values of this restricted picklist: Salesforce will refuse every record", one), fix)
	}
}
