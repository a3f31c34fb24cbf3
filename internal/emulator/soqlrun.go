package emulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Query answers a query as the API does, without a login and without pages, for
// tests that run in the same process.
func (s *Server) Query(soql string) ([]map[string]any, error) {
	q, err := parseSOQL(soql)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	p, err := s.current().store.bind(q, false)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	if q.count || q.selects[0].count {
		return nil, fmt.Errorf("query: select fields, or count over HTTP: %s", soql)
	}
	raw := p.render(p.run(), "/services/data/v"+strconv.Itoa(MaxVersion)+".0")
	records := make([]map[string]any, len(raw))
	for i := range raw {
		if err := json.Unmarshal(raw[i], &records[i]); err != nil {
			return nil, fmt.Errorf("query: %w", err)
		}
		delete(records[i], "attributes")
	}
	return records, nil
}

// run returns the rows of a plan in order. It holds the store's lock for
// reading.
func (p *plan) run() []int32 {
	p.store.mu.RLock()
	defer p.store.mu.RUnlock()
	var rows []int32
	for n := range p.candidates() {
		if state := p.table.rows[n].state; state == rowGone || state == rowRecycled && !p.deleted {
			continue
		}
		if p.where == nil || p.where(n) {
			rows = append(rows, n)
		}
	}
	if len(p.sorts) > 0 {
		p.sort(rows)
	}
	rows = rows[min(p.query.offset, len(rows)):]
	if p.query.limit >= 0 {
		rows = rows[:min(p.query.limit, len(rows))]
	}
	return rows
}

// candidates are the rows that may match: all, or those an index names.
func (p *plan) candidates() func(func(int32) bool) {
	if p.narrow == nil {
		return func(yield func(int32) bool) {
			for n := range p.table.rows {
				if !yield(int32(n)) {
					return
				}
			}
		}
	}
	var found []int32
	for _, v := range p.narrow.values {
		if p.narrow.field.source == sourceID {
			id, _ := canonicalID(v)
			if n, ok := p.table.find(id); ok {
				found = append(found, n)
			}
			continue
		}
		if n, ok, more := p.table.indexes[p.narrow.field.slot].find(v); ok {
			found = append(append(found, n), more...)
		}
	}
	slices.Sort(found)
	return slices.Values(slices.Compact(found))
}

// sort orders rows, nulls first unless asked otherwise; ties keep the order of
// creation.
func (p *plan) sort(rows []int32) {
	orders := make([]func(a, b string) int, len(p.sorts))
	for i, ref := range p.sorts {
		orders[i] = ordered(ref.field)
	}
	slices.SortStableFunc(rows, func(a, b int32) int {
		for i, ref := range p.sorts {
			item := p.query.order[i]
			x, hasX, _ := p.value(ref, a)
			y, hasY, _ := p.value(ref, b)
			switch {
			case hasX && hasY:
				order := orders[i](x, y)
				if item.descending {
					order = -order
				}
				if order != 0 {
					return order
				}
			case hasX != hasY:
				order := cmp.Compare(boolInt(hasX), boolInt(hasY))
				if item.nullsLast {
					order = -order
				}
				return order
			}
		}
		return 0
	})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// counts answers COUNT(field) for each selected field.
func (p *plan) counts(rows []int32) []int {
	p.store.mu.RLock()
	defer p.store.mu.RUnlock()
	list := make([]int, len(p.columns))
	for i, ref := range p.columns {
		for _, n := range rows {
			if _, ok, _ := p.value(ref, n); ok {
				list[i]++
			}
		}
	}
	return list
}

// render prints rows as records of an answer.
func (p *plan) render(rows []int32, base string) []json.RawMessage {
	p.store.mu.RLock()
	defer p.store.mu.RUnlock()
	records := make([]json.RawMessage, len(rows))
	for i, n := range rows {
		records[i] = p.renderRow(n, base)
	}
	return records
}

// renderRow prints a record: its attributes, then the fields as selected, the
// fields of a parent together where the first of them stands.
func (p *plan) renderRow(n int32, base string) []byte {
	dst := appendAttributes(nil, p.table, n, base)
	done := map[*field]bool{}
	for _, ref := range p.columns {
		if ref.via == nil {
			dst = append(dst, ',')
			v, ok := p.store.value(p.table, n, ref.field)
			dst = appendField(dst, ref.field, v, ok)
			continue
		}
		if done[ref.via] {
			continue
		}
		done[ref.via] = true
		dst = p.appendParent(append(dst, ','), ref.via, n, base)
	}
	return append(dst, '}')
}

func (p *plan) appendParent(dst []byte, via *field, n int32, base string) []byte {
	dst = appendString(dst, via.RelationshipName)
	t, m, ok := p.parent(via, n)
	if !ok {
		return append(dst, ":null"...)
	}
	dst = appendAttributes(append(dst, ':'), t, m, base)
	for _, ref := range p.columns {
		if ref.via != via {
			continue
		}
		f, v, has := ref.fields[t], "", false
		if f == nil {
			f = ref.field
		} else {
			v, has = p.store.value(t, m, f)
		}
		dst = appendField(append(dst, ','), f, v, has)
	}
	return append(dst, '}')
}

// appendAttributes opens the object of a record.
func appendAttributes(dst []byte, t *table, n int32, base string) []byte {
	dst = append(dst, `{"attributes":{"type":`...)
	dst = appendString(dst, t.object.Name)
	dst = append(dst, `,"url":"`...)
	dst = append(dst, base...)
	dst = append(dst, "/sobjects/"...)
	dst = append(dst, t.object.Name...)
	dst = append(dst, '/')
	dst = appendID(dst, t.object.KeyPrefix, int64(n)+1)
	return append(dst, `"}`...)
}

// appendField prints a name and a value in the JSON of its type.
func appendField(dst []byte, f *field, value string, ok bool) []byte {
	dst = appendString(dst, f.Name)
	dst = append(dst, ':')
	if !ok {
		return append(dst, "null"...)
	}
	switch f.kind {
	case kindBoolean, kindInt:
		return append(dst, value...)
	case kindDouble:
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return append(dst, "null"...)
		}
		return appendJavaDouble(dst, v)
	}
	return appendString(dst, value)
}

func appendString(dst []byte, s string) []byte {
	raw, err := json.Marshal(s)
	if err != nil {
		return append(dst, `""`...)
	}
	return append(dst, raw...)
}
