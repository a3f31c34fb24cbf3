package emulator

import (
	"context"
	"os"
	"time"
)

// jobInfo is a job as the API shows it. Which keys there are depends on what
// is asked, and on the job's state; their order is that of recorded answers.
type jobInfo struct {
	ID               string        `json:"id"`
	Operation        operation     `json:"operation"`
	Object           string        `json:"object"`
	CreatedByID      string        `json:"createdById"`
	CreatedDate      timestamp     `json:"createdDate"`
	SystemModstamp   timestamp     `json:"systemModstamp"`
	State            state         `json:"state"`
	ExternalIDField  string        `json:"externalIdFieldName,omitempty"`
	ConcurrencyMode  string        `json:"concurrencyMode"`
	ContentType      string        `json:"contentType"`
	APIVersion       versionNumber `json:"apiVersion"`
	JobType          string        `json:"jobType,omitempty"`
	ContentURL       string        `json:"contentUrl,omitempty"`
	LineEnding       string        `json:"lineEnding,omitempty"`
	ColumnDelimiter  string        `json:"columnDelimiter,omitempty"`
	Processed        *int64        `json:"numberRecordsProcessed,omitempty"`
	Failed           *int64        `json:"numberRecordsFailed,omitempty"`
	Retries          *int64        `json:"retries,omitempty"`
	TotalTime        *int64        `json:"totalProcessingTime,omitempty"`
	APITime          *int64        `json:"apiActiveProcessingTime,omitempty"`
	ApexTime         *int64        `json:"apexProcessingTime,omitempty"`
	ErrorMessage     string        `json:"errorMessage,omitempty"`
	AssignmentRuleID string        `json:"assignmentRuleId,omitempty"`
}

// short is what closing and aborting answer. Called with the lock held.
func (j *job) short() jobInfo {
	info := jobInfo{
		ID: j.id, Operation: j.spec.Operation, Object: j.object.Name, CreatedByID: j.user.id,
		CreatedDate: timestamp(j.created), SystemModstamp: timestamp(j.modified), State: j.state,
		ConcurrencyMode: "Parallel", ContentType: "CSV", APIVersion: versionNumber(j.version),
	}
	if j.spec.ExternalIDField != nil {
		info.ExternalIDField = *j.spec.ExternalIDField
	}
	return info
}

// brief adds what creating answers. Called with the lock held.
func (j *job) brief() jobInfo {
	info := j.short()
	if j.state == stateOpen {
		// Without a slash in front, unlike nextRecordsUrl.
		info.ContentURL = "services/data/v" + j.version + "/jobs/ingest/" + j.id + "/batches"
	}
	info.LineEnding, info.ColumnDelimiter = j.spec.LineEnding, j.spec.ColumnDelimiter
	info.AssignmentRuleID = j.spec.AssignmentRuleID
	return info
}

// listed is the job in a list: no counters, no external id.
func (j *job) listed() jobInfo {
	j.mu.Lock()
	defer j.mu.Unlock()
	info := j.brief()
	info.JobType, info.ExternalIDField, info.AssignmentRuleID = "V2Ingest", "", ""
	return info
}

// full is all there is to know. The counters appear with the content.
func (j *job) full() jobInfo {
	j.mu.Lock()
	defer j.mu.Unlock()
	info := j.brief()
	info.JobType, info.ErrorMessage = "V2Ingest", j.message
	var zero int64
	total, api := j.totalTime.Milliseconds(), j.apiTime.Milliseconds()
	info.Retries, info.TotalTime, info.APITime, info.ApexTime = &zero, &total, &api, &zero
	if j.puts > 0 || j.state != stateOpen {
		processed, failed := j.processed, j.failed
		if j.lagging("counters") {
			processed, failed = 0, 0
		}
		info.Processed, info.Failed = &processed, &failed
	}
	return info
}

// lagging tells whether a read comes too early to see what the job did. Called
// with the lock held.
func (j *job) lagging(what string) bool {
	if !j.state.ended() || j.lag[what] <= 0 {
		return false
	}
	j.lag[what]--
	return true
}

// expireJobs ages the jobs: those too long Open end, those of last week go.
func (s *Server) expireJobs(ctx context.Context, o *org) error {
	now := s.clock.Now()
	if !o.jobs.due(now) {
		return nil
	}
	for _, j := range o.jobs.all() {
		j.mu.Lock()
		age := now.Sub(j.created)
		if j.state == stateOpen && age >= s.cfg.Limits.JobOpen {
			s.expireOpen(j)
		}
		if j.state.ended() {
			age = now.Sub(j.modified)
		}
		j.mu.Unlock()
		if age < s.cfg.Limits.Retention {
			continue
		}
		j.abort(ctx, stateAborted, "", now)
		if err := o.jobs.delete(j); err != nil {
			return err
		}
	}
	return nil
}

// expireOpen ends a job that nobody closed. Called with the lock held.
func (s *Server) expireOpen(j *job) {
	ended := j.created.Add(s.cfg.Limits.JobOpen)
	if s.cfg.Modes.ExpiredOpen == ExpiredOpenAborts {
		j.end(stateAborted, "", ended)
		return
	}
	j.end(stateFailed, "Timeout : Job was open for longer than "+s.cfg.Limits.JobOpen.Truncate(time.Second).String(), ended)
}

// open returns a reader of a job's file, or nil if there is none.
func (j *job) open(name string) (*os.File, error) {
	f, err := os.Open(j.path(name))
	if os.IsNotExist(err) {
		return nil, nil
	}
	return f, err
}
