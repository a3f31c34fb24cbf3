package run

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"bulkhead/internal/drift"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/preflight"
	"bulkhead/internal/salesforce"
	"bulkhead/internal/state"
)

// Drift is what changed in the org, in what a pipeline uses, since its last run that went well: that completed, and
// loaded something.
type Drift struct {
	Pipeline string `json:"pipeline"`
	// Since is the run that it is compared with, the latest where steps ran apart; 0 where none has
	// gone well yet, and so nothing is known to compare with.
	Since   int64      `json:"since_run"`
	SinceAt *time.Time `json:"since_at"`
	// Changes are by their place in the pipeline file.
	Changes []preflight.Drift `json:"changes"`
	// Findings are what does not fit now, whether it changed or not, as far as that shows without a look
	// at the source.
	Findings []preflight.Finding `json:"findings"`
}

// FindDrift compares the org with what the pipeline's last run that went well saw, or, with since not 0,
// with what that run saw. It asks the org to describe each object once, and the source nothing.
func FindDrift(ctx context.Context, store *state.Store, org *salesforce.Org, p *pipeline.Pipeline, since int64) (*Drift, error) {
	var describes []state.Describe
	var err error
	if since == 0 {
		describes, err = store.LastDescribes(ctx, p.Name, org.OrgID())
	} else {
		describes, err = store.Describes(ctx, since)
	}
	if err != nil {
		return nil, err
	}
	known, err := readDescribes(describes)
	if err != nil {
		return nil, err
	}
	report, err := preflight.Check(ctx, nil, org, p, p.Ordered(), preflight.Options{Known: known})
	if err != nil {
		return nil, err
	}
	found := &Drift{Pipeline: p.Name, Changes: report.Drift, Findings: report.Findings}
	for _, d := range describes {
		if d.RunID > found.Since {
			found.Since, found.SinceAt = d.RunID, &d.SeenAt
		}
	}
	return found, nil
}

// known is what the org looked like before: to the run that is resumed, or else to the last run of the
// pipeline that went well.
func (e *Engine) known(ctx context.Context, resumed int64) (preflight.Known, error) {
	var list []state.Describe
	var err error
	if resumed != 0 {
		if list, err = e.cfg.Store.Describes(ctx, resumed); err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		if list, err = e.cfg.Store.LastDescribes(ctx, e.pipeline.Name, e.cfg.Org.OrgID()); err != nil {
			return nil, err
		}
	}
	return readDescribes(list)
}

// describes is what the state keeps of objects.
func describes(seen []drift.Object) ([]state.Describe, error) {
	list := make([]state.Describe, len(seen))
	for i, object := range seen {
		body, err := json.Marshal(object)
		if err != nil {
			return nil, fmt.Errorf("record what %s looks like: %w", object.Name, err)
		}
		list[i] = state.Describe{Object: object.Name, Body: body}
	}
	return list, nil
}

func readDescribes(list []state.Describe) (preflight.Known, error) {
	known := preflight.Known{}
	for _, d := range list {
		var object drift.Object
		if err := json.Unmarshal(d.Body, &object); err != nil {
			return nil, fmt.Errorf("read what %s looked like to run %d: %w", d.Object, d.RunID, err)
		}
		known[strings.ToLower(d.Object)] = object
	}
	return known, nil
}

// driftOf is what had changed in the org when a run started.
func driftOf(ctx context.Context, store *state.Store, runID int64) ([]drift.Change, error) {
	changes := []drift.Change{}
	before, err := store.DescribesBefore(ctx, runID)
	if err != nil || len(before) == 0 {
		return changes, err
	}
	seen, err := store.Describes(ctx, runID)
	if err != nil {
		return nil, err
	}
	known, err := readDescribes(before)
	if err != nil {
		return nil, err
	}
	objects, err := readDescribes(seen)
	if err != nil {
		return nil, err
	}
	for _, d := range before { // by name
		key := strings.ToLower(d.Object)
		changes = append(changes, drift.Compare(known[key], objects[key])...)
	}
	return changes, nil
}
