package extract

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// column is a column of the CSV with its encoder.
type column struct {
	Column
	valueType        // of a constant: none
	cell      []byte // of a constant: what is written
}

// keyColumn is a column of the key.
type keyColumn struct {
	index    int // in the select list
	typeName string
	key      encoder
	equals   equals
}

// newQuery picks the encoders for the columns of a described query.
func newQuery(tx pgx.Tx, spec Spec, fields []pgconn.FieldDescription, types catalog) (*Query, error) {
	q := &Query{tx: tx, spec: spec, formats: make([]int16, len(fields))}
	for _, c := range spec.Columns {
		column, err := newColumn(c, spec, fields, types)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", c.Header, err)
		}
		if c.Index >= 0 {
			q.formats[c.Index] = column.format
		}
		q.columns = append(q.columns, column)
	}
	for i, index := range spec.Key {
		key, format, err := newKeyColumn(index, fields, types)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", spec.KeyNames[i], err)
		}
		q.formats[index] = format
		q.keys = append(q.keys, key)
	}
	q.header = headerLine(spec.Columns)
	return q, nil
}

func newColumn(c Column, spec Spec, fields []pgconn.FieldDescription, types catalog) (column, error) {
	if c.Index < 0 {
		return newConstant(c, spec)
	}
	if c.Index >= len(fields) {
		return column{}, fmt.Errorf("it takes column %d of a query that has %d", c.Index+1, len(fields))
	}
	field := fields[c.Index]
	t, ok := types.resolve(field.DataTypeOID)
	if !ok {
		return column{}, fmt.Errorf("column %q has type %s, which has no form that Salesforce is sure to understand; cast it in the query, such as: %s",
			field.Name, types[field.DataTypeOID].SQLName, types.castFor(field.Name, field.DataTypeOID))
	}
	return column{Column: c, valueType: t}, nil
}

// newConstant makes the cell of a constant and finds what would be wrong with it
// in every record.
func newConstant(c Column, spec Spec) (column, error) {
	if c.ConstNull {
		return column{Column: c, cell: []byte(spec.Null)}, nil
	}
	value := unixLines([]byte(c.Const))
	if len(value) == 0 {
		return column{Column: c, cell: []byte(spec.Empty)}, nil
	}
	if why := checkText(value); why != nil {
		return column{}, fmt.Errorf("constant %q: %s", c.Const, why.message)
	}
	if chars := utf8.RuneCount(value); c.MaxChars > 0 && chars > c.MaxChars {
		return column{}, fmt.Errorf("constant %q: %s", c.Const, tooLong(chars, c.MaxChars).message)
	}
	c.Const = string(value)
	cell := bytes.Clone(value)
	if needsQuotes(cell) {
		cell = quoteFrom(cell, 0)
	}
	return column{Column: c, cell: cell}, nil
}

func newKeyColumn(index int, fields []pgconn.FieldDescription, types catalog) (keyColumn, int16, error) {
	if index < 0 || index >= len(fields) {
		return keyColumn{}, 0, fmt.Errorf("it takes column %d of a query that has %d", index+1, len(fields))
	}
	field := fields[index]
	name := types[field.DataTypeOID].SQLName
	t, ok := types.resolve(field.DataTypeOID)
	if !ok || t.key == nil {
		return keyColumn{}, 0, fmt.Errorf("column %q has type %s, which cannot be a key; cast it in the query, such as: %s::text",
			field.Name, name, pgx.Identifier{field.Name}.Sanitize())
	}
	return keyColumn{index: index, typeName: name, key: t.key, equals: t.equals}, t.format, nil
}

// headerLine is the first line of the CSV.
func headerLine(columns []Column) []byte {
	var line []byte
	for i, c := range columns {
		if i > 0 {
			line = append(line, ',')
		}
		start := len(line)
		line = append(line, c.Header...)
		if needsQuotes(line[start:]) {
			line = quoteFrom(line, start)
		}
	}
	return append(line, '\n')
}
