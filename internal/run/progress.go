package run

import (
	"sync"
	"sync/atomic"
	"time"
)

// Progress counts what a run has done so far. It is safe for concurrent use.
type Progress struct {
	mu    sync.Mutex
	steps []*StepProgress
}

// StepProgress counts one step's rows on their way. The counts of a resumed run include what was done
// before.
type StepProgress struct {
	Name, Object string
	StartedAt    time.Time

	read, rejected, uploaded, processed, jobFailed, chunks, settled atomic.Int64
	extracted                                                       atomic.Bool
	finished                                                        moment
	running                                                         sync.Map // job id -> *jobProgress
}

// moment is when something came to pass. The zero value is that it has not.
type moment struct{ at atomic.Pointer[time.Time] }

// Store notes the time of the first call with true.
func (m *moment) Store(passed bool) {
	if now := time.Now(); passed {
		m.at.CompareAndSwap(nil, &now)
	}
}

// since is the time from start until the moment, or until now where it has not come; passed says which.
func (m *moment) since(start time.Time) (took time.Duration, passed bool) {
	if at := m.at.Load(); at != nil {
		return at.Sub(start), true
	}
	return time.Since(start), false
}

type jobProgress struct{ processed, failed int64 }

// Counts is a reading of a step's progress, in rows unless said.
type Counts struct {
	Name      string `json:"step"`
	Object    string `json:"object"`
	Read      int64  `json:"rows_read"`
	Rejected  int64  `json:"rows_rejected"`
	Uploaded  int64  `json:"rows_uploaded"`
	Processed int64  `json:"rows_processed"` // by Salesforce, the failed ones included
	Failed    int64  `json:"rows_failed"`
	Chunks    int64  `json:"chunks"`
	Settled   int64  `json:"chunks_reconciled"`
	Extracted bool   `json:"extracted"` // Read is final
	Finished  bool   `json:"finished"`

	Elapsed time.Duration `json:"-"` // since the step began, until its end
}

// Steps reads the steps that have begun, in order.
func (p *Progress) Steps() []Counts {
	p.mu.Lock()
	steps := append([]*StepProgress(nil), p.steps...)
	p.mu.Unlock()
	counts := make([]Counts, len(steps))
	for i, s := range steps {
		counts[i] = s.counts()
	}
	return counts
}

func (p *Progress) begin(name, object string) *StepProgress {
	s := &StepProgress{Name: name, Object: object, StartedAt: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps = append(p.steps, s)
	return s
}

func (s *StepProgress) counts() Counts {
	c := Counts{
		Name: s.Name, Object: s.Object, Read: s.read.Load(), Rejected: s.rejected.Load(), Uploaded: s.uploaded.Load(),
		Processed: s.processed.Load(), Failed: s.jobFailed.Load(), Chunks: s.chunks.Load(), Settled: s.settled.Load(),
		Extracted: s.extracted.Load(),
	}
	c.Elapsed, c.Finished = s.finished.since(s.StartedAt)
	s.running.Range(func(_, job any) bool {
		c.Processed += job.(*jobProgress).processed
		c.Failed += job.(*jobProgress).failed
		return true
	})
	return c
}

// job notes how far a job has come; jobDone moves its counts to the step's.
// unchanged counts a row that was read and need not be sent.
func (s *StepProgress) unchanged() {
	s.read.Add(1)
	s.uploaded.Add(1)
	s.processed.Add(1)
}

func (s *StepProgress) job(id string, processed, failed int64) {
	s.running.Store(id, &jobProgress{processed, failed})
}

func (s *StepProgress) jobDone(id string, processed, failed int64) {
	s.running.Delete(id)
	s.processed.Add(processed)
	s.jobFailed.Add(failed)
}

// again takes back what was counted of records that a later chunk sends once more.
func (s *StepProgress) again(records int64) {
	s.chunks.Add(1)
	s.uploaded.Add(-records)
	s.processed.Add(-records)
	s.jobFailed.Add(-records)
}
