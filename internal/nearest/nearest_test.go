package nearest_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/internal/nearest"
)

func TestName(t *testing.T) {
	t.Parallel()
	keys := []string{"name", "query", "fields", "external_id", "object", "operation"}
	columns := []string{"Name", "FirstName", "Legacy_Id__c", "Region__c", "AnnualRevenue", "Phone", "Fax"}
	tests := []struct {
		about      string
		name       string
		candidates []string
		want       string
	}{
		{"a letter is missing", "quer", keys, "query"},
		{"a letter too many", "filelds", keys, "fields"},
		{"neighbours swapped", "obejct", keys, "object"},
		{"another letter case", "NAME", keys, "name"},
		{"camel case for snake case", "externalId", keys, "external_id"},
		{"snake case for camel case", "first_name", columns, "FirstName"},
		{"the ending of custom fields forgotten", "Region", columns, "Region__c"},
		{"a hyphen for an underscore", "legacy-id", columns, "Legacy_Id__c"},
		{"nothing near", "postcode", columns, ""},
		{"too short to guess", "no", keys, ""},
		{"a short one spelt differently", "fx", columns, ""},
		{"short but one letter off", "fac", columns, "Fax"},
		{"no candidates", "name", nil, ""},
		{"the nearest wins over the first", "nam", []string{"named", "name"}, "name"},
		{"the first of two equally near", "fox", []string{"fix", "fax"}, "fix"},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			t.Parallel()
			got, ok := nearest.Name(tt.name, tt.candidates)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("Name(%q) = %q, %v; want %q", tt.name, got, ok, tt.want)
			}
		})
	}
}

func TestNameFindsOneEdit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-z]{4,12}`).Draw(t, "word")
		at := rapid.IntRange(0, len(word)-1).Draw(t, "at")
		typo := word[:at] + word[at+1:]
		if got, ok := nearest.Name(typo, []string{word}); !ok || got != word {
			t.Errorf("Name(%q) = %q, %v; want %q", typo, got, ok, word)
		}
		if got, ok := nearest.Name(strings.ToUpper(word), []string{typo, word}); !ok || got != word {
			t.Errorf("Name(%q) = %q, %v; want the exact one", strings.ToUpper(word), got, ok)
		}
	})
}

func FuzzName(f *testing.F) {
	f.Add("quer", "query")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, name, candidate string) {
		if got, ok := nearest.Name(name, []string{candidate}); ok && got != candidate {
			t.Errorf("Name(%q) = %q, which is no candidate", name, got)
		}
	})
}
