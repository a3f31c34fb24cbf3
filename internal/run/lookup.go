package run

import (
	"context"
	"encoding/csv"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bulkhead/internal/spool"
)

// lookup asks the org, by external id, what became of the records of a chunk. It reads the chunk's file
// and the org and changes nothing. Memory holds one batch.
type lookup struct {
	step  *stepRun
	file  *spool.File
	since time.Time // when the chunk was cut: a record not written since was not written by its job
}

// sighting is what the org has of one record of a chunk.
type sighting struct {
	key, id string
	there   bool // the org has a record with this external id
	written bool // and it was written since the chunk was cut
}

// maxLookup bounds a query by its external ids: how many, and how long they are in the URL, of which the
// org takes 16,384 bytes (REST API guide, "Status Codes and Error Responses").
const (
	maxLookupIDs   = 200
	maxLookupBytes = 10_000
)

// records looks every record of the chunk up, in the file's order, batch by batch.
func (l *lookup) records(ctx context.Context) iter.Seq2[sighting, error] {
	return func(yield func(sighting, error) bool) {
		err := l.batches(func(batch []sighting) (bool, error) {
			if err := l.ask(ctx, batch); err != nil {
				return false, err
			}
			for _, s := range batch {
				if !yield(s, nil) {
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil {
			yield(sighting{}, err)
		}
	}
}

func (l *lookup) batches(each func([]sighting) (bool, error)) error {
	column, err := l.column()
	if err != nil {
		return err
	}
	records, err := l.file.Records()
	if err != nil {
		return err
	}
	defer records.Close()
	var batch []sighting
	size := 0
	for records.Next() {
		fields, err := csv.NewReader(strings.NewReader(string(records.Record()))).Read()
		if err != nil {
			return fmt.Errorf("record %s: %w", records.Key(), err)
		}
		s := sighting{key: string(records.Key()), id: fields[column]}
		length := len(url.QueryEscape(s.id)) + len("%27%27%2C")
		if len(batch) == maxLookupIDs || len(batch) > 0 && size+length > maxLookupBytes {
			if more, err := each(batch); err != nil || !more {
				return err
			}
			batch, size = batch[:0], 0
		}
		batch, size = append(batch, s), size+length
	}
	if err := records.Err(); err != nil || len(batch) == 0 {
		return err
	}
	_, err = each(batch)
	return err
}

// column is the place of the external id in the chunk's records.
func (l *lookup) column() (int, error) {
	line, err := l.file.Header()
	if err != nil {
		return 0, err
	}
	header, err := csv.NewReader(strings.NewReader(string(line))).Read()
	if err != nil {
		return 0, fmt.Errorf("header: %w", err)
	}
	i := slices.IndexFunc(header, func(name string) bool { return strings.EqualFold(name, l.step.plan.matchBy) })
	if i < 0 {
		return 0, fmt.Errorf("the chunk has no column %q", l.step.plan.matchBy)
	}
	return i, nil
}

// ask fills in what the org has of a batch.
func (l *lookup) ask(ctx context.Context, batch []sighting) error {
	plan := l.step.plan
	field, _ := plan.Object.Field(plan.matchBy)
	number := field.Type == "double" || field.Type == "int"
	var literals []string
	for _, s := range batch {
		if literal, ok := soqlLiteral(s.id, number); ok {
			literals = append(literals, literal)
		}
	}
	if len(literals) == 0 {
		return nil
	}
	written := map[string]bool{}
	soql := fmt.Sprintf("SELECT %s, SystemModstamp FROM %s WHERE %s IN (%s)", plan.matchBy, plan.Object.Name, plan.matchBy, strings.Join(literals, ","))
	for record, err := range l.step.cfg.Org.Query(ctx, soql) {
		if err != nil {
			return fmt.Errorf("look records up by %s: %w", plan.matchBy, err)
		}
		stamp, err := time.Parse("2006-01-02T15:04:05.000-0700", fmt.Sprint(record["SystemModstamp"]))
		if err != nil {
			return fmt.Errorf("look records up by %s: %w", plan.matchBy, err)
		}
		id := l.normal(fmt.Sprint(record[plan.matchBy]), number)
		written[id] = written[id] || !stamp.Before(l.since.Truncate(time.Second))
	}
	for i := range batch {
		batch[i].written, batch[i].there = written[l.normal(batch[i].id, number)], false
		_, batch[i].there = written[l.normal(batch[i].id, number)]
	}
	return nil
}

// normal is a value as the org compares external ids.
func (l *lookup) normal(id string, number bool) string {
	id = strings.TrimSpace(id)
	if f, err := strconv.ParseFloat(id, 64); number && err == nil {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	if l.step.plan.ExternalIDCaseSensitive {
		return id
	}
	return strings.ToLower(id)
}

// soqlLiteral writes a value into a query; a record without an external id cannot be looked up. SOQL and
// SOSL reference, "Quoted String Escape Sequences".
func soqlLiteral(id string, number bool) (string, bool) {
	if id == "" || id == "#N/A" {
		return "", false
	}
	if number {
		_, err := strconv.ParseFloat(id, 64)
		return id, err == nil
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(id) + "'", true
}
