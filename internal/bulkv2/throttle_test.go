package bulkv2_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bulkhead/internal/bulkv2"
)

// TestTooManyAtOnce lets twenty callers loose on an org that takes four long requests at a time.
func TestTooManyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const room, callers, calls = 4, 20, 10
		var running, refused, bounded atomic.Int64
		c := newClient(t, bulkv2.Config{
			InstanceURL: "https://org.example",
			Observe: func(e bulkv2.Event) {
				if e.AtOnce > 0 {
					bounded.Add(1)
				}
			},
			HTTP: &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				defer running.Add(-1)
				if running.Add(1) > room {
					refused.Add(1)
					return answer(403, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentRequests (Concurrent API Requests) Limit exceeded."}]`), nil
				}
				<-time.After(25 * time.Second) // of the test's own clock
				return answer(200, `{"id":"`+jobID+`","object":"Account","operation":"insert","state":"InProgress","apiVersion":66.0}`), nil
			})},
		})
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				for range calls {
					if _, err := c.Info(t.Context(), jobID); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		// Without a bound nearly every second call is refused. With it the first wave is, and later one now and
		// then that asks whether there is more room.
		if refused.Load() > callers*calls/5 || bounded.Load() == 0 {
			t.Errorf("%d requests were refused, %d were bounded", refused.Load(), bounded.Load())
		}
	})
}

// TestDailyLimitIsNoThrottle has the day's requests used up, which fewer at a time do not help.
func TestDailyLimitIsNoThrottle(t *testing.T) {
	t.Parallel()
	var atOnce atomic.Int64
	c := newClient(t, bulkv2.Config{
		InstanceURL: "https://org.example", Retry: fastRetry(), Observe: func(e bulkv2.Event) { atOnce.Add(int64(e.AtOnce)) },
		HTTP: &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			return answer(403, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]`), nil
		})},
	})
	if _, err := c.Info(t.Context(), jobID); !bulkv2.LimitReached(err) || atOnce.Load() != 0 {
		t.Errorf("got %v, bound %d", err, atOnce.Load())
	}
}
