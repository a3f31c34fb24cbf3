package crashtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"bulkhead/internal/bulkv2"
	"bulkhead/internal/emulator"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/reconcile"
	"bulkhead/internal/run"
	"bulkhead/internal/salesforce"
	"bulkhead/internal/spool"
	"bulkhead/internal/state"
)

// place is where a run happens: all that outlives a process.
type place struct {
	DSN, URL, Spool string
	Silence         time.Duration // how long the org may say nothing; 0: bulkv2's defaults
	JobBytes        int64         // of run.Config
}

// kit is what one process opens to run a pipeline in a place.
type kit struct {
	store  *state.Store
	config run.Config
}

// open opens a place. probe, which may be nil, hears of every point.
func (p place) open(ctx context.Context, probe func(string)) (*kit, error) {
	store, err := state.Open(ctx, p.DSN)
	if err != nil {
		return nil, err
	}
	k := &kit{store: store}
	transport := &http.Transport{
		WriteBufferSize:     512,  // so that half of an upload is on its way when its middle is reached
		DisableCompression:  true, // a compressor for each answer costs more than all the rest
		MaxIdleConnsPerHost: 8,
	}
	if probe == nil {
		probe = func(string) {}
	} else {
		store.SetProbe(probe)
	}
	if err := k.assemble(ctx, p, probed{transport, probe}, probe); err != nil {
		store.Close()
		return nil, err
	}
	return k, nil
}

func (k *kit) assemble(ctx context.Context, p place, transport http.RoundTripper, probe func(string)) error {
	org, err := salesforce.Open(ctx, salesforce.Config{
		LoginURL: p.URL, ClientID: emulator.DefaultClientID, ClientSecret: emulator.DefaultClientSecret, Transport: transport, Timeout: p.Silence,
	})
	if err != nil {
		return err
	}
	files, err := spool.Open(spool.Config{Dir: p.Spool})
	if err != nil {
		return err
	}
	client, err := bulkv2.New(bulkv2.Config{
		HTTP: org.HTTPClient(), InstanceURL: org.InstanceURL(), APIVersion: org.APIVersion(),
		AnswerTimeout: p.Silence, IdleTimeout: p.Silence,
		Retry: bulkv2.RetryConfig{Base: time.Millisecond, Cap: 10 * time.Millisecond, LimitBase: time.Millisecond},
	})
	if err != nil {
		return err
	}
	k.config = run.Config{
		Source: p.DSN, Store: k.store, Failures: reconcile.NewStore(k.store.Pool()), Spool: files, Org: org, Bulk: client,
		PollMin: time.Millisecond, PollMax: 10 * time.Millisecond, CountersSettle: time.Millisecond,
		UploadWait: time.Millisecond, RetryWait: time.Millisecond, JobBytes: p.JobBytes, Probe: probe,
	}
	return nil
}

// deed is what a process is told to do, as a user would tell `etl`.
type deed string

const (
	deedRun          deed = "run"
	deedRetryKeys    deed = "failed retry"
	deedRetryPayload deed = "failed retry --from payload"
	deedResume       deed = "resume"
)

// do does it. Which run a resume is for is looked up, as `etl resume` does.
func (k *kit) do(ctx context.Context, text string, d deed) (*run.Summary, error) {
	if d == deedResume {
		return k.resume(ctx)
	}
	pipe, err := pipeline.Parse("crash.yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	engine := run.New(pipe, k.config)
	switch d {
	case deedRun:
		return engine.Run(ctx, run.Options{})
	case deedRetryKeys, deedRetryPayload:
		return engine.Retry(ctx, run.RetryOptions{FromPayload: d == deedRetryPayload})
	case deedResume:
	}
	return nil, fmt.Errorf("%q is nothing to do", d)
}

func (k *kit) resume(ctx context.Context) (*run.Summary, error) {
	unfinished, err := k.store.Runs(ctx, state.RunFilter{Unfinished: true})
	if err != nil {
		return nil, err
	}
	if len(unfinished) != 1 {
		return nil, fmt.Errorf("%d runs are unfinished, want 1", len(unfinished))
	}
	pipe, err := pipeline.Parse(unfinished[0].File, unfinished[0].Definition)
	if err != nil {
		return nil, err
	}
	return run.New(pipe, k.config).Resume(ctx, unfinished[0].ID)
}

// patiently repeats a deed while the pipeline's lock is still held: Postgres takes a moment to see that
// a killed process is gone.
func patiently(ctx context.Context, do func() (*run.Summary, error)) (*run.Summary, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		summary, err := do()
		var held *state.HeldError
		if !errors.As(err, &held) {
			return summary, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(err, context.Cause(ctx))
		}
	}
}
