package project_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/project"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	standard := project.Limits{APICalls: 0.8, BulkBatches: 0.8, When: project.AtLimitStop, Wait: 2 * time.Hour}
	for _, tc := range []struct {
		name, text string
		want       project.Limits
	}{
		{"no file says so", "", standard},
		{"shares", "limits: { api_calls: 95%, bulk_batches: 0.5 }\n", project.Limits{APICalls: 0.95, BulkBatches: 0.5, When: project.AtLimitStop, Wait: 2 * time.Hour}},
		{"pause", "limits: { when: pause, wait: 6h }\n", project.Limits{APICalls: 0.8, BulkBatches: 0.8, When: project.AtLimitPause, Wait: 6 * time.Hour}},
	} {
		if got := load(t, folder(t, map[string]string{"etl.yaml": tc.text}), nil).Limits(); got != tc.want {
			t.Errorf("%s: %s", tc.name, cmp.Diff(tc.want, got))
		}
	}
}

func TestLimitsThatAreWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"limits: { api_calls: 80 }":              "1:22: limits.api_calls: must be more than 0% and at most 100%",
		"limits: { api_calls: 0% }":              "must be more than 0%",
		"limits: { bulk_batches: half }":         "limits.bulk_batches: must be a share such as 5% or 0.05",
		"limits: { when: wait }":                 "it may be stop, pause or warn",
		"limits: { wait: 1h }":                   "limits.wait: wait is how long a pause may last: remove it, or write when: pause",
		"limits: { when: pause, wait: 1s }":      "must be from 1m to 7d",
		"limits: { api-calls: 80% }":             "api_calls",
		"limits: 80%":                            "limits: ",
		"limits:\n  api_calls: { share: 80% }\n": "2:14: limits.api_calls",
	} {
		dir := folder(t, map[string]string{"etl.yaml": text})
		if _, err := project.Load(dir, func(string) (string, bool) { return "", false }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
