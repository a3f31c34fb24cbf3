package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// sender is the floor of sending: the least client that gets chunk files into an
// org. It keeps no record of anything, looks at a job's end only, and throws what
// failed away.
type sender struct {
	org    *org
	client *http.Client
	token  string
}

// jobsPath is where ingest jobs live.
const jobsPath = "/services/data/v66.0/jobs/ingest/"

// lookEvery is how often a sender asks whether a job has ended.
const lookEvery = 50 * time.Millisecond

// parallelJobs are how many jobs go at once, as in a pipeline that says nothing.
const parallelJobs = 5

// send uploads the files as jobs and waits for the end of them.
func (o *org) send(ctx context.Context, files *spooler) (usage, error) {
	s := o.newSender()
	defer s.close()
	begin, cpu := time.Now(), processorTime()
	if err := s.login(ctx); err != nil {
		return usage{}, err
	}
	jobs, ctx := errgroup.WithContext(ctx)
	jobs.SetLimit(parallelJobs)
	for _, name := range files.names {
		jobs.Go(func() error {
			file, err := files.spool.Open(name)
			if err != nil {
				return err
			}
			csv, err := file.CSV()
			if err != nil {
				return err
			}
			defer csv.Close()
			return s.job(ctx, csv)
		})
	}
	err := jobs.Wait()
	return usage{wall: time.Since(begin), cpu: processorTime() - cpu}, err
}

func (o *org) newSender() *sender {
	transport := &http.Transport{MaxIdleConnsPerHost: parallelJobs, DisableCompression: true}
	return &sender{org: o, client: &http.Client{Transport: transport}}
}

func (s *sender) close() { s.client.CloseIdleConnections() }

func (s *sender) login(ctx context.Context) error {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"emulator"}, "client_secret": {"emulator"}}
	var answer struct {
		Token string `json:"access_token"`
	}
	err := s.ask(ctx, http.MethodPost, "/services/oauth2/token", "application/x-www-form-urlencoded", bytes.NewReader([]byte(form.Encode())), &answer)
	s.token = answer.Token
	return err
}

// ingestJob is what a sender needs to know of a job.
type ingestJob struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

// job takes a file through a job.
func (s *sender) job(ctx context.Context, csv *os.File) error {
	var job ingestJob
	const create = `{"object":"Contact","operation":"upsert","externalIdFieldName":"Legacy_Id__c","lineEnding":"LF"}`
	if err := s.ask(ctx, http.MethodPost, jobsPath, jsonType, bytes.NewReader([]byte(create)), &job); err != nil {
		return err
	}
	path := jobsPath + job.ID
	if err := s.ask(ctx, http.MethodPut, path+"/batches", "text/csv", csv, nil); err != nil {
		return err
	}
	if err := s.ask(ctx, http.MethodPatch, path, jsonType, bytes.NewReader([]byte(`{"state":"UploadComplete"}`)), nil); err != nil {
		return err
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for job.State != "JobComplete" {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.ask(ctx, http.MethodGet, path, "", nil, &job); err != nil {
			return err
		}
	}
	return s.ask(ctx, http.MethodGet, path+"/failedResults", "", nil, nil)
}

const jsonType = "application/json"

// ask makes one request. An answer that nobody wants is read to its end.
func (s *sender) ask(ctx context.Context, method, path, contentType string, body io.Reader, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, s.org.url+path, body)
	if err != nil {
		return err
	}
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		text, _ := io.ReadAll(response.Body)
		return fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, text)
	}
	if answer == nil {
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
