package bench

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// measureLong loads the whole table. Wall, in seconds, and peak, in MB, are those of
// the short load.
func (b *bench) measureLong(ctx context.Context, o *org, wall, peak float64) error {
	l, err := b.loadOnce(ctx, o, b.cfg.LongRows)
	if err != nil {
		return err
	}
	b.logf("  long: %.2f s, %.2f s CPU, %d MB; org %.2f s CPU", l.wall.Seconds(), l.cpu.Seconds(), l.peak/megabyte, l.orgCPU.Seconds())
	times := float64(b.cfg.LongRows) / float64(b.cfg.Rows)
	b.add("load", "long load: wall, over that of the short one times its size", l.wall.Seconds(), "s", wall*times, atMost(1.1))
	b.add("load", "long load: client CPU per million rows", l.cpu.Seconds()/million(b.cfg.LongRows), "s", 0, nil)
	b.add("load", "long load: peak memory, over that of the short one", float64(l.peak)/megabyte, "MB", peak, atMost(1.1))
	b.report.Long = &Long{Memory: thin(l.memory)}
	b.report.Long.Settled, err = l.settled(ctx)
	return err
}

// plotPoints are about as many as a plot can show.
const plotPoints = 600

// thin leaves out samples between others, but never the highest of those it thins.
func thin(samples []sample) []Point {
	every := max(1, len(samples)/plotPoints)
	var points []Point
	for i, s := range samples {
		value := float64(s.bytes)
		if i%every == 0 {
			points = append(points, Point{At: s.at.Seconds(), Value: value})
			continue
		}
		last := &points[len(points)-1]
		last.Value = max(last.Value, value)
	}
	return points
}

// settled is how many rows were through, and when.
func (l *load) settled(ctx context.Context) ([]Point, error) {
	conn, err := pgx.Connect(ctx, l.state)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, `
		SELECT updated_at, sum(rows_loaded + rows_failed) OVER (ORDER BY updated_at, id)
		FROM etl.chunks WHERE run_id = $1 AND state = 'reconciled' ORDER BY updated_at, id`, l.summary.ID)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Point, error) {
		var at time.Time
		var p Point
		err := row.Scan(&at, &p.Value)
		p.At = at.Sub(l.begun).Seconds()
		return p, err
	})
}
