package pipeline

import (
	"math/big"
	"strings"

	"bulkhead/internal/yamlfile"
)

// fields decodes the mapping, keeping the order of the file: it is the order
// of the columns in what is uploaded.
func (d *decoder) fields(v yamlfile.Value) []Field {
	m := v.Mapping()
	entries := m.Entries()
	if v.IsMapping() && len(entries) == 0 {
		v.Problem("there is no field: map at least one, such as Name: name")
	}
	fields := make([]Field, 0, len(entries))
	seen := map[string]Field{}
	for _, e := range entries {
		f := d.field(e)
		if !d.target.MatchString(f.Target) {
			d.doc.Report(e.Pos, e.Path, "%q is no field: write its API name, such as Name or Region__c, or for a parent its relationship and external id, such as Account.Legacy_Id__c (one level only)", f.Target)
		}
		folded := strings.ToLower(f.Target)
		if first, twice := seen[folded]; twice && first.Target != f.Target {
			d.doc.Report(e.Pos, e.Path, "this is the same field as %q on %s: Salesforce does not tell upper from lower case, so remove one", first.Target, at(first.Pos))
		}
		seen[folded] = f
		fields = append(fields, f)
	}
	return fields
}

// field decodes one line of the mapping: a column, or a block that says what
// else the value is.
func (d *decoder) field(e yamlfile.Entry) Field {
	f := Field{Target: e.Key, Pos: e.Pos, From: e.Value.Pos()}
	if !e.Value.IsMapping() {
		if e.Value.IsText() {
			f.Column = e.Value.NonEmpty()
		} else {
			e.Value.Problem(`must be a column of the query, or a block such as { sql: "price / 100.0" } or { value: Web }`)
		}
		return f
	}
	m := e.Value.Mapping()
	column, sql, value := m.Get("column"), m.Get("sql"), m.Get("value")
	m.Close()
	given := 0
	for _, one := range []yamlfile.Value{column, sql, value} {
		if one.Exists() {
			given++
			f.From = one.Pos()
		}
	}
	if given != 1 {
		e.Value.Problem("say where the value comes from, in exactly one way: column, sql or value")
		return f
	}
	f.Column, f.SQL = column.NonEmpty(), sql.NonEmpty()
	d.constant(&f, value)
	return f
}

// constant decodes the same value for every record, as the text that is sent.
func (d *decoder) constant(f *Field, v yamlfile.Value) {
	if !v.Exists() {
		return
	}
	text, kind, ok := v.Scalar()
	switch {
	case !ok:
		v.Problem("must be a single value: a text, a number, true, false or null")
		return
	case kind == "null" && text == "":
		v.Problem("has no value: write null to empty the field in every record")
		return
	case kind == "null":
		f.Null = true
		return
	case kind == "bool":
		text = strings.ToLower(text)
	case kind == "int" && !canonical(text):
		v.Problem(`is read by YAML as a number, not as it stands: write it in quotes, as "%s"`, text)
	case kind == "float" && strings.Trim(text, "+-0123456789.eE") != "":
		v.Problem("is no number that Salesforce knows")
	case kind != "str" && kind != "int" && kind != "float" && kind != "timestamp":
		v.Problem("must be a text, a number, true, false or null")
	}
	f.Value = &text
}

// canonical says whether digits mean what they look like: 007, 0x1F and 1_000
// do not.
func canonical(digits string) bool {
	n, ok := new(big.Int).SetString(digits, 10)
	return ok && n.String() == digits
}
