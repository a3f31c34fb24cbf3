package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/internal/bulkv2"
)

func newJobsCmd(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "jobs",
		Short: "Look at the ingest jobs in the org",
		Long: `Look at the Bulk API 2.0 ingest jobs in the org. Salesforce keeps jobs and their
results for seven days.`,
		Example: `  etl jobs list
  etl jobs show 7505g00000AbCdEAAV
  etl jobs results 7505g00000AbCdEAAV --kind failed > failed.csv
  etl jobs clean --dry-run`,
	}, newJobsListCmd(a), newJobsShowCmd(a), newJobsResultsCmd(a), newJobsAbortCmd(a), newJobsCleanCmd(a))
}

// jobView is a job of the org in our JSON.
type jobView struct {
	ID               string     `json:"id"`
	Object           string     `json:"object"`
	Operation        string     `json:"operation"`
	State            string     `json:"state"`
	ExternalIDField  string     `json:"external_id_field,omitempty"`
	CreatedByID      string     `json:"created_by_id"`
	CreatedAt        *time.Time `json:"created_at"`
	ModifiedAt       *time.Time `json:"modified_at"`
	APIVersion       string     `json:"api_version"`
	RecordsProcessed *int64     `json:"records_processed,omitempty"`
	RecordsFailed    *int64     `json:"records_failed,omitempty"`
	Retries          *int       `json:"retries,omitempty"`
	ProcessingMillis *int64     `json:"processing_ms,omitempty"`
	ErrorMessage     string     `json:"error_message,omitempty"`
}

func newJobView(j bulkv2.Job) jobView {
	v := jobView{
		ID: j.ID, Object: j.Object, Operation: string(j.Operation), State: string(j.State), ExternalIDField: j.ExternalIDField,
		CreatedByID: j.CreatedByID, CreatedAt: moment(j.CreatedAt), ModifiedAt: moment(j.SystemModstamp),
		APIVersion: j.APIVersion, ErrorMessage: j.ErrorMessage,
	}
	if j.CountersKnown {
		millis := j.TotalProcessing.Milliseconds()
		v.RecordsProcessed, v.RecordsFailed, v.Retries, v.ProcessingMillis = &j.RecordsProcessed, &j.RecordsFailed, &j.Retries, &millis
	}
	return v
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// listJobs returns the org's jobs that keep is true for, the newest first.
func listJobs(ctx context.Context, bulk *bulkv2.Client, keep func(bulkv2.Job) bool) ([]bulkv2.Job, error) {
	var jobs []bulkv2.Job
	for job, err := range bulk.Jobs(ctx, bulkv2.ListOptions{}) {
		if err != nil {
			return nil, err
		}
		if keep(job) {
			jobs = append(jobs, job)
		}
	}
	slices.SortStableFunc(jobs, func(x, y bulkv2.Job) int {
		return cmp.Or(y.CreatedAt.Compare(x.CreatedAt), cmp.Compare(y.ID, x.ID))
	})
	return jobs, nil
}

// sameID compares ids of records, which come with 15 or with 18 characters.
func sameID(x, y string) bool {
	const significant = 15
	return len(x) >= significant && len(y) >= significant && x[:significant] == y[:significant]
}

// jobError explains a job that the org does not know.
func jobError(id string, err error) error {
	if bulkv2.NotFound(err) {
		return usagef("job %q: the org does not know it: it was deleted, is older than seven days, or belongs to another org", id)
	}
	return err
}

// openJobs logs in for a command that looks at jobs.
func (a *app) openJobs(ctx context.Context, org string) (*bulkv2.Client, string, error) {
	p, err := a.openProject()
	if err != nil {
		return nil, "", err
	}
	login, bulk, err := a.openOrg(ctx, p, org)
	if err != nil {
		return nil, "", err
	}
	return bulk, login.UserID(), nil
}
