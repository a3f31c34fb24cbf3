package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// chunkRows are the rows of a chunk where nothing else is said, as in a pipeline.
const chunkRows = 100_000

// megabyte is what memory is told in.
const megabyte = 1 << 20

// onePercent refuses each hundredth record.
const onePercent = `{"on":"row","do":"row-error","every":100,"code":"FIELD_CUSTOM_VALIDATION_EXCEPTION","message":"the department is closed","fields":["Department"]}`

// summary is what `etl run --json` tells of a run.
type summary struct {
	ID         int64  `json:"id"`
	State      string `json:"state"`
	RowsRead   int64  `json:"rows_read"`
	RowsLoaded int64  `json:"rows_loaded"`
	RowsFailed int64  `json:"rows_failed"`
	APICalls   int64  `json:"api_calls"`
	Steps      []struct {
		Jobs    int64 `json:"jobs"`
		Batches int64 `json:"bulk_batches"`
	} `json:"steps"`
}

// load is a run of the program from its start to its end.
type load struct {
	usage
	summary summary
	state   string   // the database with the state of the run
	dir     string   // the project
	env     []string // to go on with the same project
	orgCPU  time.Duration
}

// pipeline is one that loads the first rows of the table, and more lines of its step.
func pipeline(rows int64, more ...string) string {
	var names, fields []string
	for _, column := range columns() {
		names = append(names, column[0])
		fields = append(fields, column[1]+": "+column[0])
	}
	more = append(more, "fields: { "+strings.Join(fields, ", ")+" }")
	return fmt.Sprintf(`name: bench
source: source
steps:
  - name: people
    object: Contact
    operation: upsert
    external_id: Legacy_Id__c
    query: SELECT %s FROM people WHERE id <= %d
    key: id
    %s
`, strings.Join(names, ", "), rows, strings.Join(more, "\n    "))
}

// load runs a pipeline in a new project with a new state database.
func (s *stage) load(ctx context.Context, o *org, pipeline string) (load, error) {
	l, err := s.prepare(ctx, o, pipeline)
	if err != nil {
		return l, err
	}
	err = l.run(ctx, s, "run", "bench")
	return l, err
}

// prepare makes the project and the state database.
func (s *stage) prepare(ctx context.Context, o *org, pipeline string) (load, error) {
	var l load
	var err error
	if l.state, err = s.stateDatabase(ctx); err != nil {
		return l, err
	}
	if l.dir, err = s.project(pipeline); err != nil {
		return l, err
	}
	l.env = append([]string{"ETL_DATABASE_URL=" + l.state, "BENCH_SOURCE=" + s.source}, o.env...)
	return l, nil
}

// run runs a command that ends with a summary.
func (l *load) run(ctx context.Context, s *stage, args ...string) error {
	args = append(args, "--dir", l.dir, "--json")
	var err error
	if l.usage, err = s.exec(ctx, []int{exitNotAll}, l.env, s.cfg.Etl, args...); err != nil {
		return err
	}
	return json.Unmarshal(l.stdout, &l.summary)
}

// exitNotAll is the exit code of a run of which some records did not load.
const exitNotAll = 3

// expect checks that a run did all that it was asked to.
func (l *load) expect(rows, failed int64) error {
	if s := l.summary; s.RowsRead != rows || s.RowsFailed != failed || s.RowsLoaded != rows-failed {
		return fmt.Errorf("run %d: read %d, loaded %d, failed %d; want %d rows, %d failed", s.ID, s.RowsRead, s.RowsLoaded, s.RowsFailed, rows, failed)
	}
	return nil
}

// finish checks a run and removes its project.
func (l *load) finish(rows, failed int64) error {
	return errors.Join(l.expect(rows, failed), os.RemoveAll(l.dir))
}

// measureLoad loads the table into an org that answers at once.
func measureLoad(ctx context.Context, b *bench) (err error) {
	o, err := b.stage.startOrg(ctx)
	if err != nil {
		return err
	}
	defer func() { err = o.stopAfter(err) }()
	x, err := b.stage.extract(ctx, b.cfg.Rows)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.files.remove()) }()
	var walls, cpus, peaks, floors, floorCPUs []float64
	for round := range b.cfg.Rounds {
		sent, err := b.sendOnce(ctx, o, x.files)
		if err != nil {
			return err
		}
		floors, floorCPUs = append(floors, sent.wall.Seconds()), append(floorCPUs, sent.cpu.Seconds())
		l, err := b.loadOnce(ctx, o, b.cfg.Rows)
		if err != nil {
			return err
		}
		b.logf("  round %d: %.2f s, %.2f s CPU, %d MB; org %.2f s CPU; only sending %.2f s, %.2f s CPU",
			round+1, l.wall.Seconds(), l.cpu.Seconds(), l.peak/megabyte, l.orgCPU.Seconds(), sent.wall.Seconds(), sent.cpu.Seconds())
		walls, cpus = append(walls, l.wall.Seconds()), append(cpus, l.cpu.Seconds()/million(b.cfg.Rows))
		peaks = append(peaks, float64(l.peak)/megabyte)
	}
	b.add("load", "wall, over that of only sending the files", median(walls), "s", median(floors), nil)
	b.add("load", "client CPU of only sending the files, per million rows", median(floorCPUs)/million(b.cfg.Rows), "s", 0, nil)
	b.add("load", "client CPU per million rows", median(cpus), "s", 0, atMost(1.2))
	b.add("load", "peak memory", median(peaks), "MB", 0, atMost(64))
	if b.cfg.LongRows == b.cfg.Rows {
		return nil
	}
	return b.measureLong(ctx, o, median(walls), median(peaks))
}

// loadOnce loads the first rows into the org, empty but for its faults, and looks
// whether all came through.
func (b *bench) loadOnce(ctx context.Context, o *org, rows int64) (load, error) {
	if err := errors.Join(o.reset(ctx), o.addFault(ctx, onePercent)); err != nil {
		return load{}, err
	}
	before := o.processorTime()
	l, err := b.stage.load(ctx, o, pipeline(rows))
	if err != nil {
		return l, err
	}
	l.orgCPU = o.processorTime() - before
	return l, l.finish(rows, failedOf(rows))
}

// sendOnce is the floor of sending.
func (b *bench) sendOnce(ctx context.Context, o *org, files *spooler) (usage, error) {
	if err := errors.Join(o.reset(ctx), o.addFault(ctx, onePercent)); err != nil {
		return usage{}, err
	}
	return o.send(ctx, files)
}

// failedOf is how many records onePercent refuses: each hundredth of a job.
func failedOf(rows int64) int64 {
	return rows/chunkRows*(chunkRows/100) + rows%chunkRows/100
}
