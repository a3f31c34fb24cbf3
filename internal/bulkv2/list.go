package bulkv2

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
)

// ListOptions narrows [Client.Jobs].
type ListOptions struct {
	// JobType is V2Ingest (when empty), Classic or BigObjectIngest; "*" means all of them.
	JobType string
}

// Jobs returns the org's ingest jobs of all users, in no order, a page of up to 1,000 at a time. The jobs lack counters
// and error messages. The sequence ends after the first error.
func (c *Client) Jobs(ctx context.Context, opt ListOptions) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		query := url.Values{}
		switch opt.JobType {
		case "":
			query.Set("jobType", "V2Ingest")
		case "*":
		default:
			query.Set("jobType", opt.JobType)
		}
		for seen := map[string]bool{}; ; {
			page, err := c.page(ctx, query)
			if err != nil {
				yield(Job{}, err)
				return
			}
			for _, w := range page.Records {
				if !yield(w.job(), nil) {
					return
				}
			}
			if page.Done || page.locator == "" {
				return
			}
			if seen[page.locator] {
				yield(Job{}, fmt.Errorf("list jobs: page %q came twice", page.locator))
				return
			}
			seen[page.locator] = true
			query.Set("queryLocator", page.locator)
		}
	}
}

type jobPage struct {
	Done           bool      `json:"done"`
	Records        []wireJob `json:"records"`
	NextRecordsURL string    `json:"nextRecordsUrl"`

	locator string
}

func (c *Client) page(ctx context.Context, query url.Values) (jobPage, error) {
	var page jobPage
	err := c.do(ctx, call{
		op: "list jobs", method: http.MethodGet, path: jobsPath, query: query, accept: asJSON, ok: []int{http.StatusOK}, safe: true,
	}, func(resp *http.Response) error {
		page = jobPage{}
		if err := decode(resp, &page); err != nil {
			return err
		}
		var err error
		page.locator, err = locator(page.NextRecordsURL)
		return err
	})
	return page, err
}

// locator takes the queryLocator out of nextRecordsUrl. The rest of that URL is not used, so that no answer can send
// the session elsewhere.
func locator(next string) (string, error) {
	if next == "" {
		return "", nil
	}
	u, err := url.Parse(next)
	if err != nil {
		return "", fmt.Errorf("nextRecordsUrl: %w", err)
	}
	if l := strings.TrimSpace(u.Query().Get("queryLocator")); l != "" {
		return l, nil
	}
	return "", fmt.Errorf("nextRecordsUrl %q without a queryLocator", next)
}
