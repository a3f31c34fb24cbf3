// Package pipeline is the YAML file that says what to load: it parses it,
// checks everything that can be checked without a connection, and compiles the
// mapping of each step into one SQL projection. It must never open a
// connection, nor accept a file that it only half understands.
package pipeline

import (
	"time"

	"bulkhead/internal/yamlfile"
)

// Operation is what a step does to the records of its object, spelt as in the
// file and as Bulk API 2.0 spells it.
type Operation string

// The operations of Bulk API 2.0 ingest jobs (guide, 'Create a Job').
const (
	Insert     Operation = "insert"
	Update     Operation = "update"
	Upsert     Operation = "upsert"
	Delete     Operation = "delete"
	HardDelete Operation = "hardDelete" // needs the permission "Bulk API Hard Delete"
)

// Deletes says whether the operation removes records.
func (o Operation) Deletes() bool { return o == Delete || o == HardDelete }

// Creates says whether the operation may make new records.
func (o Operation) Creates() bool { return o == Insert || o == Upsert }

// NullPolicy is what a value that is missing in the source does to its field.
type NullPolicy string

// The policies for nulls and for empty texts.
const (
	NullsClear NullPolicy = "clear" // the field is emptied
	NullsKeep  NullPolicy = "keep"  // the field keeps what it has
)

// Overlap is what happens when a run is due while the one before still goes.
type Overlap string

// The policies for overlapping runs.
const (
	OverlapSkip  Overlap = "skip"  // the later run is left out
	OverlapQueue Overlap = "queue" // the later run waits
)

// OnDrift is what a run does where the org has changed since the last one.
type OnDrift string

// The policies for a changed org.
const (
	DriftWarn OnDrift = "warn" // it says so and goes on, if the changes let it
	DriftStop OnDrift = "stop" // nothing is sent until somebody accepts the changes
)

// CatchUp is which of the runs are made up for that were missed while no server ran.
type CatchUp string

// The policies for missed runs.
const (
	CatchUpLatest CatchUp = "latest" // the last of them
	CatchUpAll    CatchUp = "all"    // each of them, in their order
	CatchUpNone   CatchUp = "none"   // none: the next one is early enough
)

// MaxJitter bounds the jitter of a schedule.
const MaxJitter = 12 * time.Hour

// Bounds and defaults of a step. A job holds up to 150,000,000 records, the
// daily allowance, and should hold no more than 100 MB of raw data, which
// base64 turns into the 150 MB that it may hold (Salesforce limits quick
// reference, 'Bulk API 2.0'). Salesforce processes 10,000 rows a batch.
const (
	DefaultRows     = 100_000
	MaxRows         = 150_000_000
	BatchRows       = 10_000
	DefaultBytes    = 90_000_000
	MinBytes        = 1_000
	MaxBytes        = 100_000_000
	DefaultParallel = 5
	MaxParallel     = 50
	MaxCanary       = 10_000 // one batch of Salesforce's
	DefaultAfter    = 1_000  // records of a step before stop_when looks at its share

	DefaultJobTimeout = 24 * time.Hour
	MinJobTimeout     = time.Minute
	MaxJobTimeout     = 7 * 24 * time.Hour // results are kept for seven days
)

// Pos is a place in the pipeline's file.
type Pos = yamlfile.Pos

// Pipeline is one file, checked.
type Pipeline struct {
	File                           string
	Text                           []byte // the file as read: a run stores it, so that a resume uses the definition it started with
	Name, Description, Source, Org string
	Schedule                       *Schedule // nil: runs only when asked to
	OnDrift                        OnDrift
	Steps                          []*Step // in file order; Ordered for the order to run them in
	Warnings                       []yamlfile.Problem
	NamePos, SourcePos, OrgPos     Pos
}

// Step loads the rows of one query into one object.
type Step struct {
	Name       string
	Needs      []string // names of the steps that come first
	Object     string   // API name
	Operation  Operation
	ExternalID string     // upsert: the field that tells whether a record exists
	Query      string     // without a semicolon at its end
	Key        []string   // columns of the query: unique, not null, and the order of the rows
	Changes    *Changes   // nil: every row, every time
	Nulls      NullPolicy // what a NULL does
	Empty      NullPolicy // what an empty text does
	Fields     []Field    // in file order
	Chunk      Chunk
	JobTimeout time.Duration // how long a run waits for one job before it stops; the job itself is never aborted for it
	Canary     int64         // rows of a small first chunk whose outcome is checked before the rest is sent; 0: none
	StopWhen   *StopWhen     // nil: a step goes on however many records fail

	Pos, KeyPos, QueryPos, ObjectPos, ExternalIDPos, ChangesPos Pos

	query yamlfile.Value // to say where in the file a place in the query is
}

// QueryAt says where in the file a place in the step's query stands; line and
// column count from 1 within the query.
func (s *Step) QueryAt(line, column int) Pos { return s.query.TextAt(line, column) }

// Field is one field of the object with where its value comes from: exactly
// one of Column, SQL, Value and Null is set.
type Field struct {
	Target string  // Name, Account.Legacy_Id__c or Lead:Who.Email
	Column string  // a column of the query
	SQL    string  // an expression over the columns of the query
	Value  *string // the same text for every record
	Null   bool    // always null
	Pos    Pos     // of the target
	From   Pos     // of the value
}

// Constant says whether every record gets the same value.
func (f Field) Constant() bool { return f.Value != nil || f.Null }

// Changes is how a step finds the rows that changed since the last run.
type Changes struct {
	By      string        // a column that grows with every change; empty: Hash alone
	Hash    bool          // by the content of the rows
	Overlap time.Duration // re-read this much for changes that were committed late
	// OverlapCount is the same for a column of whole numbers: re-read so many.
	OverlapCount int64
}

// Chunk is how rows are cut into jobs: the bound that is reached first cuts.
type Chunk struct {
	Rows, Bytes int64
	Parallel    int // jobs at once
}

// StopWhen stops a step when too many of its records fail.
type StopWhen struct {
	FailedShare float64 // above 0, at most 1
	After       int64   // records that must have been processed before the share counts
}
