package emulator

import (
	"net/http"
	"strings"
)

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
