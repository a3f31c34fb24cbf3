package state

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
)

// sequences hands out the chunks' numbers. The extraction and the chunks that send records again take
// theirs side by side, long before they are recorded (a chunk's file has its number in its name), so the
// table cannot tell which one is free. The process that drives the run can: it is the only one.
type sequences struct {
	mu   sync.Mutex
	last map[int64]int // by step
}

// NextSeq takes the next number of a step for a chunk to be. One that is not used in the end leaves a gap.
func (l *Lease) NextSeq(ctx context.Context, stepID int64) (seq int, err error) {
	err = l.store.Patiently(ctx, func(ctx context.Context) error {
		seq, err = l.seqs.next(ctx, l.store.pool, stepID)
		return err
	})
	return seq, err
}

// LoadSeq reads the step's last number, before chunks of it are dealt with: later nobody must wait for
// a connection while others, who hold theirs, wait for a number.
func (l *Lease) LoadSeq(ctx context.Context, stepID int64) error {
	return l.store.Patiently(ctx, func(ctx context.Context) error {
		l.seqs.mu.Lock()
		defer l.seqs.mu.Unlock()
		return l.seqs.load(ctx, l.store.pool, stepID)
	})
}

// rowQuerier is a pool or a transaction.
type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// next reads the last number of the table once, and counts from there.
func (s *sequences) next(ctx context.Context, db rowQuerier, stepID int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.last[stepID]; !ok {
		if err := s.load(ctx, db, stepID); err != nil {
			return 0, err
		}
	}
	s.last[stepID]++
	return s.last[stepID], nil
}

// load reads the last number of the table; the caller holds mu.
func (s *sequences) load(ctx context.Context, db rowQuerier, stepID int64) error {
	var last int
	if err := db.QueryRow(ctx, `SELECT coalesce(max(seq), 0) FROM etl.chunks WHERE step_id = $1`, stepID).Scan(&last); err != nil {
		return fmt.Errorf("find the last chunk of step %d: %w", stepID, err)
	}
	if s.last == nil {
		s.last = map[int64]int{}
	}
	s.last[stepID] = last
	return nil
}
