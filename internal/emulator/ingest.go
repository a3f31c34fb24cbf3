package emulator

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
)

// serveIngest answers everything under /jobs/ingest.
func (s *Server) serveIngest(c *call, parts []string) error {
	if err := s.expireJobs(c.r.Context(), c.org); err != nil {
		return err
	}
	method := c.r.Method
	if len(parts) == 0 {
		switch method {
		case http.MethodPost:
			return s.createJob(c)
		case http.MethodGet:
			return s.listJobs(c)
		}
		return errMethod(method, "GET,HEAD,POST")
	}
	j, ok := c.org.jobs.find(parts[0])
	if !ok {
		return errNotFound()
	}
	if len(parts) == 1 {
		return s.serveJob(c, j)
	}
	if len(parts) > 2 {
		return errNotFound()
	}
	// Clients spell these in several ways.
	switch fold(parts[1]) {
	case "batches":
		if method != http.MethodPut {
			return errMethod(method, "PUT")
		}
		return s.upload(c, j)
	case "successfulresults", "failedresults", "unprocessedrecords":
		if method != http.MethodGet {
			return errMethod(method, "GET,HEAD")
		}
		return s.serveResults(c, j, fold(parts[1]))
	}
	return errNotFound()
}

func (s *Server) serveJob(c *call, j *job) error {
	switch c.r.Method {
	case http.MethodGet:
		c.answer(http.StatusOK, j.full())
		return nil
	case http.MethodPatch:
		return s.patchJob(c, j)
	case http.MethodDelete:
		return s.deleteJob(c, j)
	}
	return errMethod(c.r.Method, "DELETE,GET,HEAD,PATCH")
}

func (s *Server) createJob(c *call) error {
	mediaType, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	switch {
	case err == nil && mediaType == "multipart/form-data":
		return s.createMultipart(c, params["boundary"])
	case err != nil || mediaType != "application/json":
		return refuse(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE",
			"Content type %q is not supported", c.r.Header.Get("Content-Type"))
	}
	j, err := s.newJob(c, c.r.Body)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	c.answer(http.StatusOK, j.brief())
	return nil
}

// newJob reads a specification and files the job that it describes.
func (s *Server) newJob(c *call, body io.Reader) (*job, error) {
	spec, err := readSpec(body)
	if err != nil {
		return nil, err
	}
	j := &job{
		spec: spec, version: c.version, user: c.user, created: s.clock.Now(),
		state: stateOpen, finished: make(chan struct{}), lag: map[string]int{}, struck: map[string]bool{},
	}
	j.modified = j.created
	if err := s.checkSpec(c, j); err != nil {
		return nil, err
	}
	return j, c.org.jobs.add(j, s.dir)
}

// readSpec parses the JSON of a job and fills in its defaults. The messages
// are those of a recorded exchange.
func readSpec(body io.Reader) (jobSpec, error) {
	raw, err := io.ReadAll(io.LimitReader(body, 1<<20))
	if err != nil {
		return jobSpec{}, refuseBulk(http.StatusBadRequest, "API_ERROR", "%v", err)
	}
	var spec jobSpec
	if err := json.Unmarshal(raw, &spec); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return spec, invalidProperty(wrong.Value, wrong.Field)
		}
		return spec, refuse(http.StatusBadRequest, "JSON_PARSER_ERROR", "%v", err)
	}
	setDefault(&spec.ContentType, "CSV")
	setDefault(&spec.ColumnDelimiter, "COMMA")
	setDefault(&spec.LineEnding, "LF")
	switch {
	case !spec.Operation.valid():
		return spec, invalidProperty(string(spec.Operation), "operation")
	case spec.ContentType != "CSV":
		return spec, invalidProperty(spec.ContentType, "contentType")
	case spec.LineEnding != "LF" && spec.LineEnding != "CRLF":
		return spec, invalidProperty(spec.LineEnding, "lineEnding")
	}
	if _, ok := delimiterOf(spec.ColumnDelimiter); !ok {
		return spec, invalidProperty(spec.ColumnDelimiter, "columnDelimiter")
	}
	return spec, nil
}

func invalidProperty(value, property string) error {
	return refuseBulk(http.StatusBadRequest, "API_ERROR", "Invalid value: '%s' supplied for property: '%s'", value, property)
}

func invalidJob(format string, args ...any) error {
	return refuseBulk(http.StatusBadRequest, "INVALIDJOB", "InvalidJob : "+format, args...)
}

// checkSpec holds a specification against the org's objects and the user's
// permissions.
func (s *Server) checkSpec(c *call, j *job) error {
	spec := &j.spec
	o, ok := s.schema[fold(spec.Object)]
	if !ok {
		return invalidJob("Unable to find object: %s", spec.Object)
	}
	j.object = o
	if n := major(c.version); n < 41 {
		return errNotFound() // Bulk API 2.0 came with v41
	}
	if !o.Createable && !o.Updateable {
		return refuseBulk(http.StatusBadRequest, "INVALIDENTITY", "Entity '%s' is not supported by the Bulk API.", o.Name)
	}
	if spec.Operation == opHardDelete && c.user.NoHardDelete {
		return refuseBulk(http.StatusBadRequest, "FEATURENOTENABLED",
			"FeatureNotEnabled : hardDelete operation requires special user profile permission, please contact your system administrator")
	}
	if spec.AssignmentRuleID != "" {
		if _, ok := canonicalID(spec.AssignmentRuleID); !ok || o.Name != "Case" && o.Name != "Lead" || major(c.version) < 49 {
			return invalidProperty(spec.AssignmentRuleID, "assignmentRuleId")
		}
	}
	return j.checkKey()
}

// checkKey finds the field that an upsert goes by.
func (j *job) checkKey() error {
	if j.spec.Operation != opUpsert {
		if j.spec.ExternalIDField != nil && *j.spec.ExternalIDField != "" {
			return invalidJob("External ID field is only allowed for upsert operation")
		}
		j.spec.ExternalIDField = nil
		return nil
	}
	if j.spec.ExternalIDField == nil {
		return invalidJob("External ID was blank for %s. An External ID must be specified for upsert.", j.object.Name)
	}
	name := *j.spec.ExternalIDField
	f, ok := j.object.field(name)
	if !ok || !f.finds() {
		return invalidJob("Field name provided, %s does not match an External ID for %s", name, j.object.Name)
	}
	if f.source != sourceID {
		j.key = f
	}
	return nil
}

func major(version string) int {
	n := 0
	for _, c := range version {
		if c == '.' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// createMultipart takes job and content in one request; the job is closed by
// it (Bulk API 2.0 guide, "Create a Job", multipart).
func (s *Server) createMultipart(c *call, boundary string) error {
	parts := multipart.NewReader(c.r.Body, boundary)
	part, err := parts.NextPart()
	if err != nil || part.FormName() != "job" {
		return invalidJob("Multipart request must start with a part named job")
	}
	j, err := s.newJob(c, part)
	if err != nil {
		return err
	}
	part, err = parts.NextPart()
	if err == nil && part.FormName() != "content" {
		err = errors.New("unexpected part")
	}
	if err != nil {
		return errors.Join(invalidJob("Multipart request must have a part named content"), c.org.jobs.delete(j))
	}
	size, err := j.receive(part, s.cfg.Limits.MultipartChars)
	if err != nil {
		return errors.Join(refusedContent(err, s.cfg.Limits.MultipartChars), c.org.jobs.delete(j))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.puts, j.size = 1, size
	s.start(c.org, j)
	c.answer(http.StatusOK, j.brief())
	return nil
}

// errTooBig is content beyond its limit.
var errTooBig = errors.New("content too big")

// receive streams content into the job's file and returns its size.
func (j *job) receive(body io.Reader, limit int64) (int64, error) {
	f, err := os.CreateTemp(j.dir, "upload-")
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, io.LimitReader(body, limit+1))
	if err == nil && n > limit {
		err = errTooBig
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), j.path(fileContent))
	}
	if err != nil {
		return 0, errors.Join(err, os.Remove(f.Name()))
	}
	return n, nil
}

func refusedContent(err error, limit int64) error {
	if errors.Is(err, errTooBig) {
		return refuseBulk(http.StatusBadRequest, "CLIENTINPUTERROR",
			"ClientInputError : The content of the job exceeds the maximum of %d bytes", limit)
	}
	return refuseBulk(http.StatusBadRequest, "CLIENTINPUTERROR", "ClientInputError : %v", err)
}

// upload takes a job's content. There is one upload a job.
func (s *Server) upload(c *call, j *job) error {
	mediaType, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || mediaType != "text/csv" {
		return refuse(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE",
			"Content type %q is not supported, text/csv is expected", c.r.Header.Get("Content-Type"))
	}
	if s.cfg.Modes.RefuseGzipUpload && c.r.Header.Get("Content-Encoding") != "" {
		return refuse(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "Content encoding is not supported")
	}
	if err := s.mayChange(c, j); err != nil {
		return err
	}
	if err := j.mayUpload(s.cfg.Modes.SecondPut); err != nil {
		return err
	}
	limit := s.cfg.Limits.ContentBytes / 4 * 3 // base64 makes four bytes of three
	size, err := j.receive(c.r.Body, limit)
	if err != nil {
		return refusedContent(err, limit)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.state != stateOpen {
		return errJobState("Uploading data to a job in state %s is not allowed", j.state)
	}
	j.puts++
	j.size = size
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

func (j *job) mayUpload(mode SecondPut) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.state != stateOpen:
		return errJobState("Uploading data to a job in state %s is not allowed", j.state)
	case j.puts > 0 && mode == SecondPutRefused:
		return refuseBulk(http.StatusBadRequest, "BULK_API_ERROR", "%s", j.severalContents())
	}
	return nil
}

// severalContents is Salesforce's message, word for word.
func (j *job) severalContents() string {
	//nolint:misspell // Salesforce's own spelling
	return "Found multipe contents for job: <" + j.id[:idShort] + ">, please 'Close' / 'Abort' / 'Delete' the current Job " +
		"then create a new Job and make sure you only do 'PUT' once on a given Job."
}

func errJobState(format string, args ...any) error {
	return refuseBulk(http.StatusBadRequest, "INVALIDJOBSTATE", format, args...)
}

// mayChange lets a job be changed by who created it, and by who may manage
// data integrations.
func (s *Server) mayChange(c *call, j *job) error {
	if c.user.id != j.user.id && c.user.NoManageData {
		return refuseBulk(http.StatusBadRequest, "INVALIDUSER", "InvalidUser : The job was created by another user: %s", j.user.id)
	}
	return nil
}

// patchJob closes or aborts a job.
func (s *Server) patchJob(c *call, j *job) error {
	var patch struct {
		State state `json:"state"`
	}
	if err := json.NewDecoder(io.LimitReader(c.r.Body, 1<<20)).Decode(&patch); err != nil {
		return refuse(http.StatusBadRequest, "JSON_PARSER_ERROR", "%v", err)
	}
	if err := s.mayChange(c, j); err != nil {
		return err
	}
	var err error
	switch patch.State {
	case stateUploadComplete:
		err = s.closeJob(c, j)
	case stateAborted:
		err = s.abortJob(c, j)
	default:
		err = invalidProperty(string(patch.State), "state")
	}
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	c.answer(http.StatusOK, j.short())
	return nil
}

func (s *Server) closeJob(c *call, j *job) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.state.ended():
		return errJobState("Closing already %s Job not allowed", j.state.past())
	case j.state != stateOpen:
		return errJobState("Closing already Completed Job not allowed")
	case j.puts > 1:
		return refuseBulk(http.StatusBadRequest, "INVALIDJOB", "%s", j.severalContents())
	}
	s.start(c.org, j)
	return nil
}

func (s *Server) abortJob(c *call, j *job) error {
	if j.abort(c.r.Context(), stateAborted, "", s.clock.Now()) {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return errJobState("Aborting already %s Job not allowed", j.state.past())
}

// past is how messages call an end. Only the first is on record.
func (s state) past() string {
	if s == stateJobComplete {
		return "Completed"
	}
	return string(s)
}

func (s *Server) deleteJob(c *call, j *job) error {
	if err := s.mayChange(c, j); err != nil {
		return err
	}
	j.mu.Lock()
	current := j.state
	j.mu.Unlock()
	if current == stateOpen || current == stateInProgress {
		return errJobState("Deleting a job in state %s is not allowed", current)
	}
	// One that waits for its turn must not start any more.
	j.abort(c.r.Context(), stateAborted, "", s.clock.Now())
	if err := c.org.jobs.delete(j); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// listJobs pages through the org's jobs, a thousand at a time.
func (s *Server) listJobs(c *call) error {
	query := c.r.URL.Query()
	if t := query.Get("jobType"); t != "" && !strings.EqualFold(t, "V2Ingest") {
		if t != "Classic" && t != "BigObjectIngest" {
			return invalidProperty(t, "jobType")
		}
		c.answer(http.StatusOK, jobList{Done: true, Records: []jobInfo{}})
		return nil
	}
	page, err := s.jobPage(c, query.Get("queryLocator"))
	if err != nil {
		return err
	}
	c.answer(http.StatusOK, page)
	return nil
}

// jobList is a page of jobs.
type jobList struct {
	Done    bool      `json:"done"`
	Records []jobInfo `json:"records"`
	Next    *string   `json:"nextRecordsUrl"`
}

const jobsPerPage = 1000

func (s *Server) jobPage(c *call, locator string) (jobList, error) {
	cursor, from, err := c.org.cursors.jobs(c, locator)
	if err != nil {
		return jobList{}, err
	}
	to := min(from+jobsPerPage, len(cursor.jobs))
	page := jobList{Done: to == len(cursor.jobs), Records: []jobInfo{}}
	for _, j := range cursor.jobs[from:to] {
		page.Records = append(page.Records, j.listed())
	}
	if !page.Done {
		next := c.base() + "/jobs/ingest?queryLocator=" + cursor.locator(to)
		page.Next = &next
	}
	return page, nil
}
