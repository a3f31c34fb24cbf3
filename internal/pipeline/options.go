package pipeline

import (
	"math"

	"bulkhead/internal/yamlfile"
)

// byHash is the word of `changes: {by: ...}` that is no column.
const byHash = "hash"

// changes decodes how a step finds what changed.
func (d *decoder) changes(v yamlfile.Value) *Changes {
	if !v.Exists() {
		return nil
	}
	m := v.Mapping()
	c := &Changes{}
	by := m.Require("by", `a column that grows with every change, such as updated_at, or "hash"`)
	c.By = by.NonEmpty()
	if c.By == byHash {
		c.By, c.Hash = "", true
	}
	overlap := m.Get("overlap")
	c.Overlap = overlap.Duration(0, 0, MaxJobTimeout)
	if c.Hash && overlap.Exists() {
		overlap.Problem("overlap is for a column of times; with by: hash every row is compared anyway, so remove it")
	}
	m.Close()
	d.warn(v, `"etl run" does not act on changes yet: it sends every row, every time`)
	return c
}

// chunk decodes how rows are cut into jobs.
func (d *decoder) chunk(v yamlfile.Value) Chunk {
	c := Chunk{Rows: DefaultRows, Bytes: DefaultBytes, Parallel: DefaultParallel}
	m := v.Mapping()
	if rows := m.Get("rows"); rows.Exists() {
		c.Rows = number(rows, 1, MaxRows)
		if c.Rows > BatchRows && c.Rows%BatchRows != 0 {
			d.warn(rows, "Salesforce works in batches of %d rows, so %d rows end in a batch that is not full; a multiple of %d wastes none", BatchRows, c.Rows, BatchRows)
		}
	}
	if bytes := m.Get("bytes"); bytes.Exists() {
		c.Bytes = bytes.Bytes(MinBytes, MaxBytes)
	}
	if parallel := m.Get("parallel"); parallel.Exists() {
		c.Parallel = int(number(parallel, 1, MaxParallel))
	}
	m.Close()
	return c
}

// stopWhen decodes when a step gives up.
func (d *decoder) stopWhen(v yamlfile.Value) *StopWhen {
	if !v.Exists() {
		return nil
	}
	m := v.Mapping()
	s := &StopWhen{After: DefaultAfter}
	s.FailedShare = m.Require("failed", "the share of failed records that stops the step, such as 5%").Share()
	if after := m.Get("after"); after.Exists() {
		s.After = number(after, 0, math.MaxInt64)
	}
	m.Close()
	return s
}

// number decodes a whole number within bounds.
func number(v yamlfile.Value, least, most int64) int64 {
	_, kind, _ := v.Scalar()
	n := v.Int()
	if kind == "int" && (n < least || n > most) {
		if most == math.MaxInt64 {
			v.Problem("must be at least %d", least)
		} else {
			v.Problem("must be from %d to %d", least, most)
		}
	}
	return n
}
