package reconcile

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/gocarina/gocsv"
	"github.com/jackc/pgx/v5"
)

// metaColumns are the columns in front of an export's payload.
func metaColumns() []string {
	return []string{"etl_id", "etl_pipeline", "etl_step", "etl_source_key", "etl_kind", "etl_error_code", "etl_error_message", "etl_error_fields", "etl_attempts"}
}

// Export writes the rows of the filter as CSV for people to fix in a spreadsheet, and returns how
// many. The payload has one column per field; a field to clear is `#N/A`, a field left alone is
// empty. Unless raw is set, values that a spreadsheet would run as formulas are written behind an
// apostrophe, which Import takes off again. Rows are streamed.
func (s *Store) Export(ctx context.Context, f Filter, raw bool, out io.Writer) (int64, error) {
	fields, err := s.payloadFields(ctx, f)
	if err != nil {
		return 0, err
	}
	sheet := newSheet(append(metaColumns(), fields...), raw)
	buffered := bufio.NewWriterSize(out, 64<<10)
	writer := gocsv.NewSafeCSVWriter(csv.NewWriter(buffered))

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan any)
	written := make(chan error, 1)
	go func() {
		written <- gocsv.MarshalChan(lines, writer)
		cancel() // a writer that gave up must not leave the reader waiting
	}()
	var n int64
	readErr := s.Each(ctx, f, 0, func(row Row) error {
		line, err := sheet.line(row)
		if err != nil {
			return err
		}
		select {
		case lines <- line:
			n++
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(lines)
	writeErr := <-written
	if n == 0 && readErr == nil {
		// gocsv takes the header from the first line; an empty export still has one.
		writeErr = writer.Write(sheet.columns)
		writer.Flush()
	}
	if writeErr != nil && (readErr == nil || n > 0) {
		return n, fmt.Errorf("write the export: %w", writeErr)
	}
	if readErr != nil {
		return n, readErr
	}
	return n, buffered.Flush()
}

// payloadFields lists the fields that the rows of the filter have, in alphabetical order.
func (s *Store) payloadFields(ctx context.Context, f Filter) ([]string, error) {
	where, args := f.where()
	rows, err := s.pool.Query(ctx, `SELECT DISTINCT key FROM etl.reconciliation, jsonb_object_keys(payload) AS key WHERE`+where+`ORDER BY key`, args...)
	if err != nil {
		return nil, fmt.Errorf("read the payloads' fields: %w", err)
	}
	fields, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the payloads' fields: %w", err)
	}
	return fields, nil
}

// sheet builds the struct type that gocsv wants, whose columns are known only at run time.
type sheet struct {
	columns []string
	raw     bool
	row     reflect.Type
}

func newSheet(columns []string, raw bool) *sheet {
	fields := make([]reflect.StructField, len(columns))
	for i, name := range columns {
		fields[i] = reflect.StructField{
			Name: "C" + strconv.Itoa(i), Type: reflect.TypeFor[string](),
			Tag: reflect.StructTag(`csv:` + strconv.Quote(name)),
		}
	}
	return &sheet{columns: columns, raw: raw, row: reflect.StructOf(fields)}
}

func (s *sheet) line(row Row) (any, error) {
	var payload map[string]*string
	if err := json.Unmarshal(row.Payload, &payload); err != nil {
		return nil, fmt.Errorf("reconciliation row %d: payload: %w", row.ID, err)
	}
	values := []string{
		strconv.FormatInt(row.ID, 10), row.Pipeline, row.Step, deref(row.SourceKey), string(row.Kind),
		row.ErrorCode, row.ErrorMessage, strings.Join(row.ErrorFields, ","), strconv.Itoa(row.Attempts),
	}
	line := reflect.New(s.row).Elem()
	for i, name := range s.columns {
		var value string
		if i < len(values) {
			value = values[i]
		} else if v, ok := payload[name]; ok && v == nil {
			value = nullMarker
		} else if ok {
			value = *v
		}
		if !s.raw {
			value = Guard(value)
		}
		line.Field(i).SetString(value)
	}
	return line.Interface(), nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
