package bulkv2

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Operation is what a job does with its records.
type Operation string

// The operations of an ingest job. HardDelete needs the permission "Bulk API Hard Delete".
const (
	Insert     Operation = "insert"
	Update     Operation = "update"
	Upsert     Operation = "upsert"
	Delete     Operation = "delete"
	HardDelete Operation = "hardDelete"
)

// State is where a job stands. Bulk API 2.0 guide, "Get Information About an Ingest Job".
type State string

// The states of an ingest job. A state that is not among these counts as one in which the job still runs.
const (
	Open           State = "Open"
	UploadComplete State = "UploadComplete"
	InProgress     State = "InProgress"
	JobComplete    State = "JobComplete"
	Failed         State = "Failed"
	Aborted        State = "Aborted"
)

// The line endings and column delimiters of [JobSpec].
const (
	LF   = "LF"
	CRLF = "CRLF"

	Backquote = "BACKQUOTE"
	Caret     = "CARET"
	Comma     = "COMMA"
	Pipe      = "PIPE"
	Semicolon = "SEMICOLON"
	Tab       = "TAB"
)

// JobSpec says what a new job is for.
type JobSpec struct {
	Object           string    // API name, such as Contact
	Operation        Operation // one of the constants
	ExternalIDField  string    // required for Upsert, not allowed otherwise
	LineEnding       string    // LF (when empty) or CRLF: that of the uploaded file
	ColumnDelimiter  string    // COMMA when empty: that of the uploaded file, and of its results
	AssignmentRuleID string    // of a Case or Lead assignment rule; may be empty
}

func (s JobSpec) validate() error {
	switch {
	case s.Object == "":
		return errors.New("object: required")
	case s.Operation == "":
		return errors.New("operation: required")
	case s.Operation == Upsert && s.ExternalIDField == "":
		return errors.New("external id field: required for upsert")
	case s.Operation != Upsert && s.ExternalIDField != "":
		return fmt.Errorf("external id field: not allowed for %s", s.Operation)
	}
	_, err := delimiterByte(s.ColumnDelimiter)
	return err
}

// Job is an ingest job as an answer showed it. Each answer shows some of the fields only: that of Create has no
// counters, those of Close and Abort have neither counters nor times, and [Client.Jobs] shows the least.
type Job struct {
	ID              string
	Object          string
	Operation       Operation
	State           State
	ExternalIDField string
	LineEnding      string
	ColumnDelimiter string
	JobType         string // V2Ingest for jobs of this API
	APIVersion      string // such as 66.0
	CreatedByID     string
	CreatedAt       time.Time // zero when absent
	SystemModstamp  time.Time // zero when absent

	// CountersKnown is whether the answer had the counters. An Open job has none before its upload.
	CountersKnown    bool
	RecordsProcessed int64 // includes those that failed
	RecordsFailed    int64
	Retries          int // how often Salesforce itself tried again to save

	TotalProcessing time.Duration
	APIActive       time.Duration
	Apex            time.Duration

	ErrorMessage string // why a job Failed, such as "InvalidBatch : Field name not found : Foo__c"
}

// Terminal reports whether the job has ended: nothing of it will be processed any more.
func (j Job) Terminal() bool {
	return j.State == JobComplete || j.State == Failed || j.State == Aborted
}

// Failure splits ErrorMessage into code and message: "InvalidBatch" and "Field name not found : Foo__c".
func (j Job) Failure() (code, message string) {
	code, message, found := strings.Cut(j.ErrorMessage, " : ")
	if !found || strings.ContainsAny(code, " \t\n") {
		return "", j.ErrorMessage
	}
	return code, message
}

// wireSpec is JobSpec in JSON. Bulk API 2.0 guide, "Create a Job".
type wireSpec struct {
	Object              string `json:"object"`
	Operation           string `json:"operation"`
	ExternalIDFieldName string `json:"externalIdFieldName,omitempty"`
	ContentType         string `json:"contentType"`
	LineEnding          string `json:"lineEnding"`
	ColumnDelimiter     string `json:"columnDelimiter"`
	AssignmentRuleID    string `json:"assignmentRuleId,omitempty"`
}

func (s JobSpec) wire() wireSpec {
	w := wireSpec{
		Object: s.Object, Operation: string(s.Operation), ExternalIDFieldName: s.ExternalIDField, ContentType: "CSV",
		LineEnding: s.LineEnding, ColumnDelimiter: s.ColumnDelimiter, AssignmentRuleID: s.AssignmentRuleID,
	}
	if w.LineEnding == "" {
		w.LineEnding = LF
	}
	if w.ColumnDelimiter == "" {
		w.ColumnDelimiter = Comma
	}
	return w
}

// wireJob is Job in JSON. Numbers are taken from strings too: the guide's tables and its examples differ.
type wireJob struct {
	ID                  string     `json:"id"`
	Object              string     `json:"object"`
	Operation           string     `json:"operation"`
	State               string     `json:"state"`
	ExternalIDFieldName string     `json:"externalIdFieldName"`
	LineEnding          string     `json:"lineEnding"`
	ColumnDelimiter     string     `json:"columnDelimiter"`
	JobType             string     `json:"jobType"`
	APIVersion          scalar     `json:"apiVersion"`
	CreatedByID         string     `json:"createdById"`
	CreatedDate         string     `json:"createdDate"`
	SystemModstamp      string     `json:"systemModstamp"`
	Processed           *scalar    `json:"numberRecordsProcessed"`
	Failed              *scalar    `json:"numberRecordsFailed"`
	Retries             scalar     `json:"retries"`
	TotalProcessing     scalar     `json:"totalProcessingTime"`
	APIActive           scalar     `json:"apiActiveProcessingTime"`
	Apex                scalar     `json:"apexProcessingTime"`
	ErrorMessage        flatString `json:"errorMessage"`
}

func (w wireJob) job() Job {
	j := Job{
		ID: w.ID, Object: w.Object, Operation: Operation(w.Operation), State: State(w.State),
		ExternalIDField: w.ExternalIDFieldName, LineEnding: w.LineEnding, ColumnDelimiter: w.ColumnDelimiter,
		JobType: w.JobType, APIVersion: string(w.APIVersion), CreatedByID: w.CreatedByID,
		CreatedAt: parseTime(w.CreatedDate), SystemModstamp: parseTime(w.SystemModstamp),
		CountersKnown: w.Processed != nil && w.Failed != nil,
		Retries:       int(w.Retries.integer()), TotalProcessing: w.TotalProcessing.millis(),
		APIActive: w.APIActive.millis(), Apex: w.Apex.millis(), ErrorMessage: storable(string(w.ErrorMessage)),
	}
	if j.CountersKnown {
		j.RecordsProcessed, j.RecordsFailed = w.Processed.integer(), w.Failed.integer()
	}
	return j
}

// parseTime reads the times of a job, 2026-01-02T21:33:43.000+0000, and returns the zero time for anything else.
func parseTime(s string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04:05.000-0700", time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// scalar is the text of a JSON number or string.
type scalar string

// UnmarshalJSON takes a number, a string or null.
func (s *scalar) UnmarshalJSON(b []byte) error {
	var n json.Number // also takes a string that holds a number
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*s = scalar(n)
	return nil
}

func (s scalar) integer() int64 {
	n, _ := strconv.ParseInt(string(s), 10, 64) // absent counts as 0
	return n
}

func (s scalar) millis() time.Duration { return time.Duration(s.integer()) * time.Millisecond }

// flatString is a JSON string, or the text of any other JSON value.
type flatString string

// UnmarshalJSON takes any value.
func (f *flatString) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	*f = flatString(s)
	return nil
}
