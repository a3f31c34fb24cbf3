package emulator

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// object is what the org knows of an sObject: its describe, indexed.
type object struct {
	objectDescribe
	raw  []byte // the describe as it is answered: as it was given, but for fields that were removed since
	full []byte // with those

	byName   map[string]*field // by folded name
	byRel    map[string]*field // by folded relationship name
	required []*field          // must have a value on insert
	defaults []fieldDefault    // what an insert gets that says nothing
	indexed  []*field          // fields whose values find records
	types    map[string]bool   // record type ids open to the user

	autoNumbers []*field
}

// fieldDefault is a value that Salesforce fills in on insert.
type fieldDefault struct {
	field *field
	value string
}

// objectDescribe is the part of a describe that rules need.
type objectDescribe struct {
	Name            string           `json:"name"`
	Label           string           `json:"label"`
	LabelPlural     string           `json:"labelPlural"`
	KeyPrefix       string           `json:"keyPrefix"`
	Custom          bool             `json:"custom"`
	Createable      bool             `json:"createable"`
	Updateable      bool             `json:"updateable"`
	Deletable       bool             `json:"deletable"`
	Queryable       bool             `json:"queryable"`
	Fields          []*field         `json:"fields"`
	RecordTypeInfos []recordTypeInfo `json:"recordTypeInfos"`
}

type recordTypeInfo struct {
	RecordTypeID string `json:"recordTypeId"`
	Available    bool   `json:"available"`
}

// field is a field of an object.
type field struct {
	Name              string          `json:"name"`
	Label             string          `json:"label"`
	Type              string          `json:"type"`
	SoapType          string          `json:"soapType"`
	Length            int             `json:"length"`
	Precision         int             `json:"precision"`
	Scale             int             `json:"scale"`
	Digits            int             `json:"digits"`
	Nillable          bool            `json:"nillable"`
	Createable        bool            `json:"createable"`
	Updateable        bool            `json:"updateable"`
	DefaultedOnCreate bool            `json:"defaultedOnCreate"`
	DefaultValue      any             `json:"defaultValue"`
	ExternalID        bool            `json:"externalId"`
	IDLookup          bool            `json:"idLookup"`
	Unique            bool            `json:"unique"`
	CaseSensitive     bool            `json:"caseSensitive"`
	RestrictedPick    bool            `json:"restrictedPicklist"`
	PicklistValues    []picklistValue `json:"picklistValues"`
	ReferenceTo       []string        `json:"referenceTo"`
	RelationshipName  string          `json:"relationshipName"`
	CascadeDelete     bool            `json:"cascadeDelete"`
	RestrictedDelete  bool            `json:"restrictedDelete"`
	Calculated        bool            `json:"calculated"`
	AutoNumber        bool            `json:"autoNumber"`
	NameField         bool            `json:"nameField"`
	ExtraTypeInfo     string          `json:"extraTypeInfo"`
	Filterable        bool            `json:"filterable"`
	Sortable          bool            `json:"sortable"`
	Custom            bool            `json:"custom"`
	Hidden            bool            `json:"hidden"` // ours: the field was removed, and keeps only its place

	position int // within its object
	slot     int // of its index, or -1
	kind     kind
	source   source
	picks    map[string]struct{}
	trim     bool // blanks around a value are no part of it
}

type picklistValue struct {
	Value        string `json:"value"`
	Active       bool   `json:"active"`
	DefaultValue bool   `json:"defaultValue"`
}

// kind is how values of a field are read, checked and shown.
type kind uint8

const (
	kindText kind = iota
	kindBoolean
	kindInt
	kindDouble
	kindDate
	kindDatetime
	kindTime
	kindReference
	kindPicklist
	kindMultipick
	kindEmail
	kindBase64
	kindCompound // address and location: read only, never stored
)

// source is where a field's value comes from.
type source uint8

const (
	sourceStored source = iota
	sourceID
	sourceDeleted
	sourceCreatedDate
	sourceCreatedBy
	sourceModifiedDate
	sourceModifiedBy
	sourceName // first and last name
	sourceNone
)

// loadSchema reads every describe at the root of a file system.
func loadSchema(files fs.FS, keepSpace bool) (map[string]*object, error) {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, fmt.Errorf("describes: %w", err)
	}
	schema := make(map[string]*object, len(names))
	prefixes := make(map[string]string, len(names))
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("describe %q: %w", name, err)
		}
		o, err := newObject(raw)
		if err != nil {
			return nil, fmt.Errorf("describe %q: %w", path.Base(name), err)
		}
		if other, taken := prefixes[o.KeyPrefix]; taken {
			return nil, fmt.Errorf("describe %q: key prefix %q is that of %s", name, o.KeyPrefix, other)
		}
		prefixes[o.KeyPrefix] = o.Name
		for _, f := range o.Fields {
			f.trim = !keepSpace && f.isText()
		}
		schema[fold(o.Name)] = o
	}
	if len(schema) == 0 {
		return nil, fmt.Errorf("describes: no *.json file")
	}
	return schema, nil
}

func newObject(raw []byte) (*object, error) {
	o := &object{
		raw: raw, full: raw, byName: map[string]*field{}, byRel: map[string]*field{}, types: map[string]bool{},
	}
	if err := json.Unmarshal(raw, &o.objectDescribe); err != nil {
		return nil, err
	}
	if o.Name == "" || len(o.KeyPrefix) != 3 || len(o.Fields) == 0 {
		return nil, fmt.Errorf("no describe of an object with records: name %q, keyPrefix %q, %d fields",
			o.Name, o.KeyPrefix, len(o.Fields))
	}
	if slices.ContainsFunc(o.Fields, func(f *field) bool { return f.Hidden }) {
		var err error
		if o.raw, err = describeShown(raw); err != nil {
			return nil, err
		}
	}
	for i, f := range o.Fields {
		f.position, f.slot = i, -1
		f.classify()
		if !f.Hidden {
			o.add(f)
		}
	}
	for _, t := range o.RecordTypeInfos {
		if id, ok := canonicalID(t.RecordTypeID); ok && t.Available {
			o.types[id] = true
		}
	}
	return o, nil
}

// add files a field under everything it is found by.
func (o *object) add(f *field) {
	o.byName[fold(f.Name)] = f
	if f.RelationshipName != "" {
		o.byRel[fold(f.RelationshipName)] = f
	}
	if f.AutoNumber && f.source == sourceStored {
		o.autoNumbers = append(o.autoNumbers, f)
	}
	if f.source == sourceStored && f.kind != kindCompound && (f.ExternalID || f.IDLookup || f.Unique || f.CascadeDelete) {
		f.slot = len(o.indexed)
		o.indexed = append(o.indexed, f)
	}
	if f.Createable && !f.Nillable && !f.DefaultedOnCreate && f.kind != kindBoolean {
		o.required = append(o.required, f)
	}
	if value, ok := f.defaultValue(); ok {
		o.defaults = append(o.defaults, fieldDefault{f, value})
	}
}

// defaultValue is what an insert without the field gets; the owner and
// autonumbers depend on the insert and are filled in by it.
func (f *field) defaultValue() (string, bool) {
	if f.source != sourceStored || !f.DefaultedOnCreate || f.AutoNumber {
		return "", false
	}
	switch v := f.DefaultValue.(type) {
	case bool:
		return "true", v
	case string:
		return v, v != ""
	}
	i := slices.IndexFunc(f.PicklistValues, func(p picklistValue) bool { return p.DefaultValue })
	if i < 0 {
		return "", false
	}
	return f.PicklistValues[i].Value, true
}

// classify works out how the field behaves from its describe.
func (f *field) classify() {
	switch f.Type {
	case "boolean":
		f.kind = kindBoolean
	case "int", "long":
		f.kind = kindInt
	case "double", "currency", "percent":
		f.kind = kindDouble
	case "date":
		f.kind = kindDate
	case "datetime":
		f.kind = kindDatetime
	case "time":
		f.kind = kindTime
	case "id", "reference":
		f.kind = kindReference
	case "picklist":
		f.kind = kindPicklist
	case "multipicklist":
		f.kind = kindMultipick
	case "email":
		f.kind = kindEmail
	case "base64":
		f.kind = kindBase64
	case "address", "location", "complexvalue":
		f.kind = kindCompound
	}
	f.picks = make(map[string]struct{}, len(f.PicklistValues))
	for _, p := range f.PicklistValues {
		if p.Active {
			f.picks[p.Value] = struct{}{}
		}
	}
	f.source = f.sourceOf()
}

func (f *field) sourceOf() source {
	switch f.Name {
	case "Id":
		return sourceID
	case "IsDeleted":
		return sourceDeleted
	case "CreatedDate":
		return sourceCreatedDate
	case "CreatedById":
		return sourceCreatedBy
	case "LastModifiedDate", "SystemModstamp":
		return sourceModifiedDate
	case "LastModifiedById":
		return sourceModifiedBy
	}
	switch {
	case f.ExtraTypeInfo == "personname":
		return sourceName
	case f.kind == kindCompound, f.Calculated:
		return sourceNone
	}
	return sourceStored
}

// isText reports whether a value may be any text.
func (f *field) isText() bool {
	return f.kind == kindText || f.kind == kindPicklist || f.kind == kindMultipick || f.kind == kindEmail
}

// field finds a field by name, whatever its letter case.
func (o *object) field(name string) (*field, bool) {
	f, ok := o.byName[fold(name)]
	return f, ok
}

// relationship finds the reference field behind a relationship name.
func (o *object) relationship(name string) (*field, bool) {
	f, ok := o.byRel[fold(name)]
	return f, ok
}

// finds reports whether records can be addressed by the field: upserts and
// relationship columns take only such.
func (f *field) finds() bool { return f.ExternalID || f.IDLookup }

func fold(s string) string { return strings.ToLower(s) }
