package salesforce

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"strings"
)

// Record is one record of a query's answer by field name, without Salesforce's "attributes". Numbers are json.Number;
// a parent is a Record too.
type Record map[string]any

// maxQuery keeps the URL under the 16,384 bytes that the org takes. REST API guide, "Status Codes and Error Responses".
const maxQuery = 14_000

type queryPage struct {
	TotalSize int64  `json:"totalSize"`
	Done      bool   `json:"done"`
	Next      string `json:"nextRecordsUrl"`
	Records   []Record
}

// Query runs a SOQL query and returns its records, reading further pages as they are needed. The sequence ends after the
// first error. It is meant for small answers: Bulk API is the way to read many records.
func (o *Org) Query(ctx context.Context, soql string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		page, err := o.firstPage(ctx, soql)
		for {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, r := range page.Records {
				if !yield(r, nil) {
					return
				}
			}
			if page.Done || page.Next == "" {
				return
			}
			page, err = o.nextPage(ctx, page.Next)
		}
	}
}

// Count runs a query of the form SELECT COUNT() FROM …, or one that selects a single count, and returns the number.
func (o *Org) Count(ctx context.Context, soql string) (int64, error) {
	page, err := o.firstPage(ctx, soql)
	if err != nil {
		return 0, err
	}
	if len(page.Records) == 1 && len(page.Records[0]) == 1 {
		for _, v := range page.Records[0] {
			if n, ok := v.(json.Number); ok {
				return n.Int64()
			}
		}
	}
	return page.TotalSize, nil
}

func (o *Org) firstPage(ctx context.Context, soql string) (queryPage, error) {
	query := url.Values{"q": {soql}}
	if n := len(query.Encode()); n > maxQuery {
		return queryPage{}, fmt.Errorf("query: %d bytes as a URL, the org takes %d", n, maxQuery)
	}
	return o.page(ctx, o.path("/query"), query)
}

// nextPage reads the page that the org names. Only the path is taken from there, so that no answer can lead elsewhere.
func (o *Org) nextPage(ctx context.Context, next string) (queryPage, error) {
	u, err := url.Parse(next)
	if err != nil || !strings.HasPrefix(u.Path, "/services/data/") {
		return queryPage{}, fmt.Errorf("query: next page %q: not a path of the API", next)
	}
	return o.page(ctx, u.Path, u.Query())
}

func (o *Org) page(ctx context.Context, path string, query url.Values) (queryPage, error) {
	var p queryPage
	err := o.get(ctx, "query", path, query, &p)
	return p, err
}

// UnmarshalJSON decodes a record, with its numbers as they are written.
func (r *Record) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return err
	}
	*r = Record(plain(m))
	return nil
}

// plain takes the attributes out of a record and of its parents.
func plain(m map[string]any) map[string]any {
	delete(m, "attributes")
	for k, v := range m {
		if parent, ok := v.(map[string]any); ok {
			m[k] = Record(plain(parent))
		}
	}
	return m
}
