package bulkv2_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bulkhead/internal/bulkv2"
)

// simulated is an org with one job whose progress is a function of the time since its close.
type simulated struct {
	began  time.Time
	queued time.Duration // how long it waits before it runs
	took   time.Duration // how long it runs
	done   func(part float64) int64
	fail   func(poll int) *http.Response // may be nil, and may return nil
	polls  int
}

func (s *simulated) RoundTrip(*http.Request) (*http.Response, error) {
	s.polls++
	if s.fail != nil {
		if resp := s.fail(s.polls); resp != nil {
			return resp, nil
		}
	}
	since := time.Since(s.began) - s.queued
	state, done := "InProgress", s.done(1)
	switch {
	case since < 0:
		state, done = "UploadComplete", 0
	case since < s.took:
		done = s.done(float64(since) / float64(s.took))
	default:
		state = "JobComplete"
	}
	return answer(200, fmt.Sprintf(`{"id":%q,"state":%q,"numberRecordsProcessed":%d,"numberRecordsFailed":0}`, jobID, state, done)), nil
}

func answer(status int, body string, header ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i+1 < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

func (s *simulated) client(t *testing.T) *bulkv2.Client {
	t.Helper()
	s.began = time.Now()
	return newClient(t, bulkv2.Config{HTTP: &http.Client{Transport: s}, InstanceURL: "https://org.example"})
}

const rows = 100_000

// steady moves with every poll; inBatches moves by so many records at a time, as an org that counts finished batches.
func steady(part float64) int64 { return int64(part * rows) }

func inBatches(size float64) func(float64) int64 {
	return func(part float64) int64 { return int64(part*rows/size) * int64(size) }
}

func atTheEnd(part float64) int64 { return int64(part) * rows }

func faster(part float64) int64 { return int64(part * part * rows) }

// starved gets one batch done while other jobs have the org, and the others when they are done.
func starved(part float64) int64 {
	if part < 0.8 {
		return int64(math.Ceil(part-0.4)) * 10_000
	}
	return inBatches(10_000)(0.1 + (part-0.8)*4.5)
}

func slower(part float64) int64 { return int64((2*part - part*part) * rows) }

// TestWaitSeesTheEndSoonWithFewPolls is about the price of following a job: calls, and time lost after its end.
func TestWaitSeesTheEndSoonWithFewPolls(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		queued, took time.Duration
		done         func(float64) int64
		polls        int     // at most
		lag          float64 // at most, as a share of the whole time
	}{
		{"20 seconds, batches of 10,000", 0, 20 * time.Second, inBatches(10_000), 12, 0.05},
		{"1 minute, steady", 0, time.Minute, steady, 12, 0.05},
		{"3 minutes, steady", 0, 3 * time.Minute, steady, 14, 0.05},
		{"10 minutes, steady", 0, 10 * time.Minute, steady, 28, 0.05},
		{"1 hour, steady", 0, time.Hour, steady, 130, 0.02},
		{"3 minutes, batches of 10,000", 0, 3 * time.Minute, inBatches(10_000), 15, 0.05},
		{"3 minutes, batches of 50,000", 0, 3 * time.Minute, inBatches(50_000), 16, 0.15},
		{"3 minutes, gets faster", 0, 3 * time.Minute, faster, 14, 0.05},
		{"40 seconds, has to wait for others", 0, 40 * time.Second, starved, 14, 0.25},
		{"3 minutes, gets slower", 0, 3 * time.Minute, slower, 20, 0.05},
		{"40 seconds in the queue", 40 * time.Second, 3 * time.Minute, steady, 17, 0.05},
		{"5 minutes in the queue", 5 * time.Minute, 3 * time.Minute, steady, 28, 0.05},
		{"counts only at the end", 0, 3 * time.Minute, atTheEnd, 16, 0.17},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				org := &simulated{queued: tt.queued, took: tt.took, done: tt.done}
				c := org.client(t)
				job, err := c.Wait(t.Context(), jobID, bulkv2.WaitOptions{Rows: rows})
				if err != nil || job.State != bulkv2.JobComplete {
					t.Fatalf("got %q, %v", job.State, err)
				}
				whole := tt.queued + tt.took
				lag := float64(time.Since(org.began)-whole) / float64(whole)
				t.Logf("%d polls, %.1f%% late", org.polls, 100*lag)
				if org.polls > tt.polls || lag > tt.lag {
					t.Errorf("%d polls, %.1f%% late; want at most %d and %.0f%%", org.polls, 100*lag, tt.polls, 100*tt.lag)
				}
			})
		})
	}
}

func TestWaitKeepsToItsIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		org := &simulated{took: time.Hour, done: atTheEnd}
		c := org.client(t)
		last := time.Time{}
		_, err := c.Wait(t.Context(), jobID, bulkv2.WaitOptions{MinInterval: 5 * time.Second, MaxInterval: 20 * time.Second, OnPoll: func(bulkv2.Job) {
			if gap := time.Since(last); !last.IsZero() && (gap < 5*time.Second || gap > 20*time.Second) {
				t.Errorf("%v between two polls", gap)
			}
			last = time.Now()
		}})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestWaitReturnsAnEndedJobAtOnce(t *testing.T) {
	t.Parallel()
	for _, state := range []bulkv2.State{bulkv2.JobComplete, bulkv2.Failed, bulkv2.Aborted} {
		c, srv := serve(t, jobIn(state))
		job, err := c.Wait(t.Context(), jobID, bulkv2.WaitOptions{})
		if err != nil || job.State != state || len(srv.seen()) != 1 {
			t.Errorf("got %q, %v after %d polls, want %q after one", job.State, err, len(srv.seen()), state)
		}
	}
}

func TestWaitOutlastsTroubleAndUnknownStates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		org := &simulated{took: 2 * time.Minute, done: steady, fail: func(poll int) *http.Response {
			switch poll {
			case 2:
				return answer(502, "<html>", "Content-Type", "text/html")
			case 3:
				return answer(503, `[{"errorCode":"SERVER_UNAVAILABLE","message":"x"}]`, "Retry-After", "20")
			case 4:
				return answer(403, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"x"}]`)
			case 5:
				return answer(200, `{"id`)
			case 6:
				return answer(200, `{"id":"`+jobID+`","state":"Resting"}`)
			}
			return nil
		}}
		c := org.client(t)
		job, err := c.Wait(t.Context(), jobID, bulkv2.WaitOptions{Rows: rows})
		if err != nil || job.State != bulkv2.JobComplete || org.polls < 7 {
			t.Fatalf("got %q, %v after %d polls", job.State, err, org.polls)
		}
	})
}

func TestWaitEndsWithWhatTimeWillNotMend(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		gone   bool
	}{
		"gone":         {refuse(404, "NOT_FOUND", "The requested resource does not exist"), true},
		"session":      {refuse(401, "INVALID_SESSION_ID", "Session expired or invalid"), false},
		"api disabled": {refuse(403, "API_DISABLED_FOR_ORG", "x"), false},
	} {
		c, srv := serve(t, tt.answer)
		_, err := c.Wait(t.Context(), jobID, bulkv2.WaitOptions{})
		if err == nil || bulkv2.NotFound(err) != tt.gone || len(srv.seen()) != 1 {
			t.Errorf("%s: got %v after %d polls, want an error after one", name, err, len(srv.seen()))
		}
	}
}

func TestWaitSaysThatTheJobStillRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		org := &simulated{took: time.Hour, done: steady}
		c := org.client(t)
		_, err := c.Wait(t.Context(), jobID, bulkv2.WaitOptions{Rows: rows, Limit: 10 * time.Minute})
		var still *bulkv2.StillRunningError
		if !errors.As(err, &still) || !bulkv2.Retryable(err) || still.Job.State != bulkv2.InProgress || still.Job.RecordsProcessed == 0 {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(org.began); took != 10*time.Minute {
			t.Errorf("gave up after %v", took)
		}
		if want := "job " + jobID + ": still InProgress after 10m0s"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	})
}

func TestWaitRestsAsLongAsTheOrgAsks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		trouble func() *http.Response
		rest    time.Duration
	}{
		"for a time":             {func() *http.Response { return answer(503, "", "Retry-After", "120") }, 2 * time.Minute},
		"for too long a time":    {func() *http.Response { return answer(503, "", "Retry-After", "7200") }, 5 * time.Minute},
		"when a limit's reached": {func() *http.Response { return answer(403, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED"}]`) }, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				org := &simulated{done: steady, fail: func(poll int) *http.Response {
					if poll == 1 {
						return tt.trouble()
					}
					return nil
				}}
				_, err := org.client(t).Wait(t.Context(), jobID, bulkv2.WaitOptions{})
				if took := time.Since(org.began); err != nil || took != tt.rest {
					t.Errorf("%v after %v, want %v", err, took, tt.rest)
				}
			})
		})
	}
}

func TestWaitSaysWhyItNeverSawTheJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		org := &simulated{fail: func(int) *http.Response { return answer(502, "") }}
		c := org.client(t)
		_, err := c.Wait(t.Context(), jobID, bulkv2.WaitOptions{Limit: time.Minute})
		var still *bulkv2.StillRunningError
		if !errors.As(err, &still) || !strings.Contains(err.Error(), "of unknown state after 1m0s: job "+jobID+": info: salesforce 502") {
			t.Errorf("got %v", err)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		org := &simulated{took: time.Hour, done: steady}
		c := org.client(t)
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		job, err := c.Wait(ctx, jobID, bulkv2.WaitOptions{Rows: rows})
		if !errors.Is(err, context.DeadlineExceeded) || bulkv2.Retryable(err) || job.State != bulkv2.InProgress {
			t.Errorf("got %q, %v", job.State, err)
		}
		if took := time.Since(org.began); took != 90*time.Second {
			t.Errorf("returned after %v", took)
		}
	})
}
