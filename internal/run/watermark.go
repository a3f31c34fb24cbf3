package run

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/extract"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/state"
)

// SetWatermark puts the watermark of a step where somebody wants it. The value is read as the source
// reads it; what it cannot read is an error. It returns a *state.HeldError or *state.UnfinishedError
// beside a run that would move it.
func SetWatermark(ctx context.Context, store *state.Store, source string, p *pipeline.Pipeline, name, value string) (*state.Watermark, error) {
	conn, err := pgx.Connect(ctx, source)
	if err != nil {
		return nil, fmt.Errorf("source database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, step := range p.Steps {
		if step.Name != name {
			continue
		}
		mark, err := watermarkOf(ctx, conn, step)
		if err != nil {
			return nil, fmt.Errorf("step %q: %w", name, err)
		}
		set := &state.Watermark{Pipeline: p.Name, Step: name, Column: step.Changes.By, Type: mark.Type()}
		if set.Value, err = mark.Read(ctx, conn, value); err != nil {
			return nil, err
		}
		return set, store.SetWatermark(ctx, *set)
	}
	return nil, fmt.Errorf("pipeline %q has no step %q", p.Name, name)
}

// watermarkOf describes the column that a step goes by.
func watermarkOf(ctx context.Context, conn *pgx.Conn, step *pipeline.Step) (*extract.Watermark, error) {
	if step.Changes == nil || step.Changes.By == "" {
		return nil, fmt.Errorf("it has no watermark: its file has no changes: { by: COLUMN }")
	}
	columns, err := extract.Describe(ctx, conn, step.Query)
	if err != nil {
		return nil, err
	}
	for _, column := range columns {
		if column.Name == step.Changes.By {
			return extract.NewWatermark(step.Query, step.Compile().ColumnExpr(column.Name), column)
		}
	}
	return nil, fmt.Errorf("its query has no column %q", step.Changes.By)
}
