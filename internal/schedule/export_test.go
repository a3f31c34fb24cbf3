package schedule

import (
	"context"
	"time"
)

// Tick looks once, as Run does again and again, and says when something is due next.
func (s *Server) Tick(ctx context.Context) time.Time { return s.tick(ctx) }

// Attend takes note of attempts that end, until each of those that go on has parked: parked counts them,
// and park tells of one more.
func (s *Server) Attend(ctx context.Context, parked *int, park <-chan struct{}) {
	for len(s.running)-len(s.unrecorded) > *parked {
		select {
		case <-park:
			*parked++
		case e := <-s.ended:
			s.settle(ctx, e)
		}
	}
}

// Stop stops the server whose context has ended.
func (s *Server) Stop(ctx context.Context) error { return s.stop(ctx) }

// Crash leaves everything as a process leaves it that dies: nothing more is written down.
func (s *Server) Crash(ctx context.Context) {
	for range len(s.running) - len(s.unrecorded) {
		<-s.ended
	}
	s.abdicate(ctx)
}

// Decide is what is done about what has come due between two instants.
func (p Plan) Decide(since, now time.Time, busy bool) (fires []string) {
	last, n, _ := p.due(since, now)
	for _, f := range p.decide(last, n, now, busy) {
		text := f.At.Format("02 15:04 ") + string(f.State)
		if f.Waits {
			text += " waits"
		}
		if f.Missed > 0 {
			text += " missed"
		}
		fires = append(fires, text)
	}
	return fires
}
