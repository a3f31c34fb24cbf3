package emulator

import (
	"fmt"
	"strings"
)

// rowError is why a record was refused. In results it reads
// CODE:message:Field1,Field2 -- or CODE:message:-- without fields.
type rowError struct {
	code    string
	message string
	fields  []string
}

func (e *rowError) Error() string { return e.String() }

// String is the text of sf__Error.
func (e *rowError) String() string {
	var b strings.Builder
	b.WriteString(e.code)
	b.WriteByte(':')
	b.WriteString(e.message)
	b.WriteByte(':')
	if len(e.fields) > 0 {
		b.WriteString(strings.Join(e.fields, ","))
		b.WriteByte(' ')
	}
	b.WriteString("--")
	return b.String()
}

func errColumnCount(header, row int) *rowError {
	return &rowError{code: "INVALID_FIELD", message: fmt.Sprintf(
		"Number of fields in header is different from the row. header = %d row = %d", header, row)}
}

func errQuoteSpace() *rowError {
	return &rowError{code: "INVALID_FIELD", message: "Failed to parse CSV. Found unescaped quote"}
}

func errDeserialize(column int, value string, f *field) *rowError {
	return &rowError{code: "INVALID_FIELD", fields: []string{f.Name}, message: fmt.Sprintf(
		"Failed to deserialize field at col %d. Due to, '%s' is not a valid value for the type %s", column, value, f.SoapType)}
}

func errForeignKey(value string, parent *object, key *field) *rowError {
	return &rowError{code: "INVALID_FIELD", message: fmt.Sprintf(
		"Foreign key external ID: %s not found for field %s in entity %s", value, key.Name, parent.Name)}
}

func errForeignKeyAmbiguous(value string, parent *object, key *field) *rowError {
	return &rowError{code: "INVALID_FIELD", message: fmt.Sprintf(
		"More than one record found for foreign key external ID: %s for field %s in entity %s", value, key.Name, parent.Name)}
}

func errBothReferences(f *field, value, id string) *rowError {
	return &rowError{code: "INVALID_FIELD", fields: []string{f.Name}, message: fmt.Sprintf(
		"cannot specify both an external ID reference %s and a salesforce id, %s", value, id)}
}

func errMissing(fields []*field) *rowError {
	names := fieldNames(fields)
	return &rowError{
		code: "REQUIRED_FIELD_MISSING", fields: names,
		message: "Required fields are missing: [" + strings.Join(names, ", ") + "]",
	}
}

func errNotWritable(fields []*field) *rowError {
	names := fieldNames(fields)
	return &rowError{code: "INVALID_FIELD_FOR_INSERT_UPDATE", fields: names, message: "Unable to create/update fields: " +
		strings.Join(names, ", ") + ". Please check the security settings of this field and verify that it is read/write for your profile or permission set."}
}

func errInsertWithID() *rowError {
	return &rowError{code: "INVALID_FIELD_FOR_INSERT_UPDATE", message: "cannot specify Id in an insert call", fields: []string{"Id"}}
}

func errReparent(f *field, id string) *rowError {
	return &rowError{code: "INVALID_FIELD_FOR_INSERT_UPDATE", fields: []string{f.Name}, message: fmt.Sprintf(
		"Attempting to update (as part of an upsert) parent field %s with new value %s, this relationship field is not updateable", f.Name, id)}
}

func errTooLong(f *field, value string) *rowError {
	return &rowError{
		code: "STRING_TOO_LONG", fields: []string{f.Name},
		message: fmt.Sprintf("%s: data value too large: %s (max length=%d)", f.Label, value, f.Length),
	}
}

func errPicklist(f *field, value string) *rowError {
	return &rowError{
		code: "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", fields: []string{f.Name},
		message: fmt.Sprintf("%s: bad value for restricted picklist field: %s", f.Label, value),
	}
}

func errEmail(f *field, value string) *rowError {
	return &rowError{
		code: "INVALID_EMAIL_ADDRESS", fields: []string{f.Name},
		message: fmt.Sprintf("%s: invalid email address: %s", f.Label, value),
	}
}

func errRange(f *field, value string) *rowError {
	return &rowError{
		code: "NUMBER_OUTSIDE_VALID_RANGE", fields: []string{f.Name},
		message: fmt.Sprintf("%s: value outside of valid range on numeric field: %s", f.Label, value),
	}
}

func errMalformedID(f *field, value string) *rowError {
	return &rowError{
		code: "MALFORMED_ID", fields: []string{f.Name},
		message: fmt.Sprintf("%s: id value of incorrect type: %s", f.Label, value),
	}
}

func errCrossReference(fields ...string) *rowError {
	return &rowError{code: "INVALID_CROSS_REFERENCE_KEY", message: "invalid cross reference id", fields: fields}
}

func errRecordType(f *field, value string) *rowError {
	return &rowError{
		code: "INVALID_CROSS_REFERENCE_KEY", fields: []string{f.Name},
		message: fmt.Sprintf("%s: this ID value isn't valid for the user: %s", f.Label, value),
	}
}

func errDeleted() *rowError {
	return &rowError{code: "ENTITY_IS_DELETED", message: "entity is deleted"}
}

func errNotSpecified(name string) *rowError {
	return &rowError{code: "MISSING_ARGUMENT", message: name + " not specified"}
}

func errTwiceInChunk(value string) *rowError {
	return &rowError{code: "DUPLICATE_VALUE", message: "Duplicate external id specified: " + value}
}

func errIDTwice(id string) *rowError {
	return &rowError{code: "DUPLICATE_VALUE", message: "duplicate id in list: " + id}
}

func errNotUnique(f *field, id string) *rowError {
	return &rowError{code: "DUPLICATE_VALUE", message: fmt.Sprintf(
		"duplicate value found: %s duplicates value on record with id: %s", f.Name, id)}
}

func errSeveralFound(f *field, ids []string) *rowError {
	return &rowError{code: "DUPLICATE_EXTERNAL_ID", message: fmt.Sprintf(
		"%s: more than one record found for external id field: [%s]", f.Label, strings.Join(ids, ", "))}
}

func errStorage() *rowError {
	return &rowError{code: "STORAGE_LIMIT_EXCEEDED", message: "storage limit exceeded"}
}

func errNoAccess() *rowError {
	return &rowError{code: "INSUFFICIENT_ACCESS_OR_READONLY", message: "insufficient access rights on object id"}
}

func fieldNames(fields []*field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}
