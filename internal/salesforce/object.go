package salesforce

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// Object is an object as the org describes it to our user: fields that the user may not see are not in it. REST API
// guide, "sObject Describe".
type Object struct {
	Name       string  `json:"name"` // API name, in the org's letter case
	Label      string  `json:"label"`
	KeyPrefix  string  `json:"keyPrefix"`
	Custom     bool    `json:"custom"`
	Createable bool    `json:"createable"`
	Updateable bool    `json:"updateable"`
	Deletable  bool    `json:"deletable"`
	Queryable  bool    `json:"queryable"`
	Fields     []Field `json:"fields"`
	// RecordTypes holds the master too, which stands for records without one.
	RecordTypes []RecordType `json:"recordTypeInfos"`
}

// RecordType is a record type of an [Object].
type RecordType struct {
	ID            string `json:"recordTypeId"`
	Name          string `json:"name"` // the label
	DeveloperName string `json:"developerName"`
	Active        bool   `json:"active"`
	Available     bool   `json:"available"` // to our user's profile
	Master        bool   `json:"master"`
}

// Field finds a field by its API name, compared without regard to case as Salesforce does.
func (o *Object) Field(name string) (Field, bool) {
	for _, f := range o.Fields {
		if strings.EqualFold(f.Name, name) {
			return f, true
		}
	}
	return Field{}, false
}

// Relationship finds the lookup field behind a relationship's name, such as Account for AccountId.
func (o *Object) Relationship(name string) (Field, bool) {
	for _, f := range o.Fields {
		if f.RelationshipName != "" && strings.EqualFold(f.RelationshipName, name) {
			return f, true
		}
	}
	return Field{}, false
}

// Field is a field of an [Object].
type Field struct {
	Name                  string     `json:"name"` // API name, in the org's letter case
	Label                 string     `json:"label"`
	Type                  string     `json:"type"` // string, reference, picklist, double, ...
	SOAPType              string     `json:"soapType"`
	Length                int        `json:"length"` // characters, of texts
	ByteLength            int        `json:"byteLength"`
	Precision             int        `json:"precision"` // digits in all, of numbers
	Scale                 int        `json:"scale"`     // digits after the point
	Digits                int        `json:"digits"`    // digits at most, of whole numbers
	Nillable              bool       `json:"nillable"`
	Createable            bool       `json:"createable"`
	Updateable            bool       `json:"updateable"`
	DefaultedOnCreate     bool       `json:"defaultedOnCreate"`
	Custom                bool       `json:"custom"`
	ExternalID            bool       `json:"externalId"`
	IDLookup              bool       `json:"idLookup"`
	Unique                bool       `json:"unique"`
	CaseSensitive         bool       `json:"caseSensitive"`
	NameField             bool       `json:"nameField"`
	AutoNumber            bool       `json:"autoNumber"`
	Calculated            bool       `json:"calculated"`
	Encrypted             bool       `json:"encrypted"`
	CompoundFieldName     string     `json:"compoundFieldName"`
	ReferenceTo           []string   `json:"referenceTo"`      // the objects that a lookup may point to
	RelationshipName      string     `json:"relationshipName"` // as used in Account.Ext__c; empty when there is none
	PolymorphicForeignKey bool       `json:"polymorphicForeignKey"`
	RestrictedPicklist    bool       `json:"restrictedPicklist"`
	DependentPicklist     bool       `json:"dependentPicklist"`
	ControllerName        string     `json:"controllerName"`
	PicklistValues        []Picklist `json:"picklistValues"`
}

// Required reports whether a new record needs a value for the field.
func (f Field) Required() bool { return f.Createable && !f.Nillable && !f.DefaultedOnCreate }

// Picklist is one value of a picklist field.
type Picklist struct {
	Value        string `json:"value"` // what is stored
	Label        string `json:"label"` // what is shown
	Active       bool   `json:"active"`
	DefaultValue bool   `json:"defaultValue"`
}

// ObjectSummary is an object in the list of all of them.
type ObjectSummary struct {
	Name          string `json:"name"`
	Label         string `json:"label"`
	KeyPrefix     string `json:"keyPrefix"`
	Custom        bool   `json:"custom"`
	CustomSetting bool   `json:"customSetting"`
	Createable    bool   `json:"createable"`
	Updateable    bool   `json:"updateable"`
	Deletable     bool   `json:"deletable"`
	Queryable     bool   `json:"queryable"`
}

// NotFoundError is an object that the org does not have, or does not show to our user.
type NotFoundError struct {
	Object string
}

// Error names the object.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("object %q: not in this org, or not visible to this user", e.Object)
}

var apiName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// Describe reads the fields of an object. An object that the org does not have is a *[NotFoundError], from which the
// caller can go on to suggest a name ([Org.Objects]).
func (o *Org) Describe(ctx context.Context, object string) (*Object, error) {
	if !apiName.MatchString(object) {
		return nil, &NotFoundError{Object: object}
	}
	var d Object
	err := o.get(ctx, fmt.Sprintf("describe %q", object), o.path("/sobjects/"+object+"/describe"), nil, &d)
	var refused *APIError
	if errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound && refused.Code == "NOT_FOUND" {
		return nil, &NotFoundError{Object: object}
	}
	if err != nil {
		return nil, err
	}
	return &d, nil
}

// Objects lists the org's objects that are visible to our user.
func (o *Org) Objects(ctx context.Context) ([]ObjectSummary, error) {
	var all struct {
		Objects []ObjectSummary `json:"sobjects"`
	}
	err := o.get(ctx, "list objects", o.path("/sobjects"), nil, &all)
	return all.Objects, err
}
