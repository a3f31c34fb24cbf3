package bench

import (
	"context"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
)

// overlap is when the stages of a run came to pass, since its start; tail is from
// the end of the last job to its own.
type overlap struct{ firstJob, extracted, tail time.Duration }

// overlap reads it from the run's tables, and from the org's jobs.
func (l *load) overlap(ctx context.Context, o *org) (overlap, error) {
	ids, extracted, err := l.jobs(ctx)
	if err != nil {
		return overlap{}, err
	}
	s := o.newSender()
	defer s.close()
	if err := s.login(ctx); err != nil {
		return overlap{}, err
	}
	var first, last time.Time
	for _, id := range ids {
		var job struct {
			Created  orgTime `json:"createdDate"`
			Modified orgTime `json:"systemModstamp"`
		}
		if err := s.ask(ctx, http.MethodGet, jobsPath+id, "", nil, &job); err != nil {
			return overlap{}, err
		}
		if created := time.Time(job.Created); first.IsZero() || created.Before(first) {
			first = created
		}
		if modified := time.Time(job.Modified); modified.After(last) {
			last = modified
		}
	}
	return overlap{firstJob: first.Sub(l.begun), extracted: extracted.Sub(l.begun), tail: l.begun.Add(l.wall).Sub(last)}, nil
}

// jobs are the ids of the run's jobs, and when its last row was read.
func (l *load) jobs(ctx context.Context) (ids []string, extracted time.Time, err error) {
	conn, err := pgx.Connect(ctx, l.state)
	if err != nil {
		return nil, extracted, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, `
		SELECT array_agg(c.job_id), max(s.extracted_at)
		FROM etl.chunks c JOIN etl.steps s ON s.id = c.step_id
		WHERE c.run_id = $1 AND c.job_id IS NOT NULL`, l.summary.ID).Scan(&ids, &extracted)
	return ids, extracted, err
}

// orgTime is a time as the API writes it: its offset has no colon.
type orgTime time.Time

// UnmarshalJSON reads it.
func (t *orgTime) UnmarshalJSON(text []byte) error {
	parsed, err := time.Parse(`"2006-01-02T15:04:05.000-0700"`, string(text))
	*t = orgTime(parsed)
	return err
}
