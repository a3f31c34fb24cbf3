package run

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"bulkhead/internal/pipeline"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/state"
)

// RetryOptions select what a retry sends again.
type RetryOptions struct {
	Filter reconcile.Filter `json:"filter"`
	// FromPayload sends the stored, perhaps edited, payloads instead of reading the rows again from the
	// source by their keys.
	FromPayload bool `json:"from_payload"`
	// Steps are the pipeline's steps that have such records; Retry finds them.
	Steps []string `json:"steps"`
}

// ErrNothingToRetry says that no open row fits the filter.
var ErrNothingToRetry = errors.New("no open record fits the filter")

// Retry sends open records of the reconciliation table again, as a run of its own. It returns what
// Run returns, and ErrNothingToRetry.
func (e *Engine) Retry(ctx context.Context, retry RetryOptions) (*Summary, error) {
	retry.Filter.Pipeline = e.pipeline.Name
	retry.Filter.Statuses = []reconcile.Status{reconcile.StatusOpen}
	var keyed, keyless int64
	var err error
	if retry.Steps, keyed, keyless, err = e.cfg.Failures.OpenSteps(ctx, retry.Filter); err != nil {
		return nil, err
	}
	if keyed == 0 && keyless > 0 && !retry.FromPayload {
		return nil, fmt.Errorf("%w by its source key; %d records have none, and can only be sent again from their payload", ErrNothingToRetry, keyless)
	}
	if len(e.retrySteps(retry.Steps)) == 0 {
		return nil, ErrNothingToRetry
	}
	return e.Run(ctx, Options{Retry: &retry, Trigger: state.TriggerRetry})
}

// retrySteps are the pipeline's steps of the given names, in the order to run them. Rows of a step that
// the pipeline no longer has wait until it is there again.
func (e *Engine) retrySteps(names []string) []*pipeline.Step {
	var steps []*pipeline.Step
	for _, step := range e.pipeline.Ordered() {
		if slices.Contains(names, step.Name) {
			steps = append(steps, step)
		}
	}
	return steps
}

// planRetries claims the records to send again, a chunk at a time, and queues the chunks.
func (s *stepRun) planRetries(ctx context.Context) error {
	kind := state.ChunkKeys
	if s.options.Retry.FromPayload {
		kind = state.ChunkPayload
	}
	filter := s.options.Retry.Filter
	filter.Step = s.step.Name
	claiming := reconcile.Claiming{RunID: s.lease.RunID(), ByKey: kind == state.ChunkKeys, Limit: s.retryRows()}
	total := int64(0)
	for {
		var claimed, last int64
		c, err := s.lease.Plan(ctx, s.step.ID, kind, func(tx pgx.Tx, chunkID int64) (n int64, err error) {
			claiming.ChunkID = chunkID
			claimed, last, err = reconcile.Claim(ctx, tx, filter, claiming)
			return claimed, err
		})
		if err != nil {
			return fmt.Errorf("claim records to retry: %w", err)
		}
		if c == nil {
			break
		}
		total += claimed
		// Rows that are open again, because the source has lost them, are not come back to.
		claiming.After = last
		c.Step = s.step.Name
		s.progress.chunks.Add(1)
		s.queue.put(c)
	}
	s.log.Info("records to retry", zap.Int64("records", total))
	return s.lease.ExtractionDone(ctx, s.step.ID)
}

// retryRows is how many records one chunk of a retry takes: as many as fit, if they are of a usual
// size. Records that do not fit stay open.
func (s *stepRun) retryRows() int64 {
	const usualBytes, batch = 1_000, 10_000
	chunk := s.plan.Step.Chunk
	return min(chunk.Rows, max(batch, chunk.Bytes/usualBytes))
}
