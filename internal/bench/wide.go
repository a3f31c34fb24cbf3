package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bulkhead/testdata/describe"
)

// Of the rows that are unlike others.
const (
	manyFields = 400
	longText   = 100_000 // bytes; the field takes 131,072 characters
)

// shape is a kind of rows.
type shape struct {
	name   string
	rows   int64
	record int64 // bytes, about; memory may be larger by one of them
	step   string
}

func (b *bench) shapes() []shape {
	var names, values []string
	for i := range manyFields {
		names = append(names, fmt.Sprintf("%s: f%d", fieldName(i), i))
		values = append(values, fmt.Sprintf("'value ' || id %% %d AS f%d", i+1000, i))
	}
	upsert := "    operation: upsert\n    external_id: Legacy_Id__c\n"
	return []shape{
		{fmt.Sprintf("%d columns", manyFields), max(1, b.cfg.Rows/20), 10 * manyFields, upsert +
			fmt.Sprintf("    fields: { Legacy_Id__c: id, %s }\n    query: SELECT id, %s", strings.Join(names, ", "), strings.Join(values, ", "))},
		{"texts of 100 KB", max(1, b.cfg.Rows/200), longText, upsert +
			fmt.Sprintf("    fields: { Legacy_Id__c: id, LastName: last_name, Text__c: text }\n    query: SELECT id, last_name, repeat('0123456789', %d) || id AS text", longText/10)},
		{"rows of 1 byte", b.cfg.Rows, 1, "    operation: insert\n    fields: { LastName: letter }\n    query: SELECT id, 'x' AS letter"},
	}
}

// measureWide loads rows of other shapes: memory must not depend on them.
func measureWide(ctx context.Context, b *bench) (err error) {
	dir, err := b.stage.describes()
	if err != nil {
		return err
	}
	o, err := b.stage.startOrg(ctx, "--describe", dir)
	if err != nil {
		return err
	}
	defer func() { err = o.stopAfter(err) }()
	for _, s := range b.shapes() {
		if err := errors.Join(o.reset(ctx), o.addFault(ctx, onePercent)); err != nil {
			return err
		}
		l, err := b.stage.load(ctx, o, fmt.Sprintf(`name: bench
source: source
steps:
  - name: people
    object: Contact
    key: id
%s FROM people WHERE id <= %d
`, s.step, s.rows))
		if err != nil {
			return err
		}
		b.logf("  %s, %d rows: %.2f s, %.2f s CPU, %d MB", s.name, s.rows, l.wall.Seconds(), l.cpu.Seconds(), l.peak/megabyte)
		b.add("wide", fmt.Sprintf("%s: peak memory", s.name), float64(l.peak)/megabyte, "MB", 0, atMost(64+float64(s.record)/megabyte))
		// Chunks of large rows are cut by bytes, and so is what is refused of each.
		if err := l.finish(s.rows, l.summary.RowsFailed); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func fieldName(i int) string { return fmt.Sprintf("F%d__c", i) }

// describes writes describe files for an org whose contacts have many more fields.
func (s *stage) describes() (string, error) {
	raw, err := fs.ReadFile(describe.Files(), "Contact.json")
	if err != nil {
		return "", err
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return "", err
	}
	fields := object["fields"].([]any)
	for i := range manyFields {
		fields = append(fields, like(fields, "Title", fieldName(i), 128))
	}
	object["fields"] = append(fields, like(fields, "Description", "Text__c", 131_072))
	if raw, err = json.Marshal(object); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(s.dir, "describe-")
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "Contact.json"), raw, 0o600)
}

// like is a field as another one, with a name and a length of its own.
func like(fields []any, model, name string, length int) map[string]any {
	clone := map[string]any{}
	for _, field := range fields {
		if f := field.(map[string]any); f["name"] == model {
			for key, value := range f {
				clone[key] = value
			}
		}
	}
	clone["name"], clone["label"], clone["length"], clone["custom"] = name, name, length, true
	return clone
}
