package run

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/extract"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/rowstate"
	"bulkhead/internal/state"
)

// ResendError says that what a step sends by content has changed its form, so that a run would send
// every row again.
type ResendError struct {
	Step string
	Rows int64 // that were loaded in the form before
	Jobs int64 // at the most; each costs some API calls
}

func (e *ResendError) Error() string {
	return e.what() + "; nothing was sent, start it with --accept if that is meant"
}

// Question asks whether that is meant.
func (e *ResendError) Question() string { return e.what() + ". Send them?" }

func (e *ResendError) what() string {
	return fmt.Sprintf("step %q: its org, object, key or fields are not those that its rows were last sent with, so this run sends all of about %d rows again, in %d jobs or more, with about %d API calls",
		e.Step, e.Rows, e.Jobs, e.Jobs*callsPerJob)
}

// byContent reports whether the step sends only rows whose content changed.
func (p *stepPlan) byContent() bool { return p.Step.Changes != nil && p.Step.Changes.Hash }

// sortKeys orders the rows so that every database agrees on the order: what is kept of them is read
// beside them. Whole numbers and uuids sort alike everywhere, all else by the bytes of its text.
func (p *stepPlan) sortKeys() {
	for i, typeName := range p.KeyTypes {
		switch typeName {
		case "smallint", "integer", "bigint":
			p.keys = append(p.keys, rowstate.KeyInt)
			continue
		case "uuid":
		default:
			p.projection.SortAsText(i)
			p.KeyTypes[i] = "text"
		}
		p.keys = append(p.keys, rowstate.KeyText)
	}
}

// rowSet is the set in which the step's rows are kept.
func (e *Engine) rowSet(plan *stepPlan) *rowstate.Set {
	form := []string{e.cfg.Org.OrgID(), plan.Object.Name, string(plan.Step.Operation), plan.matchBy, strings.Join(plan.Step.Key, "\x00")}
	for _, key := range plan.keys {
		form = append(form, string(key))
	}
	for _, column := range plan.Columns {
		form = append(form, column.Target)
	}
	sum := sha256.Sum256([]byte(strings.Join(form, "\x01")))
	return &rowstate.Set{Pipeline: e.pipeline.Name, Step: plan.Step.Name, Fingerprint: hex.EncodeToString(sum[:rowstate.HashSize]), Keys: plan.keys}
}

// checkForms returns a *ResendError for a step whose kept rows are of another form than it sends now.
func (e *Engine) checkForms(ctx context.Context, plans []*stepPlan) error {
	for _, plan := range plans {
		if !plan.byContent() {
			continue
		}
		kept, err := rowstate.Find(ctx, e.cfg.Store.Pool(), e.pipeline.Name, plan.Step.Name)
		if errors.Is(err, rowstate.ErrNone) {
			continue
		}
		if err != nil {
			return err
		}
		if kept.Fingerprint == e.rowSet(plan).Fingerprint {
			continue
		}
		rows, err := kept.Count(ctx, e.cfg.Store.Pool())
		if err != nil {
			return err
		}
		if rows > 0 {
			return &ResendError{Step: plan.Step.Name, Rows: rows, Jobs: ceilDiv(rows, plan.Step.Chunk.Rows)}
		}
	}
	return nil
}

// openRows opens what is kept of the step's rows. A retry makes no new form of it: that is for a run,
// which asks first.
func (s *stepRun) openRows(ctx context.Context) error {
	if !s.plan.byContent() {
		return nil
	}
	set := s.engine.rowSet(s.plan)
	err := s.lease.Fenced(ctx, state.WriteRows, func(tx pgx.Tx) error {
		kept, err := rowstate.Find(ctx, tx, set.Pipeline, set.Step)
		if err != nil && !errors.Is(err, rowstate.ErrNone) {
			return err
		}
		if kept != nil && s.options.Retry != nil && kept.Fingerprint != set.Fingerprint {
			set = nil
			return nil
		}
		return rowstate.Open(ctx, tx, set)
	})
	s.rows = set
	return err
}

// comparison reports whether a record is what the org has of its key. Keys come in their order.
type comparison func(ctx context.Context, key [][]byte, record []byte) (unchanged bool, err error)

// comparison compares with what is kept of the step's rows and counts what is the same; nil where every
// record is to be sent.
func (s *stepRun) comparison(progress *StepProgress) comparison {
	if s.rows == nil || s.options.Full {
		return nil
	}
	same := s.engine.compare(s.rows)
	return func(ctx context.Context, key [][]byte, record []byte) (bool, error) {
		unchanged, err := same(ctx, key, record)
		if unchanged {
			progress.unchanged()
		}
		return unchanged, err
	}
}

func (e *Engine) compare(set *rowstate.Set) comparison {
	reader, hasher := set.NewReader(e.cfg.Store.Pool(), e.cfg.Store.Patiently), set.NewHasher()
	var encoded []byte
	return func(ctx context.Context, key [][]byte, record []byte) (bool, error) {
		var err error
		if encoded, err = set.Keys.Append(encoded[:0], key); err != nil {
			return false, err
		}
		kept, err := reader.Find(ctx, encoded)
		return kept != nil && bytes.Equal(kept, hasher.Sum(record)), err
	}
}

// keepRows keeps what became of a chunk's records, in the transaction that settles it. loaded is nil
// where nobody knows which of them loaded.
func (s *stepRun) keepRows(ctx context.Context, tx pgx.Tx, c *state.Chunk, sent *reconcile.Sent, loaded func(record int) bool) error {
	switch {
	case s.rows == nil:
		return nil
	case loaded == nil && c.Kind == state.ChunkRange:
		return s.rows.Doubt(ctx, tx, c.KeyLow, c.KeyHigh)
	case loaded == nil:
		return nil // they failed before, so there is no hash of them
	case c.Kind == state.ChunkPayload:
		return s.keepPayloads(ctx, tx, sent, loaded)
	}
	records, err := sent.Open()
	if err != nil {
		return err
	}
	defer records.Close()
	hasher, keys, row, i := s.rows.NewHasher(), &keyReader{set: s.rows}, rowstate.Row{}, -1
	return s.rows.Write(ctx, tx, func() (*rowstate.Row, error) {
		if !records.Next() {
			return nil, records.Err()
		}
		i++
		row.Accepted, row.Hash = loaded(i), nil
		if row.Accepted {
			row.Hash = hasher.Sum(records.Record())
		}
		row.Key, err = keys.read(records.Key())
		return &row, err
	})
}

// keepPayloads notes records that were sent as the reconciliation table has them, perhaps edited: the
// org has those that loaded, and whether they are what the source holds shows when it is read next.
func (s *stepRun) keepPayloads(ctx context.Context, tx pgx.Tx, sent *reconcile.Sent, loaded func(record int) bool) error {
	records, err := sent.Open()
	if err != nil {
		return err
	}
	defer records.Close()
	accepted := map[int64]bool{}
	for i := 0; records.Next(); i++ {
		id, err := strconv.ParseInt(string(records.Key()), 10, 64)
		if err != nil {
			return fmt.Errorf("key %q is no reconciliation row: %w", records.Key(), err)
		}
		accepted[id] = loaded(i)
	}
	if err := records.Err(); err != nil {
		return err
	}
	rows, err := reconcile.SourceKeys(ctx, tx, accepted)
	if err != nil {
		return err
	}
	keys, i := &keyReader{set: s.rows}, 0
	return s.rows.Write(ctx, tx, func() (*rowstate.Row, error) {
		if i == len(rows) {
			return nil, nil
		}
		i++
		key, err := keys.read([]byte(rows[i-1].Key))
		return &rowstate.Row{Key: key, Accepted: rows[i-1].Accepted}, err
	})
}

// refuseRows makes nothing known of rows that were rejected, so that they are tried again.
func (s *stepRun) refuseRows(ctx context.Context, tx pgx.Tx, file rejectionRows) error {
	if s.rows == nil {
		return nil
	}
	keys := &keyReader{set: s.rows}
	return s.rows.Write(ctx, tx, func() (*rowstate.Row, error) {
		if !file.Next() {
			return nil, file.Err()
		}
		key, err := keys.read([]byte(file.Rejection().Key))
		return &rowstate.Row{Key: key}, err
	})
}

// doubtRows makes nothing known of rows of chunks that were given up when they may have been sent.
func (e *Engine) doubtRows(ctx context.Context, tx pgx.Tx, chunks []*state.Chunk) error {
	for _, c := range chunks {
		set, err := rowstate.Find(ctx, tx, e.pipeline.Name, c.Step)
		if errors.Is(err, rowstate.ErrNone) {
			continue
		}
		if err == nil {
			err = set.Doubt(ctx, tx, c.KeyLow, c.KeyHigh)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keyReader makes the keys that stand beside records those that rows are kept under.
type keyReader struct {
	set   *rowstate.Set
	parts [][]byte
	key   []byte
}

func (k *keyReader) read(text []byte) (key []byte, err error) {
	k.parts = append(k.parts[:0], text)
	if n := len(k.set.Keys); n > 1 {
		parts, err := extract.DecodeKey(string(text), n)
		if err != nil {
			return nil, err
		}
		k.parts = k.parts[:0]
		for _, part := range parts {
			k.parts = append(k.parts, []byte(part))
		}
	}
	k.key, err = k.set.Keys.Append(k.key[:0], k.parts)
	return k.key, err
}
