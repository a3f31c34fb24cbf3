package bench

import (
	"context"
	"fmt"
	"time"
)

// settingRows are how many rows show what a setting does.
const settingRows = 200_000

// measureSettings loads the same rows with other chunks, into the org that takes
// time: docs/tuning.md tells from it.
func measureSettings(ctx context.Context, b *bench) (err error) {
	o, err := b.stage.startSlowOrg(ctx)
	if err != nil {
		return err
	}
	defer func() { err = o.stopAfter(err) }()
	rows := min(b.cfg.Rows, settingRows)
	for _, set := range []struct{ rows, parallel int64 }{{chunkRows, 5}, {chunkRows, 1}, {25_000, 5}, {10_000, 5}, {10_000, 1}} {
		l, err := b.stage.load(ctx, o, pipeline(rows, fmt.Sprintf("chunk: { rows: %d, parallel: %d }", set.rows, set.parallel)))
		if err != nil {
			return err
		}
		if err := l.finish(rows, 0); err != nil {
			return err
		}
		name := fmt.Sprintf("rows: %d, parallel: %d", set.rows, set.parallel)
		b.logf("  %s: %.2f s, %d API calls, %d batches", name, l.wall.Seconds(), l.summary.APICalls, l.summary.Steps[0].Batches)
		b.add("settings", name+": wall, over the least that the org needs", l.wall.Seconds(), "s", b.leastTime(rows).Seconds(), nil)
		b.add("settings", name+": API calls", float64(l.summary.APICalls), "", 0, nil)
		b.add("settings", name+": Bulk batches", float64(l.summary.Steps[0].Batches), "", 0, nil)
		b.add("settings", name+": peak memory", float64(l.peak)/megabyte, "MB", 0, nil)
	}
	return nil
}

// leastTime is what the batches take if the org's workers never wait.
func (b *bench) leastTime(rows int64) time.Duration {
	return time.Duration(ceilDiv(ceilDiv(rows, batchRows), batchParallel)) * b.cfg.BatchTime
}
