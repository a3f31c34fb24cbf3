package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// everyOne refuses every record.
const everyOne = `{"on":"row","do":"row-error","code":"FIELD_CUSTOM_VALIDATION_EXCEPTION","message":"the department is closed","fields":["Department"]}`

// measureFailures lets every record fail, looks them up, and sends them again.
func measureFailures(ctx context.Context, b *bench) (err error) {
	o, err := b.stage.startOrg(ctx, "--fault", everyOne)
	if err != nil {
		return err
	}
	defer func() { err = o.stopAfter(err) }()
	rows := b.cfg.Rows
	l, err := b.stage.load(ctx, o, pipeline(rows))
	if err != nil {
		return err
	}
	if err := errors.Join(l.expect(rows, rows), l.inReconciliation(ctx, rows)); err != nil {
		return err
	}
	b.logf("  all failed: %.2f s, %.2f s CPU, %d MB", l.wall.Seconds(), l.cpu.Seconds(), l.peak/megabyte)
	settling, err := l.settling(ctx)
	if err != nil {
		return err
	}
	b.add("failures", "all fail: records a second into reconciliation, while chunks are settled", float64(rows)/settling.Seconds(), "", 0, atLeast(100_000))
	b.add("failures", "all fail: records a second, over the whole run", float64(rows)/l.wall.Seconds(), "", 0, nil)
	b.add("failures", "all fail: client CPU per million rows", l.cpu.Seconds()/million(rows), "s", 0, nil)
	b.add("failures", "all fail: peak memory", float64(l.peak)/megabyte, "MB", 0, atMost(64))
	if err := b.listFailures(ctx, l, rows); err != nil {
		return err
	}
	if err := o.reset(ctx); err != nil {
		return err
	}
	retry := l
	if err := retry.run(ctx, b.stage, "failed", "retry", "--pipeline", "bench"); err != nil {
		return err
	}
	b.logf("  retry: %.2f s, %.2f s CPU, %d MB", retry.wall.Seconds(), retry.cpu.Seconds(), retry.peak/megabyte)
	b.add("failures", "retry of all: records a second", float64(rows)/retry.wall.Seconds(), "", 0, nil)
	b.add("failures", "retry of all: peak memory", float64(retry.peak)/megabyte, "MB", 0, atMost(64))
	return errors.Join(retry.expect(rows, 0), l.inReconciliation(ctx, 0))
}

// settling is for how long the run had a chunk whose results it was downloading or
// writing into the tables.
func (l *load) settling(ctx context.Context) (time.Duration, error) {
	conn, err := pgx.Connect(ctx, l.state)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var took time.Duration
	err = conn.QueryRow(ctx, `
		WITH settling AS (
			SELECT tstzrange(min(at) FILTER (WHERE stage = 'results'), max(at) FILTER (WHERE stage = 'done')) AS span
			FROM etl.chunks c, unnest(c.stages, c.stages_at) AS s (stage, at)
			WHERE c.run_id = $1 GROUP BY c.id
		)
		SELECT sum(upper(span) - lower(span)) FROM (SELECT unnest(range_agg(span)) AS span FROM settling) AS s`,
		l.summary.ID).Scan(&took)
	return took, err
}

// inReconciliation checks how many records are open.
func (l *load) inReconciliation(ctx context.Context, want int64) error {
	conn, err := pgx.Connect(ctx, l.state)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var n int64
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM etl.reconciliation WHERE status = 'open'").Scan(&n); err != nil {
		return err
	}
	if n != want {
		return fmt.Errorf("%d records are open in etl.reconciliation, want %d", n, want)
	}
	return nil
}

// listFailures asks for failed records in the ways people do.
func (b *bench) listFailures(ctx context.Context, l load, rows int64) error {
	for _, list := range []struct {
		what string
		args []string
		want int64
	}{
		{"one by its key", []string{"--key", fmt.Sprint(rows / 2)}, 1},
		{"by code and field", []string{"--code", "FIELD_CUSTOM_VALIDATION_EXCEPTION", "--field", "Department"}, rows},
		{"by pipeline and step", []string{"--pipeline", "bench", "--step", "people"}, rows},
		{"by a code that none has", []string{"--code", "REQUIRED_FIELD_MISSING"}, 0},
	} {
		command := append([]string{"failed", "list", "--dir", l.dir}, list.args...)
		shown, err := b.stage.exec(ctx, nil, l.env, b.stage.cfg.Etl, command...)
		if err != nil {
			return err
		}
		u, err := b.stage.exec(ctx, nil, l.env, b.stage.cfg.Etl, append(command, "--json")...)
		if err != nil {
			return err
		}
		var found struct {
			Total int64 `json:"total"`
		}
		if err := json.Unmarshal(u.stdout, &found); err != nil {
			return err
		}
		if found.Total != list.want {
			return fmt.Errorf("failed list %s: %d records, want %d", list.what, found.Total, list.want)
		}
		b.add("failures", "etl failed list, "+list.what, shown.wall.Seconds(), "s", 0, atMost(0.5))
		b.add("failures", "the same with --json, which counts all", u.wall.Seconds(), "s", 0, nil)
	}
	return nil
}
