package preflight

import (
	"fmt"
	"slices"
	"strings"

	"bulkhead/internal/nearest"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/salesforce"
)

// recordTypeID is the field that says of which record type a record is.
const recordTypeID = "RecordTypeId"

func isRecordType(field *salesforce.Field) bool { return field.Name == recordTypeID }

// recordTypes are the record types that the integration user may use, as the
// values of a field: their ids, or what the relationship RecordType finds them
// by.
func (s *stepCheck) recordTypes(f pipeline.Field) []string {
	_, key, _ := strings.Cut(f.Target, ".")
	var values []string
	for _, t := range s.plan.Object.RecordTypes {
		switch {
		case !t.Active || !t.Available:
		case strings.EqualFold(key, "Name"):
			values = append(values, t.Name)
		case strings.EqualFold(key, "DeveloperName"):
			values = append(values, t.DeveloperName)
		default:
			values = append(values, t.ID)
		}
	}
	return values
}

// checkRecordType tells of a constant that is no record type of the object.
func (s *stepCheck) checkRecordType(f pipeline.Field, value string) {
	known := s.recordTypes(f)
	if value == "" || len(known) == 0 || slices.ContainsFunc(known, func(v string) bool { return sameRecordType(v, value) }) {
		return
	}
	fix := "it may use " + s.recordTypeList()
	if near, ok := nearest.Name(value, known); ok && strings.Contains(f.Target, ".") {
		fix = fmt.Sprintf("did you mean %q?", near)
	}
	s.warn(f.From, f.Target, fmt.Sprintf("%q is no record type of %s that the integration user may use: Salesforce will refuse every record", value, s.plan.Object.Name), fix)
}

// sameRecordType compares names whatever their letter case, and ids by the 15
// characters that count, whose case matters.
func sameRecordType(a, b string) bool {
	const idChars = 15
	if len(a) == 18 && (len(b) == idChars || len(b) == 18) {
		return a[:idChars] == b[:idChars]
	}
	return strings.EqualFold(a, b)
}

// recordTypeList names the record types with their ids, for a message.
func (s *stepCheck) recordTypeList() string {
	var list []string
	for _, t := range s.plan.Object.RecordTypes {
		if t.Active && t.Available {
			list = append(list, fmt.Sprintf("%s (%s)", t.DeveloperName, t.ID))
		}
	}
	return strings.Join(list, ", ")
}
