package emulator

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
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
	o, ok := c.org.schema[fold(spec.Object)]
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
