package pipeline

import (
	"fmt"
	"strings"
)

// alias is what the user's query is called in the SQL around it.
const alias = "source"

// Projection is the SQL that the rows of a step are read with. Each distinct
// expression is selected once; keys and fields refer to it by index.
type Projection struct {
	Query    string   // the user's query
	Select   []string // SQL expressions: first the key columns, then the fields
	Key      []int    // indexes into Select
	KeyNames []string // columns of the query
	Fields   []ProjectedField
}

// ProjectedField is a field with the place of its value.
type ProjectedField struct {
	Target    string
	Index     int    // into Select; -1 for a constant
	Const     string // the constant
	ConstNull bool   // the constant is null
}

// Compile turns the mapping of a step into a projection.
func (s *Step) Compile() Projection {
	p := Projection{Query: s.Query, KeyNames: s.Key}
	index := map[string]int{}
	pick := func(expression string) int {
		i, known := index[expression]
		if !known {
			i = len(p.Select)
			index[expression] = i
			p.Select = append(p.Select, expression)
		}
		return i
	}
	for _, column := range s.Key {
		p.Key = append(p.Key, pick(columnOf(column)))
	}
	for _, f := range s.Fields {
		field := ProjectedField{Target: f.Target, Index: -1, ConstNull: f.Null}
		switch {
		case f.Value != nil:
			field.Const = *f.Value
		case f.Column != "":
			field.Index = pick(columnOf(f.Column))
		case f.SQL != "":
			field.Index = pick(expressionOf(f.SQL))
		}
		p.Fields = append(p.Fields, field)
	}
	return p
}

// SQL is the whole statement, ordered by the key. where is a condition over
// KeyExpr, with its own parameters, or empty; limit is a number of rows, or 0
// for all. The query stands on lines of its own, so that a comment at its end
// cannot swallow what follows, and a place in it can be found again.
func (p Projection) SQL(where string, limit int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SELECT %s\nFROM (\n%s\n) AS %s", strings.Join(p.Select, ", "), p.Query, alias)
	if where != "" {
		b.WriteString("\nWHERE " + where)
	}
	order := make([]string, len(p.Key))
	for i := range p.Key {
		order[i] = p.KeyExpr(i)
	}
	b.WriteString("\nORDER BY " + strings.Join(order, ", "))
	if limit > 0 {
		fmt.Fprintf(&b, "\nLIMIT %d", limit)
	}
	return b.String()
}

// Only is SQL that selects nothing but the i-th expression, in no order: for
// finding out which expression of several does not work.
func (p Projection) Only(i int) string {
	return fmt.Sprintf("SELECT %s\nFROM (\n%s\n) AS %s", p.Select[i], p.Query, alias)
}

// Sample is SQL that selects some of the expressions, as v0, v1 and so on, of at
// most limit rows, whichever the database finds first.
func (p Projection) Sample(limit int64, expressions ...int) string {
	selected := make([]string, len(expressions))
	for i, e := range expressions {
		selected[i] = fmt.Sprintf("%s AS v%d", p.Select[e], i)
	}
	return fmt.Sprintf("SELECT %s\nFROM (\n%s\n) AS %s\nLIMIT %d", strings.Join(selected, ", "), p.Query, alias, limit)
}

// KeyExpr is the SQL of the i-th key column.
func (p Projection) KeyExpr(i int) string {
	return p.Select[p.Key[i]]
}

// SortAsText makes the i-th key column a text that sorts by its bytes, as in every database, whatever
// the type and the collation of the column.
func (p *Projection) SortAsText(i int) {
	expression := "(" + p.KeyExpr(i) + `::text COLLATE "C")`
	p.Key[i] = len(p.Select)
	p.Select = append(p.Select, expression)
}

// ColumnExpr is the SQL of a column of the query.
func (p Projection) ColumnExpr(name string) string { return columnOf(name) }

// columnOf is the SQL for a column of the query.
func columnOf(name string) string {
	return alias + `."` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// expressionOf is the SQL for an expression of the user's. It ends its own
// line, so that a comment in it cannot swallow the bracket.
func expressionOf(sql string) string {
	return "(" + strings.TrimSpace(sql) + "\n)"
}
