package reconcile

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// sentRows stands in for a chunk's file: rows of values that need no quotes, keyed by their number.
type sentRows struct {
	rows [][]string
	at   int
}

func (r *sentRows) record(i int) []byte { return []byte(strings.Join(r.rows[i], ",") + "\n") }

func (r *sentRows) Next() bool     { r.at++; return r.at < len(r.rows) }
func (r *sentRows) Key() []byte    { return []byte{byte(r.at)} }
func (r *sentRows) Record() []byte { return r.record(r.at) }
func (r *sentRows) Err() error     { return nil }
func (r *sentRows) Close() error   { return nil }

func (r *sentRows) Offset() int64 {
	end := 0
	for i := range r.at {
		end += len(r.record(i))
	}
	return int64(end)
}

type rawRows struct{ *bytes.Reader }

func (rawRows) Close() error { return nil }

func sentOf(rows [][]string) Sent {
	var all bytes.Buffer
	for i := range rows {
		all.Write((&sentRows{rows: rows}).record(i))
	}
	return Sent{
		Header: []string{"Id__c", "Name"},
		Open:   func() (Records, error) { return &sentRows{rows: rows, at: -1}, nil },
		Raw:    func() (Raw, error) { return rawRows{bytes.NewReader(all.Bytes())}, nil },
	}
}

// TestMatcherTakesEachRecordOnce draws records of which many are alike, by id, by content or in all,
// and results of some of them in any order: each result finds a record of its own with its very
// content, and what is left over is what had no result.
func TestMatcherTakesEachRecordOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SampledFrom([]string{"", "#N/A", "a", "A", "7", "07", "b"})
		rows := rapid.SliceOfN(rapid.SliceOfN(value, 2, 2), 1, 12).Draw(t, "records")
		externalID := rapid.SampledFrom([]string{"", "Id__c"}).Draw(t, "external id")
		order := rapid.Permutation(slices.Collect(func(yield func(int) bool) {
			for i := range rows {
				if !yield(i) {
					return
				}
			}
		})).Draw(t, "order")
		results := order[:rapid.IntRange(0, len(order)).Draw(t, "results")]

		header := []string{"sf__Id", "Id__c", "Name"}
		m, err := newMatcher(sentOf(rows), int64(len(rows)), externalID, header)
		if err != nil {
			t.Fatal(err)
		}
		m.use(header)
		seen := map[int]bool{}
		for _, i := range results {
			got, ok, err := m.match([]string{"001", rows[i][0], rows[i][1]})
			switch {
			case err != nil || !ok:
				t.Fatalf("result %q of record %d finds nothing (%v)", rows[i], i, err)
			case seen[got]:
				t.Fatalf("record %d is taken twice", got)
			case !slices.Equal(rows[got], rows[i]):
				t.Fatalf("result %q finds record %q", rows[i], rows[got])
			}
			seen[got] = true
		}
		for i, free := 0, m.free(0); free >= 0; i, free = i+1, m.free(free+1) {
			if seen[free] {
				t.Fatalf("record %d is free and was taken", free)
			}
			if i == len(rows)-len(results) {
				t.Fatal("too many records are free")
			}
		}
		if got, ok, _ := m.match([]string{"001", "nobody's", "row"}); ok {
			t.Fatalf("a result of no record finds record %d", got)
		}
		if err := m.close(); err != nil {
			t.Fatal(err)
		}
	})
}
