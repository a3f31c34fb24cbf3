package pipeline

import (
	"math"
	"strconv"
	"strings"

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
	s.FailedShare = share(m.Require("failed", "the share of failed records that stops the step, such as 5%"))
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

// share decodes a part of the whole: 5% or 0.05.
func share(v yamlfile.Value) float64 {
	if !v.Exists() {
		return 0
	}
	text, kind, ok := v.Scalar()
	part, whole := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
	if !ok || err != nil || kind == "str" && !whole {
		v.Problem("must be a share such as 5%% or 0.05")
		return 0
	}
	if whole {
		n /= 100
	}
	if math.IsNaN(n) || n <= 0 || n > 1 {
		v.Problem("must be more than 0%% and at most 100%%, such as 5%% or 0.05")
		return 0
	}
	return n
}
