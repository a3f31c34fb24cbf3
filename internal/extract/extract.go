// Package extract reads a query's rows from Postgres and writes them as the CSV
// that Salesforce's Bulk API 2.0 takes, cut into chunks by rows and bytes.
//
// It is built for the rows that go well: values come raw off the wire, an encoder
// per column, chosen once from its type, appends them to the record, and nothing
// is allocated per row. A row that Salesforce would refuse anyway, or would
// misread, is rejected with a reason and does not reach the CSV: one dirty record
// in a batch makes Salesforce redo the batch row by row.
//
// The package knows Salesforce's CSV and nothing of its API. It must never drop a
// row silently, change what a value means, or call a chunk finished that the
// source has not fully delivered.
package extract

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Limits of one record (Salesforce limits, "Bulk API and Bulk API 2.0 Limits and
// Allocations"), in characters.
const (
	maxFieldChars  = 131_072
	maxRecordChars = 400_000
)

// nullMarker is what a cell must hold to set its field to null (Bulk API 2.0
// guide, "Prepare CSV Files"). An empty cell leaves the field alone.
const nullMarker = "#N/A"

// Column is a column of the CSV.
type Column struct {
	Header    string // the field's name in the letter case of the org
	Index     int    // of its value in the select list; -1: the same constant in every record
	Const     string // the constant
	ConstNull bool   // the constant is null
	MaxChars  int    // how many characters the field holds; 0: not checked
}

// Spec says what to read and what to make of it.
type Spec struct {
	Step string // for errors

	SQL      string   // a SELECT, ordered by its key, ascending
	Args     []any    // of the SQL
	Key      []int    // the key's columns in the select list: unique and not null together
	KeyNames []string // what the key's columns are called in errors
	After    []string // the key after which the SQL begins to read; nil: at the start

	Columns []Column
	Null    string // what is written for a NULL: "#N/A" or ""
	Empty   string // what is written for an empty text: "#N/A" or ""

	// ExternalID is the column that Salesforce matches records by, or -1. A second
	// row with the same one in a chunk is rejected, as Salesforce refuses both
	// where they meet in a batch. Surrounding blanks do not count, and neither does
	// case if FoldExternalID is set.
	ExternalID     int
	FoldExternalID bool

	// Unchanged reports whether a record need not be sent, of which the columns of the
	// key are given as text; such a row belongs to its chunk and takes no room in it.
	// It must not keep the slices. nil: every record is sent.
	Unchanged func(ctx context.Context, key [][]byte, record []byte) (bool, error)

	MaxRows int64 // of a chunk; the first limit that is reached ends it
	// FirstRows is a smaller MaxRows for the first chunk only; 0: no other than MaxRows.
	FirstRows int64
	MaxBytes  int64 // of a chunk's CSV, header included
	FirstSeq  int   // the number of the first chunk
}

// Writer takes the rows of one chunk. It must not keep the slices it is given.
type Writer interface {
	// Append takes a record, its line end included, and the key of its row in the
	// form of EncodeKey.
	Append(key, record []byte) error
	// Reject takes a row that is not to be sent. The payload is a JSON object from
	// the CSV's headers to what would have been sent, strings and nulls. Field is
	// empty when the reason concerns the record as a whole.
	Reject(key string, code, message, field string, payload []byte) error
}

// Chunk describes a finished chunk.
type Chunk struct {
	Seq int
	// Low and High are the range of keys that the chunk covers, in text form: all
	// rows with keys greater than Low, up to and including High. Low is nil when
	// the chunk begins with the first row there is.
	Low, High []string
	Rows      int64 // appended
	Rejected  int64
	Unchanged int64
	Bytes     int64 // of the CSV, header included
}

// Query is a query that is ready to be streamed.
type Query struct {
	tx      pgx.Tx
	spec    Spec
	header  []byte
	formats []int16
	columns []column
	keys    []keyColumn
}

// Prepare describes the query and picks the encoders, without reading a row. A
// type that has no safe form for Salesforce is an error that names the field, the
// column, its type and a cast that helps. The transaction should be one of Begin.
func Prepare(ctx context.Context, tx pgx.Tx, spec Spec) (*Query, error) {
	q, err := prepare(ctx, tx, spec)
	if err != nil {
		return nil, fmt.Errorf("extract %q: %w", spec.Step, err)
	}
	return q, nil
}

func prepare(ctx context.Context, tx pgx.Tx, spec Spec) (*Query, error) {
	if err := spec.validate(); err != nil {
		return nil, err
	}
	description, err := tx.Conn().Prepare(ctx, "", spec.SQL)
	if err != nil {
		return nil, fmt.Errorf("describe the query: %w", plain(err))
	}
	types, err := loadTypes(ctx, tx.Conn(), description.Fields)
	if err != nil {
		return nil, err
	}
	return newQuery(tx, spec, description.Fields, types)
}

// Header is the first line of each chunk's CSV, its line end included.
func (q *Query) Header() []byte { return q.header }

// KeyTypes are the types of the key's columns as KeyCondition and KeyIn want them.
func (q *Query) KeyTypes() []string {
	types := make([]string, len(q.keys))
	for i, key := range q.keys {
		types[i] = key.typeName
	}
	return types
}

// validate checks what the compiler of a pipeline promises.
func (s Spec) validate() error {
	switch {
	case len(s.Columns) == 0:
		return errors.New("no field is mapped")
	case len(s.Key) == 0 || len(s.Key) != len(s.KeyNames):
		return fmt.Errorf("the key has %d columns and %d names", len(s.Key), len(s.KeyNames))
	case s.After != nil && len(s.After) != len(s.Key):
		return fmt.Errorf("the key to begin after has %d values, the key %d columns", len(s.After), len(s.Key))
	case s.MaxRows < 1 || s.MaxBytes < 1:
		return fmt.Errorf("a chunk may hold %d rows and %d bytes", s.MaxRows, s.MaxBytes)
	case s.ExternalID < -1 || s.ExternalID >= len(s.Columns):
		return fmt.Errorf("the external id is column %d of %d", s.ExternalID, len(s.Columns))
	}
	for _, marker := range []string{s.Null, s.Empty} {
		if marker != "" && marker != nullMarker {
			return fmt.Errorf("a null is written as %q, want %q or nothing", marker, nullMarker)
		}
	}
	return nil
}
