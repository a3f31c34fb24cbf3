package run_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// newProxy puts a network that can be poisoned in front of a TCP address.
func newProxy(t *testing.T, upstream string) *toxiproxy.Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "network", "127.0.0.1:0", upstream)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return proxy
}

// toxics are what the network does, both ways where it matters. The reset and the cut come back on every
// connection.
func toxics() map[string][]string {
	return map[string][]string{
		"latency":    {`{"name":"a","type":"latency","stream":"downstream","attributes":{"latency":10,"jitter":5}}`},
		"bandwidth":  {`{"name":"a","type":"bandwidth","stream":"upstream","attributes":{"rate":200}}`},
		"reset peer": {`{"name":"a","type":"reset_peer","stream":"downstream","attributes":{"timeout":60}}`},
		"limit data": {`{"name":"a","type":"limit_data","stream":"downstream","attributes":{"bytes":6000}}`},
		"timeout":    {`{"name":"a","type":"timeout","stream":"downstream","toxicity":0.3,"attributes":{"timeout":0}}`},
		"slicer":     {`{"name":"a","type":"slicer","stream":"upstream","attributes":{"average_size":64,"size_variation":32,"delay":10}}`},
	}
}

func poison(t *testing.T, proxy *toxiproxy.Proxy, all []string) {
	t.Helper()
	for _, toxic := range all {
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNetworkToTheOrg poisons the network between us and the org for the whole of a run. A network that
// is bad for good may end the run; once it is good again, the resume loses and doubles nothing.
func TestNetworkToTheOrg(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 60)
	n := 0
	for name, toxic := range toxics() {
		n++
		pipeline := fmt.Sprintf("org-%d", n)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := b.fork(t, emulator.Config{})
			proxy := newProxy(t, strings.TrimPrefix(c.server.URL(), "http://"))
			c.login(t, "http://"+proxy.Listen)
			if !strings.Contains(c.org.InstanceURL(), proxy.Listen) {
				t.Fatalf("the org is at %s, around the proxy", c.org.InstanceURL())
			}
			poison(t, proxy, toxic)
			impatient := parse(t, cell(pipeline))
			impatient.Steps[0].JobTimeout = time.Second
			s, err := run.New(impatient, c.config).Run(t.Context(), run.Options{})
			if s != nil && s.State == state.RunInconsistent {
				t.Fatalf("%v, %+v", err, s.Run)
			}
			proxy.Toxics.ResetToxics(t.Context())
			c.login(t, c.server.URL())
			if err != nil {
				s = c.finish(t, c.engine(t, cell(pipeline)), s, err)
			}
			c.mustBalance(t, s)
			c.mustHave(t, s)
		})
	}
	t.Run("connection refused", func(t *testing.T) {
		t.Parallel()
		c := b.fork(t, emulator.Config{})
		proxy := newProxy(t, strings.TrimPrefix(c.server.URL(), "http://"))
		c.login(t, "http://"+proxy.Listen)
		stuck := c.fault(t, emulator.Fault{On: emulator.OnJob, Do: emulator.DoJobStick, Skip: 1, Times: 1})
		var down sync.WaitGroup
		down.Go(func() {
			until(t, func() bool { return c.struck(stuck.ID) > 0 })
			proxy.Stop()
			c.server.Release()
		})
		impatient := parse(t, cell("org-refused"))
		impatient.Steps[0].JobTimeout = 100 * time.Millisecond
		s, err := run.New(impatient, c.config).Run(t.Context(), run.Options{})
		down.Wait()
		if err == nil || s == nil || s.State == state.RunInconsistent || !s.Unfinished {
			t.Fatalf("got %v, %+v", err, s)
		}
		c.login(t, c.server.URL())
		s = c.finish(t, c.engine(t, cell("org-refused")), s, err)
		c.mustBalance(t, s)
		c.mustHave(t, s)
	})
}

// TestNetworkToTheDatabases poisons the network to the source, and to the state database.
func TestNetworkToTheDatabases(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"source", "state"} {
		for name, toxic := range toxics() {
			if name == "timeout" {
				continue // a server that is silent for good is told by TCP's keepalive, in minutes
			}
			t.Run(which+" "+name, func(t *testing.T) {
				t.Parallel()
				b := setup(t, emulator.Config{BatchSize: 10})
				b.people(t, 60)
				proxy := newProxy(t, newWire(t, b.dsn).addr())
				via := dsnVia(proxy.Listen, b.store.Pool().Config().ConnConfig)
				direct := *b
				if which == "state" {
					b.stateVia(t, via)
					b.config.StateWait = 300 * time.Millisecond
				} else {
					b.config.Source = via
				}
				var poisoned sync.WaitGroup
				if which == "state" {
					// The start is made in peace: before it there is nothing to lose.
					hold := b.fault(t, emulator.Fault{Method: "POST", Path: "/jobs/ingest", Do: emulator.DoHang, Times: 1})
					poisoned.Go(func() {
						until(t, func() bool { return b.struck(hold.ID) > 0 })
						poison(t, proxy, toxic)
						b.server.Release()
					})
				} else {
					poison(t, proxy, toxic)
				}
				s, err := b.engine(t, cell("net")).Run(t.Context(), run.Options{})
				poisoned.Wait()
				if s != nil && s.State == state.RunInconsistent {
					t.Fatalf("%v, %+v", err, s.Run)
				}
				proxy.Toxics.ResetToxics(t.Context())
				if err != nil {
					direct.finishLatest(t, cell("net"))
				}
				runs, err := direct.store.Runs(t.Context(), state.RunFilter{Limit: 1})
				if err != nil || len(runs) != 1 || runs[0].State != state.RunCompletedWithFailures || !runs[0].Balanced() || direct.count(t, "FROM Account") != runs[0].Loaded || runs[0].Loaded != 57 {
					t.Errorf("got %+v, %v; the org has %d", runs, err, direct.count(t, "FROM Account"))
				}
			})
		}
	}
}

// finishLatest resumes the unfinished run, or starts one.
func (b *bundle) finishLatest(t *testing.T, yaml string) {
	t.Helper()
	runs, err := b.store.Runs(t.Context(), state.RunFilter{Unfinished: true})
	if err != nil {
		t.Fatal(err)
	}
	var s *run.Summary
	if len(runs) > 0 {
		s, err = b.engine(t, yaml).Resume(t.Context(), runs[0].ID)
	} else {
		s, err = b.engine(t, yaml).Run(t.Context(), run.Options{})
	}
	mustComplete(t, s, err, state.RunCompletedWithFailures)
}
