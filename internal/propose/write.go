package propose

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/pipeline"
)

// Pipeline is what is to be written.
type Pipeline struct {
	Name, Source, Org string  // Source and Org may be empty
	Steps             []*Step // each table once
}

// Text is the pipeline's file, with comments on what is left to a person. It
// passes as a pipeline, or the error says why it cannot.
func (p Pipeline) Text() ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# Proposed by \"etl init\" from names and types: read it, correct it, then try \"etl plan %s\".\n", p.Name)
	fmt.Fprintf(&b, "name: %s\n", p.Name)
	if p.Source != "" {
		fmt.Fprintf(&b, "source: %s\n", scalar(p.Source))
	}
	if p.Org != "" {
		fmt.Fprintf(&b, "org: %s\n", scalar(p.Org))
	}
	b.WriteString("steps:\n")
	names := p.stepNames()
	for _, s := range p.Steps {
		writeStep(&b, s, names)
	}
	text := []byte(b.String())
	if _, err := pipeline.Parse(p.Name+".yaml", text); err != nil {
		return nil, fmt.Errorf("propose a pipeline: %w", err)
	}
	return text, nil
}

// stepNames are the tables' names as those of steps; a name that is taken gets
// the schema before it, and at last a number behind it.
func (p Pipeline) stepNames() map[*Step]string {
	names, taken := map[*Step]string{}, map[string]bool{}
	for _, s := range p.Steps {
		name := stepName(s.Table.Name)
		if taken[name] {
			name = stepName(s.Table.Schema + "_" + s.Table.Name)
		}
		for i, base := 2, name; taken[name]; i++ {
			name = fmt.Sprintf("%.58s-%d", base, i)
		}
		names[s], taken[name] = name, true
	}
	return names
}

// stepName makes the name of a step of any text.
func stepName(text string) string {
	name := regexp.MustCompile(`[^A-Za-z0-9_-]+`).ReplaceAllString(text, "_")
	name = strings.TrimLeft(name, "_-")
	if name == "" {
		return "table"
	}
	return name[:min(len(name), 63)]
}

func writeStep(b *strings.Builder, s *Step, names map[*Step]string) {
	fmt.Fprintf(b, "  - name: %s\n", scalar(names[s]))
	if needs := s.needs(names); len(needs) > 0 {
		fmt.Fprintf(b, "    needs: [%s]\n", strings.Join(needs, ", "))
	}
	fmt.Fprintf(b, "    object: %s\n", s.Object.Name)
	if s.ExternalID != "" {
		fmt.Fprintf(b, "    operation: upsert\n    external_id: %s\n", s.ExternalID)
	} else {
		fmt.Fprintf(b, "    # %s has no external id that the user may set: each run makes new records. Add a field that is\n"+
			"    # marked \"External ID\" and \"Unique\", and make this an upsert.\n    operation: insert\n", s.Object.Name)
	}
	b.WriteString("    query: |\n      SELECT ")
	b.WriteString(strings.Join(s.selected(), ", "))
	fmt.Fprintf(b, "\n      FROM %s\n    key: %s\n    fields:\n", strings.Join(identifiers([]string{s.Table.Schema, s.Table.Name}), "."), keyOf(s.Table.Key))
	if s.ExternalID != "" && len(s.Table.Key) > 1 {
		fmt.Fprintf(b, "      %s: { sql: %s }\n", s.ExternalID, strconv.Quote("concat_ws('-', "+strings.Join(identifiers(s.Table.Key), ", ")+")"))
	}
	for _, m := range s.Fields {
		guess := ""
		if m.Guess {
			guess = "   # a guess: the names only resemble each other"
		}
		fmt.Fprintf(b, "      %s: %s%s\n", m.Target, scalar(m.Column.Name), guess)
	}
	for _, f := range s.Missing {
		fmt.Fprintf(b, "      # %s: ...   # a new record must have it (%s, %s), and no column fits\n", f.Name, comment(f.Label), f.Type)
	}
	for _, c := range s.Left {
		fmt.Fprintf(b, "      # ...: %s   # %s; no field fits by name and type\n", comment(c.Name), comment(c.Type))
	}
}

// needs are the steps of the parents.
func (s *Step) needs(names map[*Step]string) []string {
	var needs []string
	for _, m := range s.Fields {
		if m.Parent == nil {
			continue
		}
		if name := scalar(names[m.Parent]); !slices.Contains(needs, name) {
			needs = append(needs, name)
		}
	}
	return needs
}

// selected are the columns that the query reads: the key and what is mapped.
func (s *Step) selected() []string {
	names := slices.Clone(s.Table.Key)
	for _, m := range s.Fields {
		if !slices.Contains(names, m.Column.Name) {
			names = append(names, m.Column.Name)
		}
	}
	return identifiers(names)
}

// identifiers quotes names for SQL where they need it.
func identifiers(names []string) []string {
	plain := regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = pgx.Identifier{name}.Sanitize()
		if plain.MatchString(name) && !reserved(name) {
			quoted[i] = name
		}
	}
	return quoted
}

// reserved says whether a word means something else in SQL, as far as columns
// are called so.
func reserved(name string) bool {
	return slices.Contains([]string{
		"all", "and", "any", "array", "as", "asc", "both", "case", "cast", "check", "column", "create", "default", "desc", "distinct",
		"do", "else", "end", "except", "false", "fetch", "for", "foreign", "from", "grant", "group", "having", "in", "into", "leading",
		"limit", "not", "null", "offset", "on", "only", "or", "order", "primary", "references", "select", "some", "table", "then", "to",
		"trailing", "true", "union", "unique", "user", "using", "when", "where", "window", "with",
	}, name)
}

func keyOf(columns []string) string {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = scalar(c)
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// scalar writes a text as YAML, in quotes unless it can only be a text.
func scalar(text string) string {
	if regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`).MatchString(text) && !slices.Contains([]string{"null", "true", "false", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(text)) {
		return text
	}
	return strconv.Quote(text)
}

// comment keeps a text on one line.
func comment(text string) string { return strings.Join(strings.Fields(text), " ") }
