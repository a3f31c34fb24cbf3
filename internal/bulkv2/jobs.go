package bulkv2

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"
)

const (
	jobsPath = "/jobs/ingest"
	jobPath  = "/jobs/ingest/{id}"
	asJSON   = "application/json"
)

// MaxUploadBytes is the most that one job can take: 150 MB after base64, which adds a third. Salesforce advises to stay
// under 100 MB of CSV. Bulk API 2.0 guide, "Upload Job Data".
const MaxUploadBytes = 150_000_000

// Body is the CSV of an upload. Every attempt opens it anew, and closes what it opened.
type Body interface {
	Open() (io.ReadCloser, error)
	Size() int64 // bytes, exactly
}

// Bytes is a [Body] held in memory.
type Bytes []byte

// Open returns a reader of all bytes.
func (b Bytes) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }

// Size returns the number of bytes.
func (b Bytes) Size() int64 { return int64(len(b)) }

// Create makes a job, in state Open. It is never repeated once the request may have reached the org: where
// [NothingAccepted] is false for the error, an empty job may have been left behind, which does nothing and can be found
// with [Client.Jobs].
func (c *Client) Create(ctx context.Context, spec JobSpec) (Job, error) {
	if err := spec.validate(); err != nil {
		return Job{}, &InputError{Op: "create job", Err: err}
	}
	body, err := json.Marshal(spec.wire())
	if err != nil {
		return Job{}, &InputError{Op: "create job", Err: err}
	}
	return c.askJob(ctx, call{
		op: fmt.Sprintf("create %s job for %q", spec.Operation, spec.Object), method: http.MethodPost, path: jobsPath,
		body: Bytes(body), ok: []int{http.StatusOK, http.StatusCreated},
	}, func(j Job) error {
		if j.State != Open {
			return fmt.Errorf("a new job in state %q", j.State)
		}
		return nil
	})
}

// Upload sends the job's CSV, header included. A job takes one upload; it is never repeated once the request may have
// reached the org. Where [NothingAccepted] is false for the error, abort the job and create another. Only status 201 is
// success.
func (c *Client) Upload(ctx context.Context, jobID string, body Body) error {
	const op = "upload"
	if err := checkID(op, jobID); err != nil {
		return err
	}
	if n := body.Size(); n <= 0 || n > MaxUploadBytes {
		return &InputError{Op: "job " + jobID + ": " + op, Err: fmt.Errorf("%d bytes, want 1 to %d", n, MaxUploadBytes)}
	}
	return c.do(ctx, call{
		op: op, method: http.MethodPut, path: jobPath + "/batches", jobID: jobID, body: body, mediaType: "text/csv",
		accept: asJSON, ok: []int{http.StatusCreated},
	}, func(*http.Response) error { return nil })
}

// Close tells the org that the upload is complete, whereupon it processes the job. When the answer is lost, or says that
// the job cannot be closed, the job is read: if it is closed already, in whatever state since, that is success.
func (c *Client) Close(ctx context.Context, jobID string) (Job, error) {
	return c.setState(ctx, "close", jobID, UploadComplete)
}

// Abort ends the job; what has been processed stays. When the answer is lost, or says that the job cannot be aborted,
// the job is read: if it is Aborted already, that is success. A job that has ended otherwise is returned with its state
// and the org's refusal.
func (c *Client) Abort(ctx context.Context, jobID string) (Job, error) {
	return c.setState(ctx, "abort", jobID, Aborted)
}

// Delete removes an ended job with its results from the org; its records stay. A job that the org does not know (any
// more) is success.
func (c *Client) Delete(ctx context.Context, jobID string) error {
	const op = "delete"
	if err := checkID(op, jobID); err != nil {
		return err
	}
	err := c.do(ctx, call{
		op: op, method: http.MethodDelete, path: jobPath, jobID: jobID, accept: asJSON,
		ok: []int{http.StatusNoContent, http.StatusOK}, safe: true,
	}, func(*http.Response) error { return nil })
	if NotFound(err) {
		return nil
	}
	return err
}

// Info reads the job. An id that the org does not know is an error for which [NotFound] is true.
func (c *Client) Info(ctx context.Context, jobID string) (Job, error) {
	return c.info(ctx, jobID)
}

func (c *Client) info(ctx context.Context, jobID string) (Job, error) {
	const op = "info"
	if err := checkID(op, jobID); err != nil {
		return Job{}, err
	}
	return c.askJob(ctx, call{op: op, method: http.MethodGet, path: jobPath, jobID: jobID, ok: []int{http.StatusOK}, safe: true}, nil)
}

// askJob makes a call that is answered with a job. check, which may be nil, looks at it as part of the attempt.
func (c *Client) askJob(ctx context.Context, call call, check func(Job) error) (Job, error) {
	call.accept, call.mediaType = asJSON, asJSON+"; charset=UTF-8"
	var job Job
	err := c.do(ctx, call, func(resp *http.Response) error {
		var w wireJob
		if err := decode(resp, &w); err != nil {
			return err
		}
		job = w.job()
		if err := sane(job, call.jobID); err != nil {
			return err
		}
		if check != nil {
			return check(job)
		}
		return nil
	})
	if err != nil {
		return Job{}, err
	}
	return job, nil
}

// sane refuses an answer that is JSON but no job, or another job than the one asked for.
func sane(j Job, asked string) error {
	switch {
	case !idPattern.MatchString(j.ID):
		return fmt.Errorf("a job with id %q", j.ID)
	case asked != "" && !sameID(asked, j.ID):
		return fmt.Errorf("another job, %s", j.ID)
	case j.State == "":
		return errors.New("a job without a state")
	}
	return nil
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9]{1,40}$`)

// sameID compares ids of 15 characters and of 18, whose last three are a checksum of the others' case.
func sameID(a, b string) bool {
	if len(a) == len(b) {
		return a == b
	}
	return len(a) >= 15 && len(b) >= 15 && a[:15] == b[:15]
}

func checkID(op, jobID string) error {
	if idPattern.MatchString(jobID) {
		return nil
	}
	return &InputError{Op: op, Err: fmt.Errorf("job id %q: want a Salesforce id", jobID)}
}

// setState asks for a change of state until it is certain how that ended.
func (c *Client) setState(ctx context.Context, op, jobID string, want State) (Job, error) {
	if err := checkID(op, jobID); err != nil {
		return Job{}, err
	}
	pause := &pause{cfg: c.cfg.Retry}
	for try := 1; ; try++ {
		job, err := c.patchState(ctx, op, jobID, want)
		if err == nil || NothingAccepted(err) && !wrongState(err) {
			return job, err
		}
		seen, infoErr := c.Info(ctx, jobID)
		if infoErr != nil {
			return Job{}, errors.Join(err, infoErr)
		}
		if reached(seen.State, want) {
			return seen, nil
		}
		if wrongState(err) || seen.Terminal() || try >= c.cfg.Retry.MaxTries {
			return seen, err
		}
		pause.last = err
		if waitErr := sleep(ctx, pause.NextBackOff()); waitErr != nil {
			return seen, fmt.Errorf("%w, after %w", waitErr, err)
		}
	}
}

func (c *Client) patchState(ctx context.Context, op, jobID string, want State) (Job, error) {
	body := Bytes(fmt.Sprintf(`{"state":%q}`, string(want)))
	return c.askJob(ctx, call{
		op: op, method: http.MethodPatch, path: jobPath, jobID: jobID, body: body, ok: []int{http.StatusOK}, settled: true,
	}, func(j Job) error {
		if !reached(j.State, want) {
			return fmt.Errorf("a job in state %q, want %q", j.State, want)
		}
		return nil
	})
}

// wrongState reports whether the org refused a change of state because of the state that the job is in.
func wrongState(err error) bool {
	var api *APIError
	return errors.As(err, &api) && api.Code == CodeInvalidJobState
}

// reached reports whether a job in this state has been brought to the wanted one, or has gone on from there.
func reached(state, want State) bool {
	if want == Aborted {
		return state == Aborted
	}
	return state != Open && state != Aborted
}

// sleep waits, or returns the cause when the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
