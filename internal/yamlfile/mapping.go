package yamlfile

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"bulkhead/internal/nearest"
)

// Mapping is a block of keys. Get marks a key as known; Close then reports the
// keys that nobody asked for, so none can be forgotten or misspelt in silence.
type Mapping struct {
	value   Value
	entries []Entry
	index   map[string]int // of entries, by key
	known   []string
	missing []missing
	seen    map[*yaml.Node]bool
}

// missing is a key that must be there, and is not.
type missing struct{ key, why string }

// Entry is one key of a mapping with its value.
type Entry struct {
	Key   string
	Pos   Pos    // of the key
	Path  string // of the value
	Value Value
}

// Mapping returns the keys of the value in file order, those merged in by "<<"
// last, and reports keys that are given twice. It is never nil: for a missing
// value, or one of another kind, it is empty.
func (v Value) Mapping() *Mapping {
	m := &Mapping{value: v, index: map[string]int{}, seen: map[*yaml.Node]bool{}}
	if !v.Exists() {
		return m
	}
	if !v.IsMapping() {
		v.wrongKind(`a block of keys ("key: value" lines)`)
		return m
	}
	m.add(v.target(), false)
	return m
}

// Entries returns all keys in file order and marks them as known.
func (m *Mapping) Entries() []Entry {
	for _, e := range m.entries {
		m.known = append(m.known, e.Key)
	}
	return m.entries
}

// Get returns the value of a key; the zero Value where the file has none.
func (m *Mapping) Get(key string) Value {
	m.known = append(m.known, key)
	if i, ok := m.index[key]; ok {
		return m.entries[i].Value
	}
	return Value{}
}

// Require is Get for a key that must be there; why says what it is for. Close
// reports it where it is missing.
func (m *Mapping) Require(key, why string) Value {
	v := m.Get(key)
	if !v.Exists() && m.value.Exists() && m.value.IsMapping() {
		m.missing = append(m.missing, missing{key, why})
	}
	return v
}

// Close reports the keys that were not asked for, each with the nearest right
// name, and the required keys that are missing, unless one of the former was
// meant to be it. Keys that begin with one of the prefixes are let through.
func (m *Mapping) Close(prefixes ...string) {
	meant := map[string]bool{}
	for _, e := range m.entries {
		if slices.Contains(m.known, e.Key) || hasPrefix(e.Key, prefixes) {
			continue
		}
		if name, ok := nearest.Name(e.Key, m.known); ok {
			meant[name] = true
			m.report(e, "unknown key %s; did you mean %q?", m.quoted(e.Key), name)
			continue
		}
		m.report(e, "unknown key %s; the keys here are %s", m.quoted(e.Key), strings.Join(m.known, ", "))
	}
	for _, required := range m.missing {
		if !meant[required.key] {
			m.value.Problem("the key %q is missing: %s", required.key, required.why)
		}
	}
}

// quoted is a key as a message may show it. A secret may stand in a key's place.
func (m *Mapping) quoted(key string) string {
	if m.value.hushed && strings.Trim(strings.ToLower(key), "abcdefghijklmnopqrstuvwxyz_-") != "" {
		return "(not shown)"
	}
	return strconv.Quote(key)
}

func (m *Mapping) report(e Entry, format string, args ...any) {
	m.value.doc.Report(e.Pos, m.value.path, format, args...)
}

// add takes in the keys of a node. Keys merged in give way to those that are
// there, so a node that comes again, be it by merging itself, adds nothing.
func (m *Mapping) add(node *yaml.Node, merged bool) {
	if m.seen[node] {
		return
	}
	m.seen[node] = true
	var merges []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		m.put(key, value, merged)
	}
	for _, merge := range merges {
		m.merge(Value{doc: m.value.doc, node: merge, path: m.value.path, hushed: m.value.hushed})
	}
}

// put takes in one key.
func (m *Mapping) put(key, value *yaml.Node, merged bool) {
	at := Pos{key.Line, key.Column}
	if key.Kind == yaml.AliasNode && key.Alias != nil {
		key = key.Alias
	}
	if key.Kind != yaml.ScalarNode {
		m.value.doc.Report(at, m.value.path, "a key must be a plain word")
		return
	}
	path := join(m.value.path, key.Value)
	e := Entry{Key: key.Value, Pos: at, Path: path, Value: Value{doc: m.value.doc, node: value, path: path, hushed: m.value.hushed}}
	first, given := m.index[e.Key]
	switch {
	case !given:
		m.index[e.Key] = len(m.entries)
		m.entries = append(m.entries, e)
	case !merged:
		m.report(e, "the key %s is given twice, first on line %d: remove one", m.quoted(e.Key), m.entries[first].Pos.Line)
	}
}

// merge takes in what stands after "<<": a mapping, or a list of them.
func (m *Mapping) merge(v Value) {
	switch {
	case v.IsMapping():
		m.add(v.target(), true)
	case v.IsList():
		if m.seen[v.target()] {
			return
		}
		m.seen[v.target()] = true
		for _, item := range v.List() {
			m.merge(Value{doc: v.doc, node: item.node, path: v.path, hushed: v.hushed})
		}
	default:
		v.Problem(`after "<<" comes a mapping, such as *defaults`)
	}
}

func hasPrefix(key string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}

// join appends a key to a path; a key that is no plain word is put in brackets,
// so that the dots of Account.Legacy_Id__c are not taken for steps of the path.
func join(path, key string) string {
	switch {
	case strings.ContainsAny(key, ".:[]\" ") || key == "":
		return path + `["` + key + `"]`
	case path == "":
		return key
	}
	return path + "." + key
}
