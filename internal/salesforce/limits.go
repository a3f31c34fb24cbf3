package salesforce

import (
	"context"
	"encoding/json"
)

// Limit is one of the org's allowances and what is left of it.
type Limit struct {
	Max       int64 `json:"Max"`
	Remaining int64 `json:"Remaining"`
}

// Limits reads the org's allowances by name, such as DailyApiRequests and DailyBulkApiBatches. It needs the permission
// "View Setup and Configuration". REST API guide, "Limits".
func (o *Org) Limits(ctx context.Context) (map[string]Limit, error) {
	var raw map[string]json.RawMessage
	if err := o.get(ctx, "read limits", o.path("/limits"), nil, &raw); err != nil {
		return nil, err
	}
	limits := make(map[string]Limit, len(raw))
	for name, text := range raw {
		var l struct{ Max, Remaining *json.Number } // beside them there may be figures per app
		if json.Unmarshal(text, &l) == nil && l.Max != nil && l.Remaining != nil {
			limits[name] = Limit{Max: whole(*l.Max), Remaining: whole(*l.Remaining)}
		}
	}
	return limits, nil
}

func whole(n json.Number) int64 {
	if i, err := n.Int64(); err == nil {
		return i
	}
	f, _ := n.Float64() // a json.Number that was decoded is a number
	return int64(f)
}

// Version is a version of the API that the org speaks.
type Version struct {
	Label   string `json:"label"` // such as Spring '26
	Version string `json:"version"`
	URL     string `json:"url"`
}

// Versions lists the versions of the API that the org speaks, the oldest first.
func (o *Org) Versions(ctx context.Context) ([]Version, error) {
	var v []Version
	err := o.get(ctx, "list versions", "/services/data/", nil, &v)
	return v, err
}
