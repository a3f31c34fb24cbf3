package pipeline

import (
	"math"

	"bulkhead/internal/yamlfile"
)

// byHash is the word of `changes: {by: ...}` that is no column.
const byHash = "hash"

// changes decodes how a step finds what changed.
func (d *decoder) changes(v yamlfile.Value, operation Operation) *Changes {
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
	if _, kind, _ := overlap.Scalar(); overlap.Exists() && kind == "int" {
		c.OverlapCount = number(overlap, 0, math.MaxInt64)
	} else {
		c.Overlap = overlap.Duration(0, 0, MaxJobTimeout)
	}
	if operation == Insert && overlap.Exists() {
		overlap.Problem("an insert would load again what the overlap reads again: remove it, or use upsert")
	}
	if c.By == "" && overlap.Exists() {
		overlap.Problem("overlap is for a column; with by: hash every row is compared anyway, so remove it")
	}
	d.hash(c, m.Get("hash"), by, operation)
	m.Close()
	return c
}

// hash decodes whether a step that goes by a column also leaves out rows whose content is the same.
func (d *decoder) hash(c *Changes, v, by yamlfile.Value, operation Operation) {
	text, kind, _ := v.Scalar()
	switch {
	case !v.Exists():
	case kind != "bool":
		v.Problem("must be true or false")
	case c.Hash:
		v.Problem("by: hash says it already, so remove it")
	case text == "true":
		c.Hash, by = true, v
	}
	switch {
	case !c.Hash:
	case operation == Insert:
		by.Problem("an insert would load a row that changed a second time: use upsert")
	case operation.Deletes():
		by.Problem("there is no content to compare in a %s: remove it", operation)
	}
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
