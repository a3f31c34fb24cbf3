package bulkv2_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/bulkv2"
)

// TestRepeatsWait measures the time between attempts; half is what the random source always returns.
func TestRepeatsWait(t *testing.T) {
	t.Parallel()
	header := func(retryAfter string) func() string { return func() string { return retryAfter } }
	inTenSeconds := func() string { return time.Now().Add(10 * time.Second).UTC().Format(http.TimeFormat) }
	const limited = `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"x"}]`
	s, ms := time.Second, time.Millisecond
	for _, tt := range []struct {
		name       string
		body       string
		retryAfter func() string
		waits      []time.Duration
	}{
		{"twice as long each time, up to the cap", "", header(""), []time.Duration{250 * ms, 500 * ms, 1 * s, 2 * s, 2500 * ms}},
		{"longer when a limit is reached", limited, header(""), []time.Duration{22500 * ms, 45 * s, 90 * s, 180 * s, 225 * s}},
		{"as long as the org asks", "", header("7"), []time.Duration{7250 * ms, 7500 * ms, 8 * s, 9 * s, 9500 * ms}},
		{"not longer than the bound", "", header("86400"), []time.Duration{60250 * ms, 60500 * ms, 61 * s, 62 * s, 62500 * ms}},
		{"a date in the past counts for nothing", "", header("Fri, 01 Jan 1999 15:04:05 GMT"), []time.Duration{250 * ms, 500 * ms, 1 * s, 2 * s, 2500 * ms}},
		{"nonsense counts for nothing", "", header("soon"), []time.Duration{250 * ms, 500 * ms, 1 * s, 2 * s, 2500 * ms}},
		{"a negative time counts for nothing", "", header("-5"), []time.Duration{250 * ms, 500 * ms, 1 * s, 2 * s, 2500 * ms}},
		// The date has whole seconds, the attempts come in between.
		{"until the date that the org names", "", inTenSeconds, []time.Duration{10250 * ms, 10250 * ms, 10500 * ms, 12 * s, 12500 * ms}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var at []time.Time
				var events []bulkv2.Event
				c := newClient(t, bulkv2.Config{
					InstanceURL: "https://org.example", Observe: func(e bulkv2.Event) { events = append(events, e) },
					Retry: bulkv2.RetryConfig{MaxTries: 6, Cap: 5 * s, LimitBase: 30 * s, LimitCap: 300 * s, MaxRetryAfter: 60 * s, Rand: func() float64 { return 0.5 }},
					HTTP: &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
						at = append(at, time.Now())
						return answer(429, tt.body, "Retry-After", tt.retryAfter()), nil
					})},
				})
				_, err := c.Info(t.Context(), jobID)
				var api *bulkv2.APIError
				if !errors.As(err, &api) || api.Attempt != 6 {
					t.Fatalf("got %v, want the last attempt's refusal", err)
				}
				var waits []time.Duration
				for i := range at[1:] {
					waits = append(waits, at[i+1].Sub(at[i]))
					if events[i].RetryIn != waits[i] {
						t.Errorf("event %d says %v, it was %v", i, events[i].RetryIn, waits[i])
					}
				}
				if diff := cmp.Diff(tt.waits, waits); diff != "" {
					t.Errorf("waits (-want +got):\n%s", diff)
				}
				if last := events[len(events)-1]; len(events) != 6 || last.RetryIn != 0 || last.Err == nil {
					t.Errorf("%d events, the last: %+v", len(events), last)
				}
			})
		})
	}
}

func TestRepeatsEndAfterTheTimeGiven(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		c := newClient(t, bulkv2.Config{
			InstanceURL: "https://org.example", Retry: bulkv2.RetryConfig{MaxTries: 1000, MaxElapsed: 10 * time.Minute},
			HTTP: &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				calls++
				return answer(502, ""), nil
			})},
		})
		began := time.Now()
		_, err := c.Info(t.Context(), jobID)
		if took := time.Since(began); err == nil || took > 10*time.Minute || calls < 10 {
			t.Errorf("%v after %d calls in %v", err, calls, took)
		}
	})
}

func TestAContextThatEndsBetweenAttemptsLeavesTheCauseVisible(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, bulkv2.Config{InstanceURL: "https://org.example", HTTP: &http.Client{
			Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				return answer(403, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]`), nil
			}),
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := c.Upload(ctx, jobID, bulkv2.Bytes("Name\nx\n"))
		if !errors.Is(err, context.DeadlineExceeded) || !bulkv2.LimitReached(err) || bulkv2.Retryable(err) || !bulkv2.NothingAccepted(err) {
			t.Errorf("got %v", err)
		}
	})
}

// TestASilentOrgIsGivenUp is about an org that takes a request and then says nothing any more.
func TestASilentOrgIsGivenUp(t *testing.T) {
	t.Parallel()
	silentBody := func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: &silent{ctx: r.Context(), first: "\"sf__Id\",\"sf__Error\",Name\n\"1\","}}, nil
	}
	noAnswer := func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	stops := func(r *http.Request) (*http.Response, error) { // takes a part of the upload only
		_, _ = io.CopyN(io.Discard, r.Body, 10)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	upload := func(c *bulkv2.Client) error {
		return c.Upload(context.Background(), jobID, bulkv2.Bytes(make([]byte, 1000)))
	}
	info := func(c *bulkv2.Client) error { _, err := c.Info(context.Background(), jobID); return err }
	download := func(c *bulkv2.Client) error {
		res, err := c.FailedResults(context.Background(), jobID)
		if err != nil {
			return err
		}
		for res.Next() {
		}
		return errors.Join(res.Err(), res.Close())
	}
	for _, tt := range []struct {
		name      string
		org       roundTripper
		call      func(*bulkv2.Client) error
		after     time.Duration
		retryable bool
	}{
		{"no answer to a question", noAnswer, info, 10 * time.Second, true},
		{"no answer to an upload", noAnswer, upload, 10 * time.Second, false},
		{"an upload that stops", stops, upload, 3 * time.Second, false},
		{"an answer that stops", silentBody, info, 3 * time.Second, true},
		{"a download that stops", silentBody, download, 3 * time.Second, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, bulkv2.Config{
					InstanceURL: "https://org.example", Retry: bulkv2.RetryConfig{MaxTries: 1},
					AnswerTimeout: 10 * time.Second, IdleTimeout: 3 * time.Second, HTTP: &http.Client{Transport: tt.org},
				})
				began := time.Now()
				err := tt.call(c)
				if took := time.Since(began); err == nil || took != tt.after || bulkv2.Retryable(err) != tt.retryable || bulkv2.NothingAccepted(err) {
					t.Errorf("after %v: %v (retryable %v)", took, err, bulkv2.Retryable(err))
				}
			})
		})
	}
}

// silent is a body that goes silent after its first bytes.
type silent struct {
	ctx   context.Context
	first string
}

func (s *silent) Read(p []byte) (int, error) {
	if s.first == "" {
		<-s.ctx.Done()
		return 0, s.ctx.Err()
	}
	n := copy(p, s.first)
	s.first = s.first[n:]
	return n, nil
}

func (s *silent) Close() error { return nil }

func TestASlowReaderIsNotTakenForASilentOrg(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, bulkv2.Config{InstanceURL: "https://org.example", IdleTimeout: time.Second, HTTP: &http.Client{
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				body := io.MultiReader(oneByOne("\"sf__Id\",\"sf__Error\",Name\n"), oneByOne("\"1\",\"\",\"x\"\n"))
				return &http.Response{StatusCode: 200, Body: &tied{r.Context(), body}}, nil
			}),
		}})
		res, err := c.FailedResults(t.Context(), jobID)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Close()
		<-time.After(time.Hour) // in the bubble's own time
		if !res.Next() || res.Next() || res.Err() != nil {
			t.Errorf("after an hour's rest: %v", res.Err())
		}
	})
}

// tied is a body that breaks when its request is ended, as net/http's does.
type tied struct {
	ctx context.Context
	io.Reader
}

func (b *tied) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, b.ctx.Err()
	}
	return b.Reader.Read(p)
}

func (b *tied) Close() error { return nil }
