package emulator

import (
	"fmt"
	"net/http"
	"strings"
)

// plan is a query whose names are resolved against the org.
type plan struct {
	query   *soql
	store   *store
	table   *table
	deleted bool // of queryAll: the recycle bin too
	columns []reference
	sorts   []reference
	where   func(int32) bool // nil takes all
	narrow  *narrowing
}

// reference is a field of the object, or of a parent one relationship away.
type reference struct {
	name   string // of the field, as the describe writes it
	via    *field // nil without a relationship
	fields map[*table]*field
	field  *field // any of them: they are of one type
}

// narrowing is a condition that an index can answer.
type narrowing struct {
	field  *field
	values []string
}

// bind resolves a query. The store's lock is not needed: objects do not change.
func (s *store) bind(q *soql, deleted bool) (*plan, error) {
	t, ok := s.table(q.object.text)
	if !ok || !t.object.Queryable {
		return nil, queryError("INVALID_TYPE", q.text, q.object.pos, fmt.Sprintf("sObject type '%s' is not supported. If you are attempting to use a custom object, "+
			"be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names.", q.object.text))
	}
	p := &plan{query: q, store: s, table: t, deleted: deleted}
	for _, item := range q.selects {
		ref, err := p.resolve(item.fieldPath)
		if err != nil {
			return nil, err
		}
		p.columns = append(p.columns, ref)
	}
	if err := p.checkSelect(); err != nil {
		return nil, err
	}
	for _, item := range q.order {
		ref, err := p.resolve(item.fieldPath)
		if err != nil {
			return nil, err
		}
		if !ref.field.Sortable {
			return nil, queryError("MALFORMED_QUERY", q.text, item.pos, fmt.Sprintf("field '%s' can not be sorted in a query call", item.text))
		}
		p.sorts = append(p.sorts, ref)
	}
	if q.where == nil {
		return p, nil
	}
	var err error
	p.where, err = p.condition(q.where)
	p.narrow = p.indexable(q.where)
	return p, err
}

// checkSelect refuses what cannot be selected together.
func (p *plan) checkSelect() error {
	aggregates := 0
	seen := map[string]bool{}
	for i, item := range p.query.selects {
		if item.count {
			aggregates++
			continue
		}
		ref := p.columns[i]
		if key := fold(item.text); seen[key] {
			return refuse(http.StatusBadRequest, "INVALID_FIELD", "duplicate field selected: %s", ref.name)
		}
		seen[fold(item.text)] = true
		if aggregates > 0 {
			return queryError("MALFORMED_QUERY", p.query.text, item.pos, "Field must be grouped or aggregated: "+item.text)
		}
	}
	if aggregates > 0 && aggregates < len(p.query.selects) {
		return queryError("MALFORMED_QUERY", p.query.text, p.query.selects[0].pos, "Field must be grouped or aggregated: "+p.query.selects[0].text)
	}
	return nil
}

func (p *plan) resolve(at fieldPath) (reference, error) {
	relationship, name, related := strings.Cut(at.text, ".")
	if !related {
		f, ok := p.table.object.field(at.text)
		if !ok {
			return reference{}, p.noColumn(at, at.text, p.table.object.Name)
		}
		return reference{name: f.Name, fields: map[*table]*field{p.table: f}, field: f}, nil
	}
	via, ok := p.table.object.relationship(relationship)
	if !ok || strings.Contains(name, ".") {
		return reference{}, p.noRelationship(at, relationship)
	}
	ref := reference{via: via, fields: map[*table]*field{}}
	known := false
	for _, target := range via.ReferenceTo {
		t, ok := p.store.table(target)
		if !ok {
			continue
		}
		known = true
		if f, ok := t.object.field(name); ok {
			ref.fields[t], ref.field, ref.name = f, f, f.Name
		}
	}
	switch {
	case !known:
		return reference{}, p.noRelationship(at, relationship)
	case ref.field == nil:
		return reference{}, p.noColumn(at, name, via.ReferenceTo[0])
	}
	return ref, nil
}

func (p *plan) noColumn(at fieldPath, name, object string) error {
	return queryError("INVALID_FIELD", p.query.text, at.pos, fmt.Sprintf("No such column '%s' on entity '%s'. If you are attempting to use a custom field, "+
		"be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.", name, object))
}

func (p *plan) noRelationship(at fieldPath, name string) error {
	return queryError("INVALID_FIELD", p.query.text, at.pos, fmt.Sprintf("Didn't understand relationship '%s' in field path. If you are attempting to use a custom relationship, "+
		"be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.", name))
}

// value reads a reference of a row. parent is false when the relationship
// leads nowhere.
func (p *plan) value(ref reference, n int32) (value string, ok, parent bool) {
	if ref.via == nil {
		value, ok = p.store.value(p.table, n, ref.field)
		return value, ok, true
	}
	t, m, found := p.parent(ref.via, n)
	if !found {
		return "", false, false
	}
	if f := ref.fields[t]; f != nil {
		value, ok = p.store.value(t, m, f)
	}
	return value, ok, true
}

// parent follows a reference field.
func (p *plan) parent(via *field, n int32) (*table, int32, bool) {
	id, ok := p.store.value(p.table, n, via)
	if !ok {
		return nil, 0, false
	}
	for _, target := range via.ReferenceTo {
		if t, ok := p.store.table(target); ok {
			if m, ok := t.find(id); ok && t.rows[m].state == rowLive {
				return t, m, true
			}
		}
	}
	return nil, 0, false
}

// condition turns a node of the WHERE clause into a function of the row.
func (p *plan) condition(c condition) (func(int32) bool, error) {
	switch c := c.(type) {
	case negation:
		of, err := p.condition(c.of)
		if err != nil {
			return nil, err
		}
		return func(n int32) bool { return !of(n) }, nil
	case junction:
		return p.junction(c)
	case *comparison:
		return p.comparison(c)
	}
	return nil, fmt.Errorf("unknown condition %T", c)
}

func (p *plan) junction(j junction) (func(int32) bool, error) {
	parts := make([]func(int32) bool, len(j.parts))
	for i, c := range j.parts {
		part, err := p.condition(c)
		if err != nil {
			return nil, err
		}
		parts[i] = part
	}
	return func(n int32) bool {
		for _, part := range parts {
			if part(n) != j.and {
				return !j.and
			}
		}
		return j.and
	}, nil
}

func (p *plan) comparison(c *comparison) (func(int32) bool, error) {
	ref, err := p.resolve(c.fieldPath)
	if err != nil {
		return nil, err
	}
	if !ref.field.Filterable {
		return nil, queryError("INVALID_FIELD", p.query.text, c.pos, fmt.Sprintf("field '%s' can not be filtered in a query call", c.text))
	}
	order := ordered(ref.field)
	values := make([]literal, len(c.values))
	for i, v := range c.values {
		if values[i], err = p.literal(c, ref.field, v); err != nil {
			return nil, err
		}
	}
	first := values[0]
	switch c.op {
	case "LIKE":
		return func(n int32) bool {
			v, ok, _ := p.value(ref, n)
			return ok && like(fold(v), fold(first.text))
		}, nil
	case "IN", "NOT IN":
		return p.membership(ref, values, c.op == "IN"), nil
	}
	return func(n int32) bool {
		v, ok, _ := p.value(ref, n)
		if first.null || !ok {
			// Null equals null only, and everything else differs from it.
			return c.op == "=" && first.null && !ok || c.op == "!=" && first.null == ok
		}
		return holds(c.op, order(v, first.text))
	}, nil
}

func (p *plan) membership(ref reference, values []literal, in bool) func(int32) bool {
	set := make(map[string]bool, len(values))
	null := false
	for _, v := range values {
		null = null || v.null
		set[canonicalText(ref.field, v.text)] = !v.null
	}
	return func(n int32) bool {
		v, ok, _ := p.value(ref, n)
		if !ok {
			return null == in
		}
		return set[canonicalText(ref.field, v)] == in
	}
}

// literal is a value of the query in the form that the store keeps.
type literal struct {
	text string
	null bool
}

func (p *plan) literal(c *comparison, f *field, v token) (literal, error) {
	if v.kind == tokenWord && strings.EqualFold(v.text, "null") {
		return literal{null: true}, nil
	}
	bare := f.kind == kindBoolean || f.kind == kindInt || f.kind == kindDouble ||
		f.kind == kindDate || f.kind == kindDatetime || f.kind == kindTime
	if bare == (v.kind == tokenString) {
		quotes := "must be enclosed in quotes"
		if bare {
			quotes = "should not be enclosed in quotes"
		}
		return literal{}, queryError("INVALID_FIELD", p.query.text, c.pos, fmt.Sprintf(
			"value of filter criterion for field '%s' must be of type %s and %s", c.text, f.Type, quotes))
	}
	if !bare {
		return literal{text: canonicalText(f, v.text)}, nil
	}
	if f.kind == kindInt || f.kind == kindDouble {
		if _, ok := parseDouble(v.text); ok {
			return literal{text: v.text}, nil
		}
	} else if text, ok := f.deserialize(v.text); ok {
		return literal{text: text}, nil
	}
	return literal{}, queryError("INVALID_FIELD", p.query.text, c.pos, fmt.Sprintf(
		"value of filter criterion for field '%s' must be of type %s", c.text, f.Type))
}

// indexable finds a condition at the top that must hold and that an index
// answers.
func (p *plan) indexable(c condition) *narrowing {
	switch c := c.(type) {
	case junction:
		for _, part := range c.parts {
			if n := p.indexable(part); n != nil && c.and {
				return n
			}
		}
	case *comparison:
		f, ok := p.table.object.field(c.text)
		if !ok || c.op != "=" && c.op != "IN" || f.source != sourceID && (f.slot < 0 || p.deleted || f.kind == kindDouble) {
			return nil
		}
		n := &narrowing{field: f}
		for _, v := range c.values {
			if v.kind != tokenString {
				return nil
			}
			n.values = append(n.values, v.text)
		}
		return n
	}
	return nil
}
