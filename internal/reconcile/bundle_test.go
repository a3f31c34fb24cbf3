package reconcile_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"bulkhead/internal/pgtest"
	"bulkhead/internal/reconcile"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bundle is a migrated database.
type bundle struct {
	pool  *pgxpool.Pool
	store *reconcile.Store
}

func setup(t *testing.T) bundle {
	t.Helper()
	pool := pgtest.Pool(t, pgtest.New(t))
	return bundle{pool, reconcile.NewStore(pool)}
}

// record is one record as it was sent.
type record struct {
	key    string
	values []string
}

// sentRecords stands in for a chunk's file.
func sentRecords(t *testing.T, header []string, list ...record) *reconcile.Sent {
	t.Helper()
	var all bytes.Buffer
	w := csv.NewWriter(&all)
	write := func(values []string) {
		if len(values) == 1 && values[0] == "" {
			all.WriteString("\"\"\n")
			return
		}
		if err := w.Write(values); err != nil {
			t.Fatal(err)
		}
		w.Flush()
	}
	write(header)
	r := &records{}
	for _, rec := range list {
		start := all.Len()
		write(rec.values)
		r.keys = append(r.keys, rec.key)
		r.offsets = append(r.offsets, start)
	}
	r.offsets = append(r.offsets, all.Len())
	r.data = all.Bytes()
	return &reconcile.Sent{
		Header: header,
		Open:   func() (reconcile.Records, error) { again := *r; again.at = -1; return &again, nil },
		Raw:    func() (reconcile.Raw, error) { return raw{bytes.NewReader(r.data)}, nil },
	}
}

type raw struct{ *bytes.Reader }

func (raw) Close() error { return nil }

type records struct {
	data    []byte
	keys    []string
	offsets []int
	at      int
}

func (r *records) Next() bool     { r.at++; return r.at < len(r.keys) }
func (r *records) Key() []byte    { return []byte(r.keys[r.at]) }
func (r *records) Record() []byte { return r.data[r.offsets[r.at]:r.offsets[r.at+1]] }
func (r *records) Offset() int64  { return int64(r.offsets[r.at]) }
func (r *records) Err() error     { return nil }
func (r *records) Close() error   { return nil }

// results stands in for a download.
type results struct {
	header []string
	rows   [][]string
	at     int
	err    error
}

func (r *results) Header() []string { return r.header }
func (r *results) Next() bool       { r.at++; return r.at <= len(r.rows) }
func (r *results) Record() []string { return r.rows[r.at-1] }
func (r *results) Err() error       { return r.err }
func (r *results) Close() error     { return nil }

// job is what an org says of a finished job: each a header and rows.
type job struct {
	failed, unprocessed, successful [][]string
	broken                          error
}

func (j job) downloads() reconcile.Downloads {
	open := func(table [][]string) func(context.Context) (reconcile.Results, error) {
		return func(context.Context) (reconcile.Results, error) {
			if len(table) == 0 {
				return &results{err: j.broken}, nil
			}
			return &results{header: table[0], rows: table[1:], err: j.broken}, nil
		}
	}
	return reconcile.Downloads{Failed: open(j.failed), Unprocessed: open(j.unprocessed), Successful: open(j.successful)}
}

// parse splits `CODE:message:Field --`, well enough for these tests.
func parse(text string) reconcile.RowError {
	parts := strings.Split(strings.TrimSuffix(strings.TrimSuffix(text, "--"), " "), ":")
	e := reconcile.RowError{Code: parts[0]}
	if len(parts) > 1 {
		e.Message = parts[1]
	}
	if len(parts) > 2 && parts[2] != "" {
		e.Fields = strings.Split(parts[2], ",")
	}
	return e
}

func chunkOf(id int64, rows int64, externalID string, j reconcile.Job, sent *reconcile.Sent) reconcile.Chunk {
	if j.State == "" {
		j.State = "JobComplete"
	}
	j.ID = "750A"
	return reconcile.Chunk{
		RunID: id, ID: id, Pipeline: "crm", Step: "contacts", Object: "Contact", Operation: "upsert",
		Rows: rows, ExternalID: externalID, Job: j, Sent: sent,
	}
}

func (b bundle) settle(t *testing.T, c reconcile.Chunk, j job, options reconcile.Options) (reconcile.Outcome, error) {
	t.Helper()
	if options.Parse == nil {
		options.Parse = parse
	}
	var out reconcile.Outcome
	err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		var err error
		out, err = reconcile.Settle(t.Context(), tx, c, j.downloads(), options)
		return err
	})
	return out, err
}

// mustSettle settles a chunk as a run does: as a whole where a failure fits no record. The last records
// sent then count as those that loaded, unless the job says which did.
func (b bundle) mustSettle(t *testing.T, c reconcile.Chunk, j job, options reconcile.Options) reconcile.Outcome {
	t.Helper()
	out, err := b.settle(t, c, j, options)
	if errors.Is(err, reconcile.ErrUnmatched) {
		if j.successful == nil {
			j.successful = lastSent(t, c.Sent, c.Rows-c.Job.Failed)
		}
		c.Whole = true
		out, err = b.settle(t, c, j, options)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func lastSent(t *testing.T, sent *reconcile.Sent, n int64) [][]string {
	t.Helper()
	list, err := sent.Open()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for list.Next() {
		values, err := csv.NewReader(bytes.NewReader(list.Record())).Read()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, values)
	}
	return append([][]string{sent.Header}, all[len(all)-int(n):]...)
}

func (b bundle) rows(t *testing.T, f reconcile.Filter) []reconcile.Row {
	t.Helper()
	list, err := b.store.List(t.Context(), f, 0)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func key(r reconcile.Row) string {
	if r.SourceKey == nil {
		return "none"
	}
	return *r.SourceKey
}

var errBroken = errors.New("connection reset by peer")
