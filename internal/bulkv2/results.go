package bulkv2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// The columns that Salesforce puts before the uploaded ones in results.
const (
	ColumnID      = "sf__Id"
	ColumnCreated = "sf__Created" // of successful results: true or false
	ColumnError   = "sf__Error"   // of failed results; see [ParseRecordError]
)

// ResultKind is one of a job's three results.
type ResultKind string

// The results of a job. Together they hold every record that was uploaded, unless a daily allowance was exceeded.
const (
	Successful  ResultKind = "successfulResults"
	Refused     ResultKind = "failedResults"
	Unprocessed ResultKind = "unprocessedrecords"
)

// SuccessfulResults downloads the records that were saved. Columns: sf__Id, sf__Created, then the uploaded ones.
func (c *Client) SuccessfulResults(ctx context.Context, jobID string) (*Results, error) {
	return c.Results(ctx, jobID, Successful, ResultsOptions{})
}

// FailedResults downloads the records that were refused. Columns: sf__Id, sf__Error, then the uploaded ones.
func (c *Client) FailedResults(ctx context.Context, jobID string) (*Results, error) {
	return c.Results(ctx, jobID, Refused, ResultsOptions{})
}

// UnprocessedRecords downloads the records that were never tried, because the job failed or was aborted before.
func (c *Client) UnprocessedRecords(ctx context.Context, jobID string) (*Results, error) {
	return c.Results(ctx, jobID, Unprocessed, ResultsOptions{})
}

// Results downloads one of a job's results, for jobs whose CSV is not delimited by commas. The request is repeated as
// any reading is until the results begin; what breaks later is reported by [Results.Err]. The caller closes the results.
func (c *Client) Results(ctx context.Context, jobID string, kind ResultKind, opt ResultsOptions) (*Results, error) {
	op := string(kind)
	if err := checkID(op, jobID); err != nil {
		return nil, err
	}
	if _, err := delimiterByte(opt.ColumnDelimiter); err != nil {
		return nil, &InputError{Op: op, Err: err}
	}
	var res *Results
	err := c.do(ctx, call{
		op: op, method: http.MethodGet, path: jobPath + "/" + string(kind), jobID: jobID, accept: "text/csv",
		ok: []int{http.StatusOK, http.StatusNoContent}, safe: true, stream: true,
	}, func(resp *http.Response) error {
		if strings.HasPrefix(resp.Header.Get("Content-Type"), asJSON) {
			return errors.New("JSON where CSV should be")
		}
		content, err := unzipped(resp)
		if err != nil {
			return err
		}
		res = ReadResults(content, opt)
		res.body = resp.Body
		res.readHeader()
		res.name = "job " + jobID + ": " + op // the error of a header gets it from the call
		return res.Err()
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

// unzipped returns the content of an answer, which the server may have compressed or not.
func unzipped(resp *http.Response) (io.Reader, error) {
	switch enc := strings.ToLower(resp.Header.Get("Content-Encoding")); enc {
	case "", "identity":
		return resp.Body, nil
	case "gzip":
		z, err := gzip.NewReader(resp.Body)
		if errors.Is(err, io.EOF) { // nothing at all: a 204, or an empty result
			return bytes.NewReader(nil), nil
		}
		return z, err
	default:
		return nil, fmt.Errorf("content encoding %q", enc)
	}
}

// ResultsOptions says how results are written.
type ResultsOptions struct {
	// ColumnDelimiter is that of the job: COMMA (when empty), TAB and so on.
	ColumnDelimiter string
}

func delimiterByte(name string) (byte, error) {
	switch name {
	case "", Comma:
		return ',', nil
	case Backquote:
		return '`', nil
	case Caret:
		return '^', nil
	case Pipe:
		return '|', nil
	case Semicolon:
		return ';', nil
	case Tab:
		return '\t', nil
	}
	return 0, fmt.Errorf("column delimiter %q: want COMMA, TAB, PIPE, SEMICOLON, CARET or BACKQUOTE", name)
}

// ResultsError is a result that cannot be read (any further).
type ResultsError struct {
	Name      string // which results, such as "job 750…: failedResults"; may be empty
	Record    int64  // from 1; 0 is the header
	Truncated bool   // it ends too early: downloading it again may help
	Err       error
}

// Error says where the reading ended, and why.
func (e *ResultsError) Error() string {
	where := "header"
	if e.Record > 0 {
		where = fmt.Sprintf("record %d", e.Record)
	}
	if e.Name != "" {
		where = e.Name + ": " + where
	}
	return fmt.Sprintf("%s: %v", where, e.Err)
}

// Unwrap returns the cause.
func (e *ResultsError) Unwrap() error { return e.Err }

// Results reads the records of a result one by one. It keeps line breaks inside values as they are, and is lenient
// where Salesforce is: it takes LF and CRLF, a byte order mark, quotes inside a value that are not doubled, an empty
// body, and a header alone. A result that was cut short is an error, never an early end.
type Results struct {
	scan   *scanner
	name   string
	body   io.Closer // nil for ReadResults
	header []string
	record []string
	n      int64
	begun  bool
	done   bool
	err    error
}

// ReadResults reads results from r, such as a file that they were saved to. An unknown delimiter counts as COMMA.
func ReadResults(r io.Reader, opt ResultsOptions) *Results {
	delimiter, err := delimiterByte(opt.ColumnDelimiter)
	if err != nil {
		delimiter = ','
	}
	return &Results{scan: newScanner(r, delimiter)}
}

// Header returns the names of the columns: the sf__ columns, then the uploaded ones as they were written. It is nil
// when the body is empty.
func (r *Results) Header() []string {
	r.readHeader()
	return r.header
}

func (r *Results) readHeader() {
	if r.begun {
		return
	}
	r.begun = true
	r.header = append([]string(nil), r.scanRecord(0)...)
	if r.header == nil {
		r.done = true
	}
}

// Column returns the index of a column, compared without regard to case as Salesforce compares names, or -1. Results of
// API versions before 53 may lack sf__Id.
func (r *Results) Column(name string) int {
	for i, h := range r.Header() {
		if strings.EqualFold(h, name) {
			return i
		}
	}
	return -1
}

// Next reads the next record, and reports whether there is one. After false, see [Results.Err].
func (r *Results) Next() bool {
	r.readHeader()
	if r.done || r.err != nil {
		return false
	}
	if r.record = r.scanRecord(len(r.header)); r.record == nil {
		r.done = true
		return false
	}
	r.n++
	return true
}

// scanRecord returns nil at the end, and after an error.
func (r *Results) scanRecord(columns int) []string {
	record, err := r.scan.record(columns)
	if err == nil {
		return record
	}
	if !errors.Is(err, io.EOF) {
		at := r.n + 1
		if columns == 0 {
			at = 0
		}
		truncated := errors.Is(err, io.ErrUnexpectedEOF) || r.scan.failed != nil && errors.Is(err, r.scan.failed)
		r.err = &ResultsError{Name: r.name, Record: at, Truncated: truncated, Err: err}
	}
	return nil
}

// Record returns the values of the record that Next has read, as many as the header has names. The slice is valid until
// the next call of Next; its strings stay.
func (r *Results) Record() []string { return r.record }

// Err returns what ended the reading early, or nil when all records were read.
func (r *Results) Err() error { return r.err }

// Close ends the download. It may be called at any time, and more than once.
func (r *Results) Close() error {
	r.done = true
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}
