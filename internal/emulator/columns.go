package emulator

import (
	"fmt"
	"strings"
)

// operation of an ingest job. The letter case matters.
type operation string

const (
	opInsert     operation = "insert"
	opUpdate     operation = "update"
	opUpsert     operation = "upsert"
	opDelete     operation = "delete"
	opHardDelete operation = "hardDelete"
)

func (o operation) valid() bool {
	switch o {
	case opInsert, opUpdate, opUpsert, opDelete, opHardDelete:
		return true
	}
	return false
}

// column is what a header of the upload means.
type column struct {
	header string
	field  *field // the field it sets
	// parent and key are set for Relationship.ExternalId columns: the record
	// of parent whose key has the value is what field will refer to.
	parent *table
	key    *field
	// blank columns come back empty in results: a known issue with headers
	// that are not in the very letter case of the field.
	blank bool
}

// jobError fails a whole job. Codes are CamelCase, unlike those of answers.
type jobError struct{ code, message string }

func (e *jobError) Error() string { return e.code + " : " + e.message }

func invalidBatch(format string, args ...any) error {
	return &jobError{"InvalidBatch", fmt.Sprintf(format, args...)}
}

func clientInputError(format string, args ...any) error {
	return &jobError{"ClientInputError", fmt.Sprintf(format, args...)}
}

func errUnknownColumn(header string) error {
	return invalidBatch("Field name not found : %s", header)
}

// maxColumns of a CSV (LIMITS: "Maximum number of fields in a record").
const maxColumns = 5000

// resolveColumns finds what every header means. The first one that means
// nothing fails the job.
func (s *store) resolveColumns(o *object, headers []string) ([]column, error) {
	if len(headers) > maxColumns {
		return nil, invalidBatch("Too many fields : %d", len(headers))
	}
	columns := make([]column, len(headers))
	seen := make(map[string]bool, len(headers))
	for i, header := range headers {
		c, err := s.resolveColumn(o, header)
		if err != nil {
			return nil, err
		}
		if seen[fold(header)] {
			return nil, invalidBatch("Duplicate field name found : %s", header)
		}
		seen[fold(header)] = true
		columns[i] = c
	}
	return columns, nil
}

func (s *store) resolveColumn(o *object, header string) (column, error) {
	path, key, related := strings.Cut(header, ".")
	if !related {
		f, ok := o.field(header)
		if !ok {
			return column{}, errUnknownColumn(header)
		}
		return column{header: header, field: f, blank: f.Name != header}, nil
	}
	f, target, blank, err := findRelationship(o, path, header)
	if err != nil {
		return column{}, err
	}
	parent, ok := s.table(target)
	if !ok {
		return column{}, errUnknownColumn(header)
	}
	parentKey, ok := parent.object.field(key)
	if !ok || !parentKey.finds() || parentKey.source == sourceID {
		return column{}, errUnknownColumn(header)
	}
	blank = blank || parentKey.Name != key
	return column{header: header, field: f, parent: parent, key: parentKey, blank: blank}, nil
}

// findRelationship reads Relationship or ObjectType:Relationship and returns
// the reference field and the object it shall refer to. The type is needed
// where a field may refer to several objects, and refused where it may not.
func findRelationship(o *object, path, header string) (f *field, target string, blank bool, err error) {
	typeName, name, typed := strings.Cut(path, ":")
	if !typed {
		name = path
	}
	f, ok := o.relationship(name)
	switch {
	case !ok && typed:
		return nil, "", false, invalidBatch("Unable to find relationship: %s", name)
	case !ok:
		return nil, "", false, errUnknownColumn(header)
	case typed && len(f.ReferenceTo) == 1:
		return nil, "", false, invalidBatch("type is not needed for non polymorphic foreign key references: %s", name)
	case !typed && len(f.ReferenceTo) > 1:
		return nil, "", false, invalidBatch("type is needed for polymorphic foreign key references: %s", name)
	case !typed:
		return f, f.ReferenceTo[0], f.RelationshipName != name, nil
	}
	for _, target := range f.ReferenceTo {
		if strings.EqualFold(target, typeName) {
			return f, target, f.RelationshipName != name || target != typeName, nil
		}
	}
	return nil, "", false, errUnknownColumn(header)
}
