// Package bench measures what the product costs, each figure against a floor that
// is taken in the same run: what psql needs to read the same rows, what a client
// needs that only sends the same bytes, what the org itself needs for its batches.
// Absolute times differ from machine to machine; ratios hardly do.
//
// The client is the built program, run as a process of its own, and so is the org:
// the processor time and the memory of the one are then not those of the other.
// It runs behind `make bench` and its own small test. Shipped code must never
// import it, and it must never touch a database or an org that it did not start.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// What a Config that leaves them zero gets.
const (
	DefaultRows     = 1_000_000
	DefaultLongRows = 10_000_000
	DefaultRounds   = 3

	DefaultBatchTime = 2 * time.Second
	DefaultCallTime  = 150 * time.Millisecond
)

// extractRows is how many rows are extracted, where the long table has as many.
const extractRows = 5_000_000

// Config says what is measured, and with how much.
type Config struct {
	// Etl is the program that is measured.
	Etl string
	// Rows of a load; DefaultRows. LongRows of the long one; DefaultLongRows, and
	// never fewer than Rows.
	Rows, LongRows int64
	// Rounds of what is short, of which the median counts; DefaultRounds.
	Rounds int
	// BatchTime is what the org that takes time needs for a batch, CallTime for a
	// request; DefaultBatchTime, DefaultCallTime.
	BatchTime, CallTime time.Duration
	// Only names the items to measure; empty: all of them.
	Only []string
	// Log is told what is being done. Nil: nothing.
	Log io.Writer
}

func (c Config) withDefaults() Config {
	if c.Rows == 0 {
		c.Rows = DefaultRows
	}
	if c.LongRows == 0 {
		c.LongRows = DefaultLongRows
	}
	c.LongRows = max(c.LongRows, c.Rows)
	if c.Rounds == 0 {
		c.Rounds = DefaultRounds
	}
	if c.BatchTime == 0 {
		c.BatchTime = DefaultBatchTime
	}
	if c.CallTime == 0 {
		c.CallTime = DefaultCallTime
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	return c
}

func (c Config) validate() error {
	if c.Rows < 1 || c.LongRows < 1 || c.Rounds < 1 {
		return fmt.Errorf("rows, long rows and rounds must be positive, got %d, %d and %d", c.Rows, c.LongRows, c.Rounds)
	}
	for _, name := range c.Only {
		if !slices.Contains(Items(), name) {
			return fmt.Errorf("there is no item %q; there are %s", name, strings.Join(Items(), ", "))
		}
	}
	return nil
}

// item is a group of figures that are measured together.
type item struct {
	name    string
	measure func(ctx context.Context, b *bench) error
}

// items are all of them, in their order. The slow org's tells of cost and wire too.
func items() []item {
	return []item{
		{"extract", measureExtraction},
		{"load", measureLoad},
		{"slow", measureSlow},
		{"failures", measureFailures},
		{"wide", measureWide},
		{"settings", measureSettings},
	}
}

// Items are the names of all items, in the order in which they are measured.
func Items() []string {
	var names []string
	for _, it := range items() {
		names = append(names, it.name)
	}
	return names
}

// bench is a run of the measurements.
type bench struct {
	cfg    Config
	stage  *stage
	report *Report
}

// Run measures. It starts a Postgres and as many orgs as it needs, and ends them;
// so does the end of ctx. Targets that are missed are in the report and no error.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	b := &bench{cfg: cfg, report: &Report{Date: time.Now().UTC(), Rows: cfg.Rows, LongRows: cfg.LongRows, Rounds: cfg.Rounds}}
	b.report.Machine = machine()
	var err error
	if b.stage, err = openStage(ctx, cfg); err != nil {
		return nil, err
	}
	err = b.measure(ctx)
	return b.report, errors.Join(err, b.stage.close())
}

func (b *bench) measure(ctx context.Context) error {
	var err error
	if b.report.Machine.Postgres, err = b.stage.version(ctx); err != nil {
		return err
	}
	for _, it := range items() {
		if len(b.cfg.Only) > 0 && !slices.Contains(b.cfg.Only, it.name) {
			continue
		}
		b.logf("%s", it.name)
		if err := it.measure(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", it.name, err)
		}
	}
	return nil
}

func (b *bench) logf(format string, args ...any) {
	fmt.Fprintf(b.cfg.Log, time.Now().Format("15:04:05")+" "+format+"\n", args...)
}
