package run

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"bulkhead/internal/extract"
	"bulkhead/internal/nearest"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/spool"
	"bulkhead/internal/state"
)

// fill makes the file of a planned chunk.
func (s *stepRun) fill(ctx context.Context, c *state.Chunk) error {
	switch c.Kind {
	case state.ChunkRange:
		where, args := s.where(c.KeyLow, c.KeyHigh)
		return s.refill(ctx, c, where, args)
	case state.ChunkKeys:
		where, args, err := s.claimedKeys(ctx, c)
		if err != nil {
			return err
		}
		return s.refill(ctx, c, where, args)
	case state.ChunkPayload:
		return s.fillPayloads(ctx, c)
	}
	return fmt.Errorf("chunk of kind %q", c.Kind)
}

func (s *stepRun) claimedKeys(ctx context.Context, c *state.Chunk) (string, []any, error) {
	var claimed []string
	err := s.engine.patiently(ctx, func(ctx context.Context) (err error) {
		claimed, err = s.cfg.Failures.ClaimedKeys(ctx, c.ID)
		return err
	})
	if err != nil {
		return "", nil, err
	}
	keys := make([][]string, len(claimed))
	for i, key := range claimed {
		if keys[i], err = extract.DecodeKey(key, len(s.plan.projection.Key)); err != nil {
			return "", nil, fmt.Errorf("source key %q: %w", key, err)
		}
	}
	where, args := extract.KeyIn(s.plan.keyExprs(), s.plan.KeyTypes, keys, 1)
	return where, args, nil
}

// errOneChunk ends an extraction that would need a second chunk.
var errOneChunk = errors.New("the rows do not fit into one chunk any more")

// refill extracts the rows of one chunk that is recorded already. However many rows its range holds
// by now, they stay one chunk, as long as Salesforce takes as much; what is beyond that becomes a chunk
// of its own, which is extracted the same way.
func (s *stepRun) refill(ctx context.Context, c *state.Chunk, where string, args []any) error {
	spec := s.plan.spec(where, args, 0)
	spec.MaxRows, spec.MaxBytes = math.MaxInt64, s.cfg.JobBytes
	var spooled *state.Spooled
	files := &files{step: s, progress: s.progress, now: true, number: func(context.Context) (int, error) {
		if spooled != nil {
			return 0, errOneChunk // before a second file replaces the first
		}
		return c.Seq, nil
	}}
	if c.Read > 0 {
		files.progress = &StepProgress{} // its rows have been counted before
	}
	if c.Kind == state.ChunkRange {
		spec.Unchanged = s.comparison(files.progress)
	}
	defer files.abort()
	files.recorded = func(_ context.Context, _ int, sp state.Spooled) error {
		spooled = &sp
		return nil
	}
	err := s.stream(ctx, spec, files)
	outgrown := errors.Is(err, errOneChunk)
	if err != nil && !outgrown {
		return err
	}
	if spooled == nil {
		spooled = &state.Spooled{} // no such row in the source any more
	}
	if c.Kind == state.ChunkRange {
		spooled.Low = c.KeyLow
		if !outgrown {
			spooled.High = c.KeyHigh
		}
	}
	// Records to retry that do not fit stay open for another retry.
	return s.respool(ctx, c, *spooled)
}

func (s *stepRun) respool(ctx context.Context, c *state.Chunk, sp state.Spooled) error {
	record, cancel := shield(ctx)
	defer cancel()
	rest, err := s.lease.Respool(record, c, sp, s.rejectedOf(record, c, sp))
	if err != nil || rest == nil {
		return err
	}
	s.log.Info("chunk has outgrown a job; it is split", zap.Int("chunk", c.Seq), zap.Int("next_chunk", rest.Seq))
	s.progress.chunks.Add(1)
	s.queue.put(rest)
	return nil
}

// fillPayloads makes a chunk of records as the reconciliation table has them.
func (s *stepRun) fillPayloads(ctx context.Context, c *state.Chunk) error {
	var fields []string
	err := s.engine.patiently(ctx, func(ctx context.Context) (err error) {
		fields, err = s.cfg.Failures.ClaimedFields(ctx, c.ID)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.checkFields(fields); err != nil {
		return err
	}
	name := spool.Name(s.lease.RunID(), s.step.Name, c.Seq)
	var info spool.Info
	err = s.engine.patiently(ctx, func(ctx context.Context) (err error) {
		info, err = s.writePayloads(ctx, c, name, fields)
		return err
	})
	if err != nil {
		return err
	}
	if c.ParentID == nil {
		s.progress.read.Add(info.Rows)
	}
	return s.respool(ctx, c, state.Spooled{File: name, RowsSent: info.Rows, Bytes: info.Bytes, CRC32C: info.CRC32C})
}

// writePayloads writes the records that a chunk claimed into its file, which is whole or not there.
func (s *stepRun) writePayloads(ctx context.Context, c *state.Chunk, name string, fields []string) (spool.Info, error) {
	writer, err := s.cfg.Spool.CreateNow(name, csvLine(nil, fields))
	if err != nil {
		return spool.Info{}, err
	}
	var buffer []byte
	values := make([]string, len(fields))
	err = s.cfg.Failures.EachClaimed(ctx, c.ID, s.plan.parent(), func(record reconcile.Claimed) error {
		for i, field := range fields {
			values[i] = payloadValue(record.Payload, field)
		}
		buffer = csvLine(buffer[:0], values)
		s.cfg.reach(pointAppend)
		return writer.Append(strconv.AppendInt(nil, record.RowID, 10), buffer)
	})
	if err != nil {
		return spool.Info{}, errors.Join(err, writer.Abort())
	}
	return s.commit(writer)
}

// checkFields refuses a payload field that the org does not have: the whole job would fail for it.
func (s *stepRun) checkFields(fields []string) error {
	var names []string
	known := map[string]bool{}
	for _, field := range s.plan.Object.Fields {
		names = append(names, field.Name)
		known[strings.ToLower(field.Name)] = true
	}
	for _, field := range fields {
		if strings.Contains(field, ".") || known[strings.ToLower(field)] {
			continue
		}
		message := fmt.Sprintf("a payload has the field %q, which %s does not have", field, s.plan.Object.Name)
		if best, ok := nearest.Name(field, names); ok {
			message += fmt.Sprintf("; did you mean %q?", best)
		}
		return &stopError{message}
	}
	return nil
}

func payloadValue(payload map[string]*string, field string) string {
	value, ok := payload[field]
	if !ok {
		return ""
	}
	if value == nil {
		return "#N/A"
	}
	return strings.ReplaceAll(strings.ReplaceAll(*value, "\r\n", "\n"), "\r", "\n")
}

// csvLine appends a line of CSV. An empty record is written as quotes, so that it is no empty line.
func csvLine(dst []byte, values []string) []byte {
	if len(values) == 1 && values[0] == "" {
		return append(dst, '"', '"', '\n')
	}
	buffer := bytes.NewBuffer(dst)
	writer := csv.NewWriter(buffer)
	// A bytes.Buffer takes everything.
	_ = writer.Write(values)
	writer.Flush()
	return buffer.Bytes()
}
