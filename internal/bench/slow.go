package bench

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
)

// What the org that takes time is like.
const (
	batchRows     = 10_000 // records that Salesforce makes one batch of
	batchParallel = 5
)

func (s *stage) startSlowOrg(ctx context.Context) (*org, error) {
	return s.startOrg(ctx, "--batch-latency", s.cfg.BatchTime.String(), "--batch-parallel", strconv.Itoa(batchParallel), "--latency", s.cfg.CallTime.String())
}

// measureSlow loads the table into an org that takes its time, and holds what it
// took against what the org needs for the batches alone. What it costs in calls and
// batches is held against what the plan says.
func measureSlow(ctx context.Context, b *bench) (err error) {
	o, err := b.stage.startSlowOrg(ctx)
	if err != nil {
		return err
	}
	defer func() { err = o.stopAfter(err) }()
	rows := b.cfg.Rows
	l, err := b.stage.prepare(ctx, o, pipeline(rows))
	if err != nil {
		return err
	}
	plan, err := l.plan(ctx, b.stage)
	if err != nil {
		return err
	}
	before, err := o.traffic(ctx)
	if err != nil {
		return err
	}
	if err := l.run(ctx, b.stage, "run", "bench"); err != nil {
		return err
	}
	after, err := o.traffic(ctx)
	if err != nil {
		return err
	}
	if err := l.expect(rows, 0); err != nil {
		return err
	}
	overlap, err := l.overlap(ctx, o)
	if err != nil {
		return err
	}
	b.logf("  %.2f s, %d API calls; rows were read until %.2f s, the first job was made at %.2f s", l.wall.Seconds(), l.summary.APICalls, overlap.extracted.Seconds(), overlap.firstJob.Seconds())
	b.add("slow", "wall, over the org's time for its batches", l.wall.Seconds(), "s", b.leastTime(rows).Seconds(), atMost(1.05))
	b.add("slow", "from the start to the first job", overlap.firstJob.Seconds(), "s", 0, nil)
	b.add("slow", "from the start to the last row read", overlap.extracted.Seconds(), "s", 0, nil)
	b.add("slow", "from the end of the last job to the end", overlap.tail.Seconds(), "s", 0, nil)
	b.addCosts(rows, l, plan)
	b.addTraffic(l, before, after)
	return nil
}

// plan is what `etl plan --json` tells of the cost.
type plan struct {
	Jobs     int64 `json:"jobs"`
	Batches  int64 `json:"bulk_batches"`
	APICalls int64 `json:"api_calls"`
}

func (l *load) plan(ctx context.Context, s *stage) (plan, error) {
	var p plan
	u, err := s.exec(ctx, nil, l.env, s.cfg.Etl, "plan", "bench", "--dir", l.dir, "--json")
	if err != nil {
		return p, err
	}
	err = json.Unmarshal(u.stdout, &p)
	return p, err
}

func (b *bench) addCosts(rows int64, l load, p plan) {
	step := l.summary.Steps[0]
	jobs := float64(step.Jobs)
	b.add("cost", "jobs, over those that the plan says", jobs, "", float64(p.Jobs), exactly(1))
	b.add("cost", "Bulk batches, over those that the plan says", float64(step.Batches), "", float64(p.Batches), exactly(1))
	b.add("cost", "Bulk batches, over ceil(rows / 10,000) of each job", float64(step.Batches), "", float64(batchesOf(rows, chunkRows)), exactly(1))
	b.add("cost", "API calls, over those that the plan says", float64(l.summary.APICalls), "", float64(p.APICalls), atMost(1))
	b.add("cost", "API calls per job", float64(l.summary.APICalls)/jobs, "", 0, atMost(20))
}

// batchesOf is how many batches jobs of a size take.
func batchesOf(rows, perJob int64) int64 {
	return rows/perJob*ceilDiv(perJob, batchRows) + ceilDiv(rows%perJob, batchRows)
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// traffic is what an org says of how it is used.
type traffic struct {
	Connections int64            `json:"connections"`
	Answers     int64            `json:"answers"`
	Compressed  int64            `json:"compressed_answers"`
	Bytes       int64            `json:"answered_bytes"`
	Downloads   map[string]int64 `json:"downloads"`
}

func (o *org) traffic(ctx context.Context) (traffic, error) {
	var state struct {
		Traffic traffic `json:"traffic"`
	}
	err := o.control(ctx, http.MethodGet, "state", "", &state)
	return state.Traffic, err
}

// addTraffic tells how a load used the network.
func (b *bench) addTraffic(l load, before, after traffic) {
	jobs := float64(l.summary.Steps[0].Jobs)
	// Jobs at once, and one beside them that looks at all.
	b.add("wire", "connections opened by a load", float64(after.Connections-before.Connections), "", 0, atMost(parallelJobs+1))
	b.add("wire", "downloads of failed results, per job", float64(after.Downloads["failedresults"]-before.Downloads["failedresults"])/jobs, "", 0, atMost(1))
	b.add("wire", "downloads of other results, per job", float64(others(after)-others(before))/jobs, "", 0, atMost(0))
	b.add("wire", "answers with a body that came compressed", percent(after.Compressed-before.Compressed, after.Answers-before.Answers), "%", 0, nil)
}

func others(t traffic) int64 {
	return t.Downloads["successfulresults"] + t.Downloads["unprocessedrecords"]
}

func percent(part, of int64) float64 { return 100 * float64(part) / float64(max(of, 1)) }
