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
	var last int
	err := l.store.Patiently(ctx, func(ctx context.Context) error {
		return l.store.pool.QueryRow(ctx, `SELECT coalesce(max(seq), 0) FROM etl.chunks WHERE step_id = $1`, stepID).Scan(&last)
	})
	if err != nil {
		return fmt.Errorf("find the last chunk of step %d: %w", stepID, err)
	}
	l.seqs.mu.Lock()
	defer l.seqs.mu.Unlock()
	if l.seqs.last == nil {
		l.seqs.last = map[int64]int{}
	}
	l.seqs.last[stepID] = last
	return nil
}

// next reads the last number of the table once, and counts from there.
func (s *sequences) next(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, stepID int64,
) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.last[stepID]
	if !ok {
		if err := db.QueryRow(ctx, `SELECT coalesce(max(seq), 0) FROM etl.chunks WHERE step_id = $1`, stepID).Scan(&last); err != nil {
			return 0, fmt.Errorf("find the last chunk of step %d: %w", stepID, err)
		}
		if s.last == nil {
			s.last = map[int64]int{}
		}
	}
	s.last[stepID] = last + 1
	return last + 1, nil
}
