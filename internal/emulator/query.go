package emulator

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// queryAnswer is a page of records.
type queryAnswer struct {
	TotalSize int               `json:"totalSize"`
	Done      bool              `json:"done"`
	Next      string            `json:"nextRecordsUrl,omitempty"`
	Records   []json.RawMessage `json:"records"`
}

const (
	defaultQueryBatch = 2000 // REST guide, "Query Options Header"
	minQueryBatch     = 200
	maxQueryLength    = 100_000
	maxOffset         = 2000
)

// serveQuery answers a query, or the next page of one.
func (s *Server) serveQuery(c *call, head string, parts []string) error {
	if c.r.Method != http.MethodGet {
		return errMethod(c.r.Method, "GET,HEAD")
	}
	if len(parts) == 1 {
		return s.serveMore(c, head, parts[0])
	}
	text := c.r.URL.Query().Get("q")
	if len(parts) > 1 {
		return errNotFound()
	}
	if strings.TrimSpace(text) == "" {
		return refuse(http.StatusBadRequest, "MALFORMED_QUERY", "A query string has to be specified")
	}
	if len(text) > maxQueryLength {
		return refuse(http.StatusBadRequest, "QUERY_TOO_COMPLICATED", "SOQL statements cannot be longer than %d characters.", maxQueryLength)
	}
	q, err := parseSOQL(text)
	if err != nil {
		return err
	}
	if q.offset > maxOffset {
		return refuse(http.StatusBadRequest, "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is %d", maxOffset)
	}
	p, err := c.org.store.bind(q, head == "queryAll")
	if err != nil {
		return err
	}
	rows := p.run()
	switch {
	case q.count:
		c.answer(http.StatusOK, queryAnswer{TotalSize: len(rows), Done: true, Records: []json.RawMessage{}})
	case q.selects[0].count:
		c.answer(http.StatusOK, aggregate(p, rows))
	default:
		c.answer(http.StatusOK, s.firstPage(c, head, p, rows))
	}
	return nil
}

func aggregate(p *plan, rows []int32) queryAnswer {
	record := []byte(`{"attributes":{"type":"AggregateResult"}`)
	for i, n := range p.counts(rows) {
		record = append(record, ',')
		record = appendString(record, p.query.selects[i].alias)
		record = append(record, ':')
		record = strconv.AppendInt(record, int64(n), 10)
	}
	return queryAnswer{TotalSize: 1, Done: true, Records: []json.RawMessage{append(record, '}')}}
}

func (s *Server) firstPage(c *call, head string, p *plan, rows []int32) queryAnswer {
	size := queryBatch(c.r.Header.Get("Sforce-Query-Options"))
	if len(rows) <= size {
		return queryAnswer{TotalSize: len(rows), Done: true, Records: p.render(rows, c.base())}
	}
	cursor := c.org.cursors.open(c.user, &cursor{plan: p, rows: rows, size: size})
	return cursor.page(c, head, 0)
}

// queryBatch reads batchSize=n out of the header: a wish, within bounds.
func queryBatch(header string) int {
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && strings.EqualFold(name, "batchSize") {
			return min(max(n, minQueryBatch), defaultQueryBatch)
		}
	}
	return defaultQueryBatch
}

func (s *Server) serveMore(c *call, head, locator string) error {
	cursor, from, ok := c.org.cursors.find(locator)
	if !ok || cursor.plan == nil || from > len(cursor.rows) {
		return refuse(http.StatusBadRequest, "INVALID_QUERY_LOCATOR", "invalid query locator")
	}
	c.answer(http.StatusOK, cursor.page(c, head, from))
	return nil
}

// cursor is a result that is paged through: of a query, or of a list of jobs.
type cursor struct {
	id   string
	user *user
	used time.Time

	plan *plan
	rows []int32
	size int

	jobs []*job
}

// locator names a place in the result.
func (k *cursor) locator(at int) string { return k.id + "-" + strconv.Itoa(at) }

func (k *cursor) page(c *call, head string, from int) queryAnswer {
	to := min(from+k.size, len(k.rows))
	answer := queryAnswer{
		TotalSize: len(k.rows), Done: to == len(k.rows), Records: k.plan.render(k.rows[from:to], c.base()),
	}
	if !answer.Done {
		answer.Next = c.base() + "/" + head + "/" + k.locator(to)
	}
	return answer
}

// cursors are those that clients have open. A user who opens too many loses
// the one used longest ago.
type cursors struct {
	mu      sync.Mutex
	now     func() time.Time
	perUser int
	timeout time.Duration
	next    int64
	list    []*cursor // the one used last at the end
}

func newCursors(l Limits, now func() time.Time) *cursors {
	return &cursors{now: now, perUser: l.QueryLocators, timeout: l.QueryLocatorTimeout}
}

func (cs *cursors) open(u *user, k *cursor) *cursor {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.next++
	k.id, k.user, k.used = makeID("01g", cs.next), u, cs.now()
	open := 0
	for i := len(cs.list) - 1; i >= 0; i-- {
		if cs.list[i].user != u {
			continue
		}
		if open++; open >= cs.perUser {
			cs.list = slices.Delete(cs.list, i, i+1)
		}
	}
	cs.list = append(cs.list, k)
	return k
}

// find returns the cursor of a locator and the place in it.
func (cs *cursors) find(locator string) (*cursor, int, bool) {
	id, place, _ := strings.Cut(locator, "-")
	from, err := strconv.Atoi(place)
	if err != nil || from < 0 {
		return nil, 0, false
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	now := cs.now()
	cs.list = slices.DeleteFunc(cs.list, func(k *cursor) bool { return now.Sub(k.used) >= cs.timeout })
	i := slices.IndexFunc(cs.list, func(k *cursor) bool { return k.id == id })
	if i < 0 {
		return nil, 0, false
	}
	k := cs.list[i]
	k.used = now
	cs.list = append(slices.Delete(cs.list, i, i+1), k)
	return k, from, true
}

// jobs returns the list of jobs that a locator stands for, or a new one.
func (cs *cursors) jobs(c *call, locator string) (*cursor, int, error) {
	if locator == "" {
		k := &cursor{jobs: c.org.jobs.all()}
		if len(k.jobs) > jobsPerPage {
			k = cs.open(c.user, k)
		}
		return k, 0, nil
	}
	k, from, ok := cs.find(locator)
	if !ok || k.plan != nil || from > len(k.jobs) {
		return nil, 0, refuse(http.StatusBadRequest, "INVALID_QUERY_LOCATOR", "invalid query locator")
	}
	return k, from, nil
}
