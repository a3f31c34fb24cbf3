package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// Alteration is what an administrator does to an object between two loads.
type Alteration struct {
	// Field is the API name of the field that changes; empty changes the
	// object itself. One that the object does not have is added.
	Field string `json:"field,omitempty"`
	// Set gives properties of the describe new values: {"name": "Region__c"}
	// renames a field, {"createable": false} takes a permission away,
	// {"picklistValues": [...]} says what a picklist has.
	Set map[string]any `json:"set,omitempty"`
	// Remove takes the field out, as deleting it or hiding it by field-level
	// security does. Its values are lost to whoever adds it again.
	Remove bool `json:"remove,omitempty"`
}

// Alter changes an object, until Reset. It is refused while a job is open or
// being processed: what becomes of those is not documented.
func (s *Server) Alter(name string, a Alteration) error {
	s.orgMu.Lock()
	defer s.orgMu.Unlock()
	o, ok := s.org.schema[fold(name)]
	if !ok {
		return fmt.Errorf("object %q: there is none", name)
	}
	if s.org.jobs.busy() {
		return fmt.Errorf("object %q: a job is open or being processed; end it first", name)
	}
	changed, err := o.altered(a)
	if err != nil {
		return fmt.Errorf("object %q: %w", name, err)
	}
	for _, f := range changed.Fields {
		f.trim = !s.cfg.Modes.KeepSpace && f.isText()
	}
	fresh := *s.org
	fresh.changed = s.clock.Now()
	fresh.store = s.org.store.with(changed)
	fresh.schema = make(map[string]*object, len(s.org.schema))
	maps.Copy(fresh.schema, s.org.schema)
	fresh.schema[fold(name)] = changed
	s.org = &fresh
	return nil
}

// alter answers the endpoint for Alter.
func (s *Server) alter(r *http.Request, object string) (any, error) {
	var a Alteration
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&a); err != nil {
		return nil, err
	}
	return done{true}, s.Alter(object, a)
}

// busy reports whether a job is not over.
func (js *jobs) busy() bool {
	return slices.ContainsFunc(js.all(), func(j *job) bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		return !j.state.ended()
	})
}

// altered is the object after a change. Its fields keep their places, by which
// records hold their values.
func (o *object) altered(a Alteration) (*object, error) {
	var describe map[string]any
	if err := json.Unmarshal(o.full, &describe); err != nil {
		return nil, err
	}
	target := describe
	if a.Field != "" {
		fields, _ := describe["fields"].([]any)
		if f, ok := o.field(a.Field); ok {
			target, _ = fields[f.position].(map[string]any)
		} else {
			target = map[string]any{"name": a.Field, "label": a.Field, "nillable": true, "createable": true, "updateable": true}
			describe["fields"] = append(fields, target)
		}
	}
	switch {
	case a.Remove && a.Field == "":
		return nil, errors.New("only a field can be removed")
	case a.Remove:
		target["hidden"] = true
	}
	maps.Copy(target, a.Set)
	if a.Field != "" && target["type"] == nil {
		return nil, fmt.Errorf("field %q: there is none; to add it, set its type", a.Field)
	}
	raw, err := json.Marshal(describe)
	if err != nil {
		return nil, err
	}
	return newObject(raw)
}

// describeShown is a describe without the fields that were removed.
func describeShown(full []byte) ([]byte, error) {
	var describe map[string]any
	if err := json.Unmarshal(full, &describe); err != nil {
		return nil, err
	}
	fields, _ := describe["fields"].([]any)
	describe["fields"] = slices.DeleteFunc(fields, func(f any) bool {
		field, _ := f.(map[string]any)
		return field["hidden"] == true
	})
	return json.Marshal(describe)
}

// shown are the fields that have not been removed.
func (o *object) shown() []*field {
	return slices.DeleteFunc(slices.Clone(o.Fields), func(f *field) bool { return f.Hidden })
}

// with is the store with one of its objects changed, and the same records.
func (s *store) with(o *object) *store {
	s.mu.RLock()
	defer s.mu.RUnlock()
	fresh := &store{tables: make(map[string]*table, len(s.tables)), users: s.users, records: s.records}
	maps.Copy(fresh.tables, s.tables)
	before := s.tables[fold(o.Name)]
	t := newTable(o)
	t.rows, t.live = before.rows, before.live
	for n := range t.rows {
		if t.rows[n].state == rowLive {
			t.reindex(int32(n), "", t.rows[n].values)
		}
	}
	fresh.tables[fold(o.Name)] = t
	return fresh
}
