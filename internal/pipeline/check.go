package pipeline

import (
	"slices"
	"strings"

	"bulkhead/internal/yamlfile"
)

// checkStep checks what the parts of a step say about each other. Parts that
// are missing or wrong in themselves have been reported, and are passed over.
func (d *decoder) checkStep(s *Step, v, fields, externalID yamlfile.Value) {
	if s.Operation == "" || len(s.Fields) == 0 {
		return
	}
	d.checkExternalID(s, v, fields, externalID)
	d.checkID(s, fields)
	if s.Operation.Deletes() {
		for _, f := range s.Fields {
			if !isID(f.Target) {
				d.doc.Report(f.Pos, fields.Path(), "a %s takes nothing but Id: remove %s", s.Operation, f.Target)
			}
		}
	}
	for _, f := range s.Fields {
		if f.Null && s.Nulls != NullsClear {
			d.doc.Report(f.From, fields.Path(), `%s is always null, but nulls: keep leaves the field as it is: remove it, or write nulls: clear`, f.Target)
		}
	}
}

// checkExternalID checks the field that an upsert goes by.
func (d *decoder) checkExternalID(s *Step, v, fields, externalID yamlfile.Value) {
	if s.Operation != Upsert {
		if externalID.Exists() {
			externalID.Problem("only an upsert goes by an external id, and this is %s: remove it, or write operation: upsert", aOrAn(s.Operation))
		}
		return
	}
	if !externalID.Exists() {
		v.Problem(`the key "external_id" is missing: an upsert needs the field that tells whether a record exists, such as Legacy_Id__c`)
		return
	}
	if s.ExternalID == "" {
		return
	}
	i := slices.IndexFunc(s.Fields, func(f Field) bool { return strings.EqualFold(f.Target, s.ExternalID) })
	switch {
	case i < 0:
		fields.Problem("the external id %s is not mapped: add a line such as %s: id", s.ExternalID, s.ExternalID)
	case s.Fields[i].Constant():
		d.doc.Report(s.Fields[i].From, fields.Path(), "the external id %s must differ from record to record, so it cannot be a constant: take a column", s.ExternalID)
	}
}

// checkID checks whether Id is mapped where it must be, and only there.
func (d *decoder) checkID(s *Step, fields yamlfile.Value) {
	i := slices.IndexFunc(s.Fields, func(f Field) bool { return isID(f.Target) })
	byID := s.Operation == Upsert && isID(s.ExternalID)
	switch {
	case s.Operation.Creates() && !byID && i >= 0:
		d.doc.Report(s.Fields[i].Pos, fields.Path(), "an %s cannot set Id, Salesforce gives it: remove it, or use update", s.Operation)
	case s.Operation.Creates():
	case i < 0:
		fields.Problem("%s finds records by their Salesforce Id: map it, such as Id: salesforce_id", aOrAn(s.Operation))
	case s.Fields[i].Constant():
		d.doc.Report(s.Fields[i].From, fields.Path(), "Id must differ from record to record, so it cannot be a constant: take a column")
	}
}

func isID(target string) bool { return strings.EqualFold(target, "Id") }

func aOrAn(o Operation) string {
	if strings.ContainsRune("aeiou", rune(o[0])) {
		return "an " + string(o)
	}
	return "a " + string(o)
}
