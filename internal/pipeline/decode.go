package pipeline

import (
	"fmt"
	"regexp"
	"strings"

	"bulkhead/internal/yamlfile"
)

// namePattern is what pipelines and steps are called: they become parts of file names
// and arguments of commands.
const namePattern = `^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`

// apiName is the form of Salesforce's names for objects and fields.
const apiName = `[A-Za-z][A-Za-z0-9_]*`

// targetPattern is a field, or a parent by one of its fields; an object type
// goes before it where the parent may be of several (Bulk API 2.0 guide,
// 'Relationship Fields in a Header Row').
const targetPattern = `^(` + apiName + `:)?` + apiName + `(\.` + apiName + `)?$`

// Load reads and checks a pipeline file. A file with mistakes gives a
// *yamlfile.Error that lists all of them.
func Load(path string) (*Pipeline, error) {
	text, err := yamlfile.Read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, text)
}

// Parse is Load for a file that has been read; file is its name for messages.
func Parse(file string, text []byte) (*Pipeline, error) {
	d := &decoder{
		doc:    yamlfile.Parse(file, text),
		name:   regexp.MustCompile(namePattern),
		object: regexp.MustCompile(`^` + apiName + `$`),
		target: regexp.MustCompile(targetPattern),
	}
	p := d.pipeline()
	p.File, p.Text = file, text
	if err := d.doc.Err(); err != nil {
		return nil, err
	}
	p.Warnings = d.warnings
	return p, nil
}

// decoder takes one file apart and checks it on the way.
type decoder struct {
	doc                  *yamlfile.Document
	warnings             []yamlfile.Problem
	name, object, target *regexp.Regexp
}

// warn notes something to know that is no mistake.
func (d *decoder) warn(v yamlfile.Value, format string, args ...any) {
	d.warnings = append(d.warnings, d.doc.Problem(v.Pos(), v.Path(), format, args...))
}

func (d *decoder) pipeline() *Pipeline {
	p := &Pipeline{}
	m := d.doc.Root().Mapping()
	name := m.Require("name", "what to call this pipeline, such as crm-nightly")
	p.Name, p.NamePos = d.named(name), name.Pos()
	p.Description = m.Get("description").Text()
	source, org := m.Get("source"), m.Get("org")
	p.Source, p.SourcePos = source.NonEmpty(), source.Pos()
	p.Org, p.OrgPos = org.NonEmpty(), org.Pos()
	p.Schedule = d.schedule(m.Get("schedule"))
	p.OnDrift = DriftWarn
	if drift := m.Get("on_drift"); drift.Exists() {
		p.OnDrift = oneOf(drift, DriftWarn, DriftStop)
	}
	steps := m.Require("steps", "a list of what to load, one object each")
	items := steps.List()
	if steps.IsList() && len(items) == 0 {
		steps.Problem("there is no step: add one that begins with - name:")
	}
	checks := make([]needs, 0, len(items))
	for _, item := range items {
		step, needed := d.step(item)
		p.Steps = append(p.Steps, step)
		checks = append(checks, needs{step: step, value: item, needed: needed})
	}
	// Keys that begin with x- are the user's own: a place for YAML anchors.
	m.Close("x-")
	d.checkOrder(checks)
	return p
}

func (d *decoder) step(v yamlfile.Value) (*Step, []yamlfile.Value) {
	s := &Step{Pos: v.Pos()}
	m := v.Mapping()
	s.Name = d.named(m.Require("name", "what to call this step, such as accounts"))
	needed := m.Get("needs").List()
	for _, n := range needed {
		s.Needs = append(s.Needs, n.Text())
	}
	object := m.Require("object", "the API name of the Salesforce object, such as Account or Invoice__c")
	s.Object, s.ObjectPos = d.objectName(object), object.Pos()
	operation := m.Require("operation", "insert, update, upsert, delete or hardDelete")
	s.Operation = oneOf(operation, Insert, Update, Upsert, Delete, HardDelete)
	externalID := m.Get("external_id")
	s.ExternalID, s.ExternalIDPos = d.objectName(externalID), externalID.Pos()
	s.query = m.Require("query", "the SELECT that reads the rows from Postgres")
	s.Query, s.QueryPos = query(s.query), s.query.TextAt(1, 1)
	key := m.Require("key", "the column of the query, or the list of columns, that tells one row from another, such as id")
	s.Key, s.KeyPos = d.key(key), key.Pos()
	changes := m.Get("changes")
	s.Changes, s.ChangesPos = d.changes(changes, s.Operation), changes.Pos()
	d.nulls(s, m.Get("nulls"), m.Get("empty"))
	fields := m.Require("fields", "which Salesforce field gets which column, one line each, such as Name: name")
	s.Fields = d.fields(fields)
	s.Chunk = d.chunk(m.Get("chunk"))
	s.JobTimeout = m.Get("job_timeout").Duration(DefaultJobTimeout, MinJobTimeout, MaxJobTimeout)
	if canary := m.Get("canary"); canary.Exists() {
		s.Canary = number(canary, 1, MaxCanary)
	}
	s.StopWhen = d.stopWhen(m.Get("stop_when"))
	m.Close()
	d.checkStep(s, v, fields, externalID)
	return s, needed
}

// named decodes a name of the user's choice.
func (d *decoder) named(v yamlfile.Value) string {
	name := v.NonEmpty()
	if name != "" && !d.name.MatchString(name) {
		v.Problem("%q is no name: use up to 63 letters, digits, hyphens and underscores, beginning with a letter or a digit", name)
	}
	return name
}

// objectName decodes the API name of an object or of a field.
func (d *decoder) objectName(v yamlfile.Value) string {
	name := v.NonEmpty()
	if name != "" && !d.object.MatchString(name) {
		v.Problem("%q is no API name: Setup, Object Manager shows it, such as Account or Invoice__c", name)
	}
	return name
}

// key decodes one column or a list of them.
func (d *decoder) key(v yamlfile.Value) []string {
	if !v.IsList() {
		if column := v.NonEmpty(); column != "" {
			return []string{column}
		}
		return nil
	}
	items := v.List()
	if len(items) == 0 {
		v.Problem("the list is empty: name at least one column of the query")
	}
	var columns []string
	seen := map[string]bool{}
	for _, item := range items {
		column := item.NonEmpty()
		if seen[column] && column != "" {
			item.Problem("the column %q is named twice", column)
		}
		seen[column] = true
		columns = append(columns, column)
	}
	return columns
}

// query decodes a query, without the semicolons that people end one with: it
// becomes a part of a larger one.
func query(v yamlfile.Value) string {
	text := v.NonEmpty()
	trimmed := strings.TrimRight(text, "; \t\r\n")
	if text != "" && trimmed == "" {
		v.Problem("is empty: write the SELECT that reads the rows")
	}
	return trimmed
}

// nulls decodes what a NULL does, and what an empty text does, which is the
// same where the file does not say otherwise.
func (d *decoder) nulls(s *Step, nulls, empty yamlfile.Value) {
	s.Nulls = NullsKeep
	if nulls.Exists() {
		s.Nulls = oneOf(nulls, NullsClear, NullsKeep)
	}
	s.Empty = s.Nulls
	if empty.Exists() {
		s.Empty = oneOf(empty, NullsClear, NullsKeep)
	}
}

// oneOf decodes a word of a closed list.
func oneOf[T ~string](v yamlfile.Value, words ...T) T { return yamlfile.OneOf(v, words...) }

// at names a line for a message about two places.
func at(p Pos) string { return fmt.Sprintf("line %d", p.Line) }
