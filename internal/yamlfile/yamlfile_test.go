package yamlfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/yamlfile"
)

// decode takes a document of every kind of value apart, as a caller would.
func decode(doc *yamlfile.Document) (got []string) {
	root := doc.Root().Mapping()
	got = append(got, "name="+root.Require("name", "what to call it").NonEmpty())
	if size := root.Get("size"); size.Exists() && size.Int() != 0 {
		text, kind, _ := size.Scalar()
		got = append(got, "size="+text+" "+kind)
	}
	for _, tag := range root.Get("tags").List() {
		got = append(got, "tag="+tag.Text())
	}
	for _, e := range root.Get("map").Mapping().Entries() {
		got = append(got, "map."+e.Key+"="+e.Value.Text())
	}
	item := root.Get("item").Mapping()
	got = append(got, "query="+item.Get("query").Text())
	item.Close()
	root.Close("x-")
	return got
}

func TestDocument(t *testing.T) {
	t.Parallel()
	text := `
x-defaults: &defaults
  query: SELECT 1
  
name: "7"
size: 1_000
tags: [a, &b b, *b]
map:
  z: first
  A.b: second
item:
  <<: *defaults
`
	doc := yamlfile.Parse("a.yaml", []byte(text))
	got := decode(doc)
	if err := doc.Err(); err != nil {
		t.Fatal(err)
	}
	want := []string{"name=7", "size=1_000 int", "tag=a", "tag=b", "tag=b", "map.z=first", "map.A.b=second", "query=SELECT 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	tests := []struct {
		about, text string
		want        []string
	}{
		{"nothing in it", "", []string{"f:1:1: the file is empty"}},
		{"comments only", "# nothing\n", []string{"f:1:1: the file is empty"}},
		{"a list for the whole", "- a\n", []string{`f:1:1: must be a block of keys ("key: value" lines), not a list`}},
		{"a text for the whole", "hello", []string{`f:1:1: must be a block of keys ("key: value" lines), not the text "hello"`}},
		{"a missing key", "size: 1\n", []string{`f:1:1: the key "name" is missing: what to call it`}},
		{"a blank", "name: ' '\n", []string{"f:1:7: name: is empty: write a value, or remove the key if it may be left out"}},
		{"a key without value", "name:\n", []string{"f:1:6: name: has no value: it must be a text"}},
		{"a number for a text", "name: 007\n", []string{`f:1:7: name: must be a text: write it in quotes, as "007"`}},
		{"a date for a text", "name: 2024-01-31\n", []string{`f:1:7: name: must be a text: write it in quotes, as "2024-01-31"`}},
		{"a list for a text", "name: [a]\n", []string{"f:1:7: name: must be a text, not a list"}},
		{"a text for a number", "name: a\nsize: many\n", []string{`f:2:7: size: must be a whole number, not the text "many"`}},
		{"a fraction for a number", "name: a\nsize: 1.5\n", []string{"f:2:7: size: must be a whole number, not the number 1.5"}},
		{"a hexadecimal number", "name: a\nsize: 0x10\n", []string{"f:2:7: size: must be a whole number in plain digits, not the number 0x10"}},
		{"a text for a list", "name: a\ntags: b\n", []string{`f:2:7: tags: must be a list, not the text "b"`}},
		{"a number in a list", "name: a\ntags: [b, 1]\n", []string{`f:2:11: tags[1]: must be a text: write it in quotes, as "1"`}},
		{"a tag of another program", "name: !secret a\n", []string{`f:1:7: name: must be a text: write it in quotes, as "a"`}},
		{"a path with dots in a key", "name: a\nmap:\n  A.b: 1\n", []string{`f:3:8: map["A.b"]: must be a text: write it in quotes, as "1"`}},
		{"a misspelt key", "namee: a\n", []string{`f:1:1: unknown key "namee"; did you mean "name"?`}},
		{"a strange key", "name: a\nitem: {foo: 1}\n", []string{`f:2:8: item: unknown key "foo"; the keys here are query`}},
		{"a key given twice", "name: a\nsize: 1\nname: b\n", []string{`f:3:1: the key "name" is given twice, first on line 1: remove one`}},
		{"a list as a key", "name: a\n? [b]\n: c\n", []string{"f:2:3: a key must be a plain word"}},
		{"a merge of nothing", "name: a\nitem: {<<: b}\n", []string{`f:2:12: item: after "<<" comes a mapping, such as *defaults`}},
		{"several at once, in file order", "size: x\ntags: y\nfoo: 1\n", []string{
			`f:1:1: the key "name" is missing: what to call it`,
			`f:1:7: size: must be a whole number, not the text "x"`,
			`f:2:7: tags: must be a list, not the text "y"`,
			`f:3:1: unknown key "foo"; the keys here are name, size, tags, map, item`,
		}},
		{"a tab", "name: a\nitem:\n\tquery: b\n", []string{"f:3:1: this is no valid YAML: a tab indents this line; use spaces"}},
		{"two colons", "name: a: b\n", []string{
			`f:1:8: this is no valid YAML: a colon is not expected here: check the indentation of this line and the one above, and put a text that holds ": " in quotes`,
		}},
		{"a quote left open", "name: 'a\n", []string{"f:2:1: this is no valid YAML: a quote is opened but never closed"}},
		{"wrong indentation", "item:\n    query: a\n  b: c\n", []string{
			"f:3:3: this is no valid YAML: this line does not fit what stands above it: check its indentation (did not find expected key)",
		}},
		{"a list left open", "name: [a\n", []string{"f:2:1: this is no valid YAML: did not find expected ',' or ']'"}},
		{"an anchor that is nowhere", "name: *b\n", []string{"f:1:7: this is no valid YAML: an alias (*name) stands here, but no anchor (&name) of its name: put a text that begins with an asterisk in quotes"}},
		{"two documents", "name: a\n---\nname: b\n", []string{`f:2:1: a file holds one document: remove this "---" and what follows it`}},
		{"Latin-1", "name: a\nsize: caf\xe9\n", []string{"f:2:10: this is no plain UTF-8 text: save the file as UTF-8, without control characters"}},
		{"a NUL", "name: \x00\n", []string{"f:1:7: this is no plain UTF-8 text: save the file as UTF-8, without control characters"}},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			t.Parallel()
			doc := yamlfile.Parse("f", []byte(tt.text))
			decode(doc)
			var list *yamlfile.Error
			if !errors.As(doc.Err(), &list) {
				t.Fatalf("Err() = %v, which is no *yamlfile.Error", doc.Err())
			}
			if diff := cmp.Diff(tt.want, strings.Split(list.Error(), "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMergesEndAndStayCheap(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString("x-0: &a0 {query: a}\n")
	for i := range 40 {
		from, to := string(rune('a'+i/10))+string(rune('0'+i%10)), string(rune('a'+(i+1)/10))+string(rune('0'+(i+1)%10))
		bomb.WriteString("x-" + to + ": &" + to + " {<<: [*" + from + ", *" + from + "]}\n")
	}
	tests := map[string]string{
		"a mapping that merges itself": "name: a\nitem: &i {query: a, <<: *i}\n",
		"a list that holds itself":     "name: a\nitem: {query: a, <<: &l [*l]}\n",
		"a bomb of merges":             bomb.String() + "name: a\nitem: {<<: *e0}\n",
	}
	for about, text := range tests {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			doc := yamlfile.Parse("f", []byte(text))
			got := decode(doc)
			if err := doc.Err(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"name=a", "query=a"}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTextAt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		about, text  string
		line, column int
		want         yamlfile.Pos
	}{
		{"one line", "name: SELECT x\n", 1, 8, yamlfile.Pos{Line: 1, Column: 14}},
		{"quotes", "name: \"SELECT x\"\n", 1, 8, yamlfile.Pos{Line: 1, Column: 15}},
		{"quotes with escapes", "name: \"SELECT \\u0041\"\n", 1, 8, yamlfile.Pos{Line: 1, Column: 7}},
		{"a block", "name: |\n   SELECT\n     x\n", 2, 3, yamlfile.Pos{Line: 3, Column: 6}},
		{"a block with blank lines before", "name: |\n\n\n  SELECT x\n", 3, 8, yamlfile.Pos{Line: 4, Column: 10}},
		{"a block with Windows line ends", "name: |\r\n  SELECT\r\n  x\r\n", 2, 1, yamlfile.Pos{Line: 3, Column: 3}},
		{"folded", "name: >\n  SELECT\n  x\n", 1, 8, yamlfile.Pos{Line: 1, Column: 7}},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			t.Parallel()
			doc := yamlfile.Parse("f", []byte(tt.text))
			if got := doc.Root().Mapping().Get("name").TextAt(tt.line, tt.column); got != tt.want {
				t.Errorf("TextAt(%d, %d) = %v, want %v", tt.line, tt.column, got, tt.want)
			}
		})
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f.yaml")
	if _, err := yamlfile.Read(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Read of a missing file: %v, want os.ErrNotExist", err)
	}
	if err := os.WriteFile(path, make([]byte, yamlfile.MaxBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := yamlfile.Read(path); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("Read of a huge file: %v, want an error about its size", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("name: a\nitem: &i {query: a, <<: *i}\nmap: {a: b}\ntags: [a]\nsize: 1\n"))
	f.Add([]byte("name: |2\n   a\n\tb\n"))
	f.Add([]byte("? *a\n: &a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		doc := yamlfile.Parse("f", text)
		decode(doc)
		if root := doc.Root(); doc.Err() == nil && !root.IsMapping() {
			t.Error("accepted, though it is no mapping")
		}
		doc.Root().Mapping().Get("name").TextAt(2, 1)
	})
}
