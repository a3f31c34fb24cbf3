package preflight

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"bulkhead/internal/nearest"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/salesforce"
)

// describe asks the org for an object, once; nil where it has none.
func (c *checker) describe(ctx context.Context, name string) (*salesforce.Object, error) {
	key := strings.ToLower(name)
	if object, known := c.objects[key]; known {
		return object, nil
	}
	object, err := c.org.Describe(ctx, name)
	var missing *salesforce.NotFoundError
	if err != nil && !errors.As(err, &missing) {
		return nil, err
	}
	c.objects[key] = object
	return object, nil
}

// checkObject checks what the step writes.
func (s *stepCheck) checkObject(ctx context.Context) error {
	s.fields = make([]*salesforce.Field, len(s.step.Fields))
	object, err := s.describe(ctx, s.step.Object)
	if err != nil {
		return err
	}
	if object == nil {
		s.useObject()
		s.fault(s.step.ObjectPos, "", fmt.Sprintf("this org has no object %q, or the integration user may not see it", s.step.Object), s.suggestObject(ctx))
		return nil
	}
	s.plan.Object = object
	s.useObject()
	s.checkOperation()
	s.checkExternalID()
	if err := s.checkFields(ctx); err != nil {
		return err
	}
	s.checkRequired()
	return nil
}

// suggestObject says which object may be meant.
func (s *stepCheck) suggestObject(ctx context.Context) string {
	if s.names == nil {
		// Only the suggestion is lost with an error; the finding stands.
		s.names, _ = s.org.Objects(ctx)
	}
	names := make([]string, len(s.names))
	for i, o := range s.names {
		if strings.EqualFold(o.Label, s.step.Object) {
			return fmt.Sprintf("%q is its label, its API name is %s", o.Label, o.Name)
		}
		names[i] = o.Name
	}
	if near, ok := nearest.Name(s.step.Object, names); ok {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "Setup, Object Manager shows the API names; an admin can grant the object in a permission set"
}

// checkOperation checks whether the integration user may do this to the object.
func (s *stepCheck) checkOperation() {
	object, operation := s.plan.Object, s.step.Operation
	var lacks []string
	if operation.Creates() && !object.Createable {
		lacks = append(lacks, "create")
	}
	if (operation == pipeline.Update || operation == pipeline.Upsert) && !object.Updateable {
		lacks = append(lacks, "edit")
	}
	if operation.Deletes() && !object.Deletable {
		lacks = append(lacks, "delete")
	}
	if len(lacks) > 0 {
		s.fault(s.step.ObjectPos, "", fmt.Sprintf("the integration user may not %s records of %s", strings.Join(lacks, " and "), object.Name),
			"an admin can grant it in a permission set; some objects of Salesforce's own do not allow it at all")
	}
}

// checkExternalID checks the field that an upsert goes by. That the object has
// it at all is checked with the other fields.
func (s *stepCheck) checkExternalID() {
	if s.step.Operation != pipeline.Upsert {
		return
	}
	field, ok := s.plan.Object.Field(s.step.ExternalID)
	if !ok {
		return
	}
	s.plan.ExternalIDCaseSensitive = field.CaseSensitive
	if !field.ExternalID && !field.IDLookup {
		s.fault(s.step.ExternalIDPos, field.Name, "is not marked as an external id in Salesforce, so an upsert cannot go by it",
			s.suggestKeys(s.plan.Object))
		return
	}
	if field.ExternalID && !field.Unique {
		s.warn(s.step.ExternalIDPos, field.Name, "is an external id but not unique: where two records have the same value, an upsert fails for it",
			`mark it as "Unique" in Setup, Object Manager`)
	}
}

// suggestKeys lists the fields of an object that records can be found by.
func (s *stepCheck) suggestKeys(object *salesforce.Object) string {
	var names []string
	for _, f := range object.Fields {
		if f.ExternalID || f.IDLookup && f.Name != "Id" {
			names = append(names, f.Name)
		}
	}
	if len(names) == 0 {
		return fmt.Sprintf(`%s has no such field yet: add one in Setup, Object Manager, and mark it "External ID"`, object.Name)
	}
	return fmt.Sprintf(`%s has %s; or mark the field "External ID" in Setup, Object Manager`, object.Name, strings.Join(names, ", "))
}

// checkRequired checks that a new record gets what it must have. An upsert of
// records that are all there needs no more than what it changes.
func (s *stepCheck) checkRequired() {
	if !s.step.Operation.Creates() {
		return
	}
	mapped := map[string]bool{}
	for _, f := range s.fields {
		if f != nil {
			mapped[f.Name] = true
		}
	}
	for _, f := range s.plan.Object.Fields {
		if !f.Required() || f.Type == "boolean" || mapped[f.Name] {
			continue
		}
		if s.step.Operation == pipeline.Insert {
			s.fault(s.step.Pos, f.Name, "is required for a new record, and is not mapped", "add it to fields")
		} else {
			s.warn(s.step.Pos, f.Name, "is required for a new record, and is not mapped: records that are not in Salesforce yet will fail",
				"add it to fields, unless all of them are there")
		}
	}
}
