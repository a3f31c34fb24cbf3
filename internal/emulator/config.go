package emulator

import (
	"fmt"
	"io/fs"
	"time"

	"go.uber.org/zap"

	"bulkhead/testdata/describe"
)

// What a Config that leaves them zero gets.
const (
	DefaultAddr          = "127.0.0.1:0"
	DefaultClientID      = "emulator"
	DefaultClientSecret  = "emulator"
	DefaultUsername      = "admin@emulator.test"
	DefaultBatchSize     = 10_000 // Bulk API 2.0 guide, "How Requests Are Processed"
	DefaultBatchParallel = 4
	DefaultSession       = 2 * time.Hour // Salesforce's own default session timeout
	DefaultAssertion     = 24 * time.Hour
	DefaultContentBytes  = 150_000_000 // after base64; "Bulk API and Bulk API 2.0 Limits and Allocations"
	DefaultMultipart     = 100_000     // characters; Bulk API 2.0 guide, "Create a Job"
	DefaultHeaderChars   = 32_000      // Bulk API 2.0 guide, "Prepare CSV Files"
	DefaultOpenFor       = 24 * time.Hour
	DefaultRetention     = 7 * 24 * time.Hour

	// MinVersion and MaxVersion are the REST API versions the org serves;
	// those from RetiredVersion up to MinVersion answer 410.
	MinVersion     = 31
	MaxVersion     = 67
	RetiredVersion = 7
)

// chunkRows is how many records Salesforce saves at once inside a batch.
const chunkRows = 200

// Config describes an org. The zero value is a working one: the built-in
// objects, one user, one connected app, Salesforce's limits, no faults.
type Config struct {
	// Addr to listen on; DefaultAddr picks a free port on loopback.
	Addr string
	// Describe holds one *.json describe per object; nil is the built-in set.
	Describe fs.FS
	// DataDir keeps the contents and results of jobs, each job in a folder of
	// its own, after the server has closed. Empty: a temporary folder that
	// Close removes.
	DataDir string

	// Apps and Users who may log in. Empty: DefaultClientID with
	// DefaultClientSecret, running as DefaultUsername.
	Apps  []App
	Users []User
	// Session is how long an access token lives; DefaultSession.
	Session time.Duration
	// Assertion is how far ahead the exp of a JWT may lie; DefaultAssertion.
	// Salesforce's own ceiling is not published; milliseconds are beyond any.
	Assertion time.Duration
	// Audiences a JWT may name beside the server's own URL and the two login
	// hosts of Salesforce.
	Audiences []string

	// Latency delays every answer of the API. BatchLatency is what a batch of a
	// job takes, unless the work on it takes longer.
	Latency, BatchLatency time.Duration
	// BatchSize is records per batch; DefaultBatchSize.
	BatchSize int
	// BatchParallel is how many batches the whole org works on at once;
	// DefaultBatchParallel.
	BatchParallel int

	// Discard checks records as ever and keeps none: every upsert creates, and no
	// record is there to be found, updated or deleted. What was uploaded goes when
	// its job is complete. For loads of more records than memory holds, of which
	// only the client is of interest.
	Discard bool

	Limits Limits
	Modes  Modes
	Faults []Fault

	// Logger gets a debug line per request; nil logs nothing.
	Logger *zap.Logger
	// Seed decides everything random: tokens, the order of results, faults
	// with a probability. The same seed and requests give the same org.
	Seed int64
	// Now is the org's clock; time.Now. It ages sessions, jobs and limits, and
	// never delays anything.
	Now func() time.Time
}

// App is a connected app or external client app.
type App struct {
	ClientID, ClientSecret string
	// RunAs is the username that client credentials log in as; empty turns
	// that flow off.
	RunAs string
	// PublicKey is the PEM of the certificate or RSA public key that signs
	// JWTs; empty turns the JWT flow off.
	PublicKey []byte
	// Users who are approved for the app; empty means all.
	Users []string
	// RefreshTokens maps a refresh token to the username it was granted to.
	RefreshTokens map[string]string
	// RotateRefreshTokens answers a new refresh token each time and lets the
	// old one die ("Refresh Token Rotation").
	RotateRefreshTokens bool
}

// User of the org. Every user can read and write every object and field.
type User struct {
	Username, FirstName, LastName, Email string
	// NoHardDelete takes away the permission "Bulk API Hard Delete";
	// NoManageData "Manage Data Integrations", without which the jobs of
	// others cannot be changed.
	NoHardDelete, NoManageData bool
}

// Limits of the org. Zero means Salesforce's figure, negative none left.
type Limits struct {
	DailyAPIRequests    int64         // 100,000
	DailyBatches        int64         // 15,000, ingest batches per 24 h
	DailyRecords        int64         // 150,000,000 records per 24 h
	ContentBytes        int64         // of a job, after base64
	MultipartChars      int64         // of a multipart request's content
	HeaderChars         int           // of a CSV's first row
	JobOpen             time.Duration // before an Open job is given up
	Retention           time.Duration // of jobs and their results
	StorageRecords      int64         // 0: no limit; beyond it STORAGE_LIMIT_EXCEEDED
	QueryLocators       int           // open cursors per user, 10
	QueryLocatorTimeout time.Duration // 15 minutes without use
}

// SecondPut is what happens to a second upload to one job.
type SecondPut string

// What a second PUT does. Salesforce refused it at the PUT in 2020, and in 2018
// accepted it to refuse the close.
const (
	SecondPutRefused   SecondPut = "refuse-put"
	SecondPutFailsLate SecondPut = "refuse-close"
)

// EarlyResults is what results answer while a job is being processed.
type EarlyResults string

// The guide says only that results are for finished jobs.
const (
	EarlyResultsPartial EarlyResults = "partial"
	EarlyResultsRefused EarlyResults = "refuse"
)

// ExpiredOpen is what becomes of a job that stayed open too long.
type ExpiredOpen string

// The limit is published, its consequence is not.
const (
	ExpiredOpenFails  ExpiredOpen = "fail"
	ExpiredOpenAborts ExpiredOpen = "abort"
)

// Modes switches behaviour on which Salesforce's documentation is silent, or
// which tests may want out of the way. The zero value is the likeliest org.
type Modes struct {
	SecondPut    SecondPut    // SecondPutRefused
	EarlyResults EarlyResults // EarlyResultsPartial
	ExpiredOpen  ExpiredOpen  // ExpiredOpenFails
	// KeepOrder returns result rows in the order of the upload, which
	// Salesforce never promises.
	KeepOrder bool
	// KeepNumbers echoes numbers as they were uploaded instead of as Java
	// prints a double (912260031 comes back as 9.12260031E8).
	KeepNumbers bool
	// KeepSpace stores texts with the blanks around them, which the API takes
	// off (SOAP API guide, "Primitive Data Types", string).
	KeepSpace bool
	// RefuseQuotedNewlines fails a job for a line break inside quotes even if
	// it is the job's own; some orgs were seen to, against the guide.
	RefuseQuotedNewlines bool
	// RefuseGzipUpload answers 415 to a compressed PUT, which the REST guide
	// allows and Data Loader avoids.
	RefuseGzipUpload bool
	// RecordBeyondQuota lists the records of batches beyond the daily
	// allowance as unprocessed, of which Salesforce keeps no record (Bulk API
	// 2.0 guide, "Get Job Unprocessed Record Results").
	RecordBeyondQuota bool
	// ParentBatchCounts takes one batch more from the daily allowance for
	// each job, for its empty parent batch.
	ParentBatchCounts bool
}

// withDefaults returns the config with every zero filled in.
func (c Config) withDefaults() Config {
	setDefault(&c.Addr, DefaultAddr)
	if c.Describe == nil {
		c.Describe = describe.Files()
	}
	if len(c.Users) == 0 {
		c.Users = []User{{Username: DefaultUsername, FirstName: "Emulator", LastName: "Admin", Email: DefaultUsername}}
	}
	if len(c.Apps) == 0 {
		c.Apps = []App{{ClientID: DefaultClientID, ClientSecret: DefaultClientSecret, RunAs: c.Users[0].Username}}
	}
	setDefault(&c.Session, DefaultSession)
	setDefault(&c.Assertion, DefaultAssertion)
	setDefault(&c.BatchSize, DefaultBatchSize)
	setDefault(&c.BatchParallel, DefaultBatchParallel)
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Limits = c.Limits.withDefaults()
	c.Modes = c.Modes.withDefaults()
	return c
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.DailyAPIRequests, 100_000)
	setDefault(&l.DailyBatches, 15_000)
	setDefault(&l.DailyRecords, 150_000_000)
	setDefault(&l.ContentBytes, DefaultContentBytes)
	setDefault(&l.MultipartChars, DefaultMultipart)
	setDefault(&l.HeaderChars, DefaultHeaderChars)
	setDefault(&l.JobOpen, DefaultOpenFor)
	setDefault(&l.Retention, DefaultRetention)
	setDefault(&l.QueryLocators, 10)
	setDefault(&l.QueryLocatorTimeout, 15*time.Minute)
	return l
}

func (m Modes) withDefaults() Modes {
	setDefault(&m.SecondPut, SecondPutRefused)
	setDefault(&m.EarlyResults, EarlyResultsPartial)
	setDefault(&m.ExpiredOpen, ExpiredOpenFails)
	return m
}

// validate reports the first setting that no org could have.
func (c Config) validate() error {
	switch {
	case c.BatchSize < 0:
		return fmt.Errorf("batch size must be positive, got %d", c.BatchSize)
	case c.BatchParallel < 0:
		return fmt.Errorf("parallel batches must be positive, got %d", c.BatchParallel)
	case c.Modes.SecondPut != SecondPutRefused && c.Modes.SecondPut != SecondPutFailsLate:
		return fmt.Errorf("unknown second put mode %q", c.Modes.SecondPut)
	case c.Modes.EarlyResults != EarlyResultsPartial && c.Modes.EarlyResults != EarlyResultsRefused:
		return fmt.Errorf("unknown early results mode %q", c.Modes.EarlyResults)
	case c.Modes.ExpiredOpen != ExpiredOpenFails && c.Modes.ExpiredOpen != ExpiredOpenAborts:
		return fmt.Errorf("unknown expired open mode %q", c.Modes.ExpiredOpen)
	}
	names := make(map[string]bool, len(c.Users))
	for _, u := range c.Users {
		if u.Username == "" || names[u.Username] {
			return fmt.Errorf("user %q: usernames must be set and unique", u.Username)
		}
		names[u.Username] = true
	}
	for _, a := range c.Apps {
		if a.ClientID == "" {
			return fmt.Errorf("app without a client id")
		}
		if a.RunAs != "" && !names[a.RunAs] {
			return fmt.Errorf("app %q: runs as %q, who is no user", a.ClientID, a.RunAs)
		}
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
