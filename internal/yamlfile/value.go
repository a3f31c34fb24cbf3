package yamlfile

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Value is a value of a document: a text, a number, a list, a mapping. Its
// methods record a problem in the document where the value is not of the kind
// asked for, and then return the zero value, so that a caller decodes straight
// on. A key that is missing is the zero Value, of which every method returns
// the zero value and records nothing.
type Value struct {
	doc    *Document
	node   *yaml.Node
	path   string
	hushed bool // no message quotes it
}

// Hush returns the value as one that may be, or hold, a secret: no message about
// it or about what it holds quotes any of it, but for the words of keys.
func (v Value) Hush() Value {
	v.hushed = true
	return v
}

// Exists says whether the file holds this value at all.
func (v Value) Exists() bool { return v.node != nil }

// Path is the path of keys to the value, such as steps[0].query.
func (v Value) Path() string { return v.path }

// Pos is where the value begins.
func (v Value) Pos() Pos {
	if v.node == nil {
		return Pos{}
	}
	return Pos{v.node.Line, v.node.Column}
}

// Problem records a problem with this value.
func (v Value) Problem(format string, args ...any) {
	if v.doc != nil {
		v.doc.Report(v.Pos(), v.path, format, args...)
	}
}

// IsNull says whether the value is null, or left empty after its key.
func (v Value) IsNull() bool { return v.is(yaml.ScalarNode) && v.tag() == "!!null" }

// IsText says whether the value is a text.
func (v Value) IsText() bool { return v.is(yaml.ScalarNode) && v.tag() == "!!str" }

// IsList says whether the value is a list.
func (v Value) IsList() bool { return v.is(yaml.SequenceNode) }

// IsMapping says whether the value is a mapping of keys to values.
func (v Value) IsMapping() bool { return v.is(yaml.MappingNode) }

// Text returns a text. A number, a date or true/false is a problem: YAML would
// have changed it before we saw it, so the message asks for quotes.
func (v Value) Text() string {
	switch {
	case !v.Exists():
		return ""
	case v.IsText():
		return v.target().Value
	case v.hushed && v.is(yaml.ScalarNode) && !v.IsNull():
		v.Problem("must be a text: write it in quotes")
	case v.is(yaml.ScalarNode) && !v.IsNull():
		v.Problem(`must be a text: write it in quotes, as "%s"`, v.target().Value)
	default:
		v.wrongKind("a text")
	}
	return ""
}

// NonEmpty is Text for values that mean nothing when they are blank.
func (v Value) NonEmpty() string {
	text := v.Text()
	if v.IsText() && strings.TrimSpace(text) == "" {
		v.Problem("is empty: write a value, or remove the key if it may be left out")
		return ""
	}
	return text
}

// Int returns a whole number.
func (v Value) Int() int64 {
	if !v.Exists() {
		return 0
	}
	if !v.is(yaml.ScalarNode) || v.tag() != "!!int" {
		v.wrongKind("a whole number")
		return 0
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(v.target().Value, "_", ""), 10, 64)
	if err != nil {
		v.Problem("must be a whole number in plain digits, not %s", v.describe())
		return 0
	}
	return n
}

// Scalar returns the text of a single value as it stands in the file, and its
// YAML type: "str", "int", "float", "bool", "null", "timestamp" or whatever
// tag it bears. ok is false, with nothing recorded, for lists and mappings.
func (v Value) Scalar() (text, kind string, ok bool) {
	if !v.is(yaml.ScalarNode) {
		return "", "", false
	}
	return v.target().Value, strings.TrimPrefix(v.tag(), "!!"), true
}

// List returns the values of a list.
func (v Value) List() []Value {
	if !v.Exists() {
		return nil
	}
	if !v.IsList() {
		v.wrongKind("a list")
		return nil
	}
	var items []Value
	for i, node := range v.target().Content {
		items = append(items, Value{doc: v.doc, node: node, path: fmt.Sprintf("%s[%d]", v.path, i), hushed: v.hushed})
	}
	return items
}

// TextAt says where in the file a place within a text of several lines stands.
// Line and column count from 1 within the text. Known exactly for texts on one
// line and for blocks after "|"; elsewhere it is where the value begins.
func (v Value) TextAt(line, column int) Pos {
	if !v.is(yaml.ScalarNode) {
		return v.Pos()
	}
	node := v.target()
	start := Pos{node.Line, node.Column}
	switch {
	case node.Style&yaml.LiteralStyle != 0:
		at := node.Line + line
		return Pos{at, column + v.doc.indent(node.Line+1, node.Value)}
	case node.Style&yaml.FoldedStyle != 0 || line > 1 || !v.doc.holds(start, node):
		return start
	case node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		return Pos{start.Line, start.Column + column}
	default:
		return Pos{start.Line, start.Column + column - 1}
	}
}

// indent is how far a block that begins at a line of the file is indented:
// the first line of it that is not blank tells.
func (d *Document) indent(first int, text string) int {
	for i, line := range strings.Split(text, "\n") {
		at := first + i - 1
		if strings.TrimSpace(line) == "" || at >= len(d.lines) {
			continue
		}
		return max(len(strings.TrimSuffix(d.lines[at], "\r"))-len(line), 0)
	}
	return 0
}

// holds says whether the file holds the value on one line letter by letter, so
// that columns can be counted.
func (d *Document) holds(at Pos, node *yaml.Node) bool {
	return at.Line <= len(d.lines) && strings.Contains(d.lines[at.Line-1], node.Value)
}

// is says whether the value exists and is of a kind, seen through aliases.
func (v Value) is(kind yaml.Kind) bool {
	return v.node != nil && v.target().Kind == kind
}

// target is the node itself, or the one that an alias stands for.
func (v Value) target() *yaml.Node {
	if v.node.Kind == yaml.AliasNode && v.node.Alias != nil {
		return v.node.Alias
	}
	return v.node
}

func (v Value) tag() string { return v.target().ShortTag() }

// wrongKind records that the value is not what it must be.
func (v Value) wrongKind(want string) {
	if v.IsNull() {
		v.Problem("has no value: it must be %s", want)
		return
	}
	v.Problem("must be %s, not %s", want, v.describe())
}

// describe names what the value is, in words.
func (v Value) describe() string {
	switch v.target().Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a block of keys"
	}
	if v.hushed {
		return "a single value"
	}
	switch v.tag() {
	case "!!str":
		return fmt.Sprintf("the text %q", shorten(v.target().Value))
	case "!!int", "!!float":
		return "the number " + v.target().Value
	case "!!bool", "!!timestamp":
		return v.target().Value
	}
	return "a value of type " + v.tag()
}

// shorten keeps a message readable whatever it quotes.
func shorten(text string) string {
	const most = 40
	if letters := []rune(text); len(letters) > most {
		return string(letters[:most]) + "..."
	}
	return text
}
