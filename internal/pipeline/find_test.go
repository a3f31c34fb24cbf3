package pipeline_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead/internal/pipeline"
)

func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{
		"customers.yaml": "name: crm-customers\n",
		"orders.yml":     "name: orders\nsteps: [",
		"one.yaml":       "name: twin\n",
		"two.yaml":       "name: twin\n",
		"notes.txt":      "name: notes\n",
	}
	if err := os.Mkdir(filepath.Join(dir, "pipelines"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := func(name string) string { return filepath.Join(dir, "pipelines", name) }
	for name, text := range files {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ about, name, want, wantErr string }{
		{"the name of a file", "customers", path("customers.yaml"), ""},
		{"the other ending, and broken", "orders", path("orders.yml"), ""},
		{"the name inside a file", "crm-customers", path("customers.yaml"), ""},
		{"a path", path("one.yaml"), path("one.yaml"), ""},
		{"a path that is nowhere", path("three.yaml"), "", "there is no such file"},
		{"a file that is nowhere", "three.yaml", "", "there is no such file"},
		{"two files of one name", "twin", "", "several files have this name"},
		{"a slip", "custmers", "", `did you mean "customers"?`},
		{"something else", "invoices", "", "which has customers, crm-customers, one, twin, orders, two, twin"},
		{"no pipeline", "notes", "", "not found"},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			t.Parallel()
			got, err := pipeline.Find(dir, tt.name)
			if tt.wantErr == "" && (err != nil || got != tt.want) {
				t.Errorf("Find(%q) = %q, %v; want %q", tt.name, got, err, tt.want)
			}
			if tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("Find(%q) = %q, %v; want an error with %q", tt.name, got, err, tt.wantErr)
			}
		})
	}
	if _, err := pipeline.Find(t.TempDir(), "customers"); err == nil || !strings.Contains(err.Error(), "there are no pipeline files") {
		t.Errorf("Find without a folder: %v", err)
	}
}
