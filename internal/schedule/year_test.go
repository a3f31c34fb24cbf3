package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"bulkhead/internal/pgtest"
	"bulkhead/internal/schedule"
	"bulkhead/internal/state"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// nightly is a schedule of the simulated year, with the time on the wall at which it is due.
type nightly struct {
	plan         schedule.Plan
	hour, minute int
	zone         *time.Location
}

func newNightly(tb testing.TB, in string, hour, minute int, plan schedule.Plan) nightly {
	plan.Cron, plan.Timezone = fmt.Sprintf("%d %d * * *", minute, hour), in
	plan.Times = times(tb, plan.Cron, in)
	return nightly{plan: plan, hour: hour, minute: minute, zone: zone(tb, in)}
}

// due walks through the minutes of a year: the first of each day at which the clock on the wall has come
// to the time.
func (n nightly) due(from, to time.Time) []time.Time {
	var list []time.Time
	day := -1
	for at := from.In(n.zone); at.Before(to); at = at.Add(time.Minute) {
		if hour, minute, _ := at.Clock(); at.YearDay() != day && 60*hour+minute >= 60*n.hour+n.minute {
			day = at.YearDay()
			if at.After(from) {
				list = append(list, at)
			}
		}
	}
	return list
}

// Ways for a machine to go down.
var (
	errCrash = errors.New("the machine lost its power")
	errStop  = errors.New("the server was told to stop")
)

// world is a year of two machines that serve the same schedules from one database.
type world struct {
	t        *testing.T
	random   *rand.Rand
	plans    []schedule.Plan
	now      time.Time
	machines []*machine
	crashes  int

	mu    sync.Mutex
	begun map[int64]time.Time // of a fire, when its first run began
}

// machine is up or down, and runs what its server starts.
type machine struct {
	world  *world
	store  *state.Store
	server *schedule.Server // nil: it is down
	ctx    context.Context
	cancel context.CancelCauseFunc
	tick   time.Time // when to look next
	toggle time.Time // when it goes down or up next
	parked int
	park   chan struct{}

	mu    sync.Mutex
	loads []*load // that go on
}

// load is a run that takes its time.
type load struct {
	end  time.Time
	done chan struct{}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// between is a random length of time.
func (w *world) between(least, most time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return least + time.Duration(w.random.Int64N(int64(most-least)))
}

// quiet is whether nothing is near that could disturb a run: no machine goes down or comes up within hours.
func (w *world) quiet() bool {
	for _, m := range w.machines {
		if m.toggle.Sub(w.now) < 6*time.Hour {
			return false
		}
	}
	return true
}

// Start is what a real run does first: it begins in the transaction that checks the claim. On quiet nights
// it does without the session of its own that locks the pipeline, which is what takes time in a test.
func (m *machine) Start(ctx context.Context, pipeline string, claim state.Claim) (schedule.Outcome, error) {
	if m.world.quiet() {
		return m.loadInPeace(ctx, pipeline, claim)
	}
	lease, err := m.store.Start(ctx, state.NewRun{
		Pipeline: pipeline, File: "f", Trigger: state.TriggerSchedule, Claim: &claim,
		Steps: []state.NewStep{{Name: "s", Object: "Account", Operation: "upsert"}},
	})
	if err != nil {
		return schedule.Outcome{}, err
	}
	m.world.begins(claim)
	return m.load(ctx, lease)
}

func (w *world) begins(claim state.Claim) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, again := w.begun[claim.Fire]; !again {
		w.begun[claim.Fire] = w.now
	}
}

// loadInPeace is a run that nothing disturbs.
func (m *machine) loadInPeace(ctx context.Context, pipeline string, claim state.Claim) (schedule.Outcome, error) {
	outcome := schedule.Outcome{State: state.RunSucceeded}
	const begin = `WITH run AS (INSERT INTO etl.runs (pipeline, state, trigger, host, pid, file, definition)
			VALUES ($1, 'running', 'schedule', '', 1, 'f', '') RETURNING id)
		UPDATE etl.fires SET state = 'running', run_id = run.id FROM run
		WHERE fires.id = $2 AND epoch = $3 AND fires.state IN ('claimed', 'running') RETURNING run.id`
	if err := m.store.Pool().QueryRow(ctx, begin, pipeline, claim.Fire, claim.Epoch).Scan(&outcome.Run); err != nil {
		return outcome, err
	}
	m.world.begins(claim)
	<-m.add().done
	_, err := m.store.Pool().Exec(ctx, `UPDATE etl.runs SET state = 'succeeded', finished_at = now() WHERE id = $1`, outcome.Run)
	return outcome, err
}

// add is one more load that goes on, for a while.
func (m *machine) add() *load {
	l := &load{end: m.world.clock().Add(m.world.between(time.Minute, 50*time.Minute)), done: make(chan struct{})}
	m.mu.Lock()
	m.loads = append(m.loads, l)
	m.mu.Unlock()
	m.park <- struct{}{}
	return l
}

func (m *machine) Resume(ctx context.Context, run int64) (schedule.Outcome, error) {
	lease, err := m.store.Take(ctx, run)
	if err != nil {
		return schedule.Outcome{}, err
	}
	return m.load(ctx, lease)
}

// load goes on until its time has come or the machine goes down.
func (m *machine) load(ctx context.Context, lease *state.Lease) (schedule.Outcome, error) {
	after := context.WithoutCancel(ctx)
	defer lease.Release(after)
	l := m.add()
	outcome := schedule.Outcome{Run: lease.RunID(), State: state.RunSucceeded}
	select {
	case <-l.done:
		return outcome, lease.FinishRun(after, outcome.State, "", 1)
	case <-ctx.Done():
	}
	if m.world.between(0, 3) > 0 { // it had sent something by then
		steps, err := m.store.Steps(after, outcome.Run)
		if err != nil {
			return outcome, err
		}
		_, err = lease.AddRange(after, steps[0].ID, int(m.world.between(1, 1e9)), state.Spooled{File: "f", High: []string{"1"}, RowsSent: 1},
			func(pgx.Tx, int64) error { return nil })
		if err != nil {
			return outcome, err
		}
	}
	if errors.Is(context.Cause(ctx), errCrash) {
		return schedule.Outcome{}, errCrash
	}
	outcome.State = state.RunInterrupted
	return outcome, lease.FinishRun(after, outcome.State, "", 1)
}

// ended lets the loads end whose time has come, and reports whether there were any.
func (m *machine) ended() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.loads)
	m.loads = slices.DeleteFunc(m.loads, func(l *load) bool {
		if l.end.After(m.world.now) {
			return false
		}
		close(l.done)
		m.parked--
		return true
	})
	return len(m.loads) < before
}

// next is when something happens on the machine.
func (m *machine) next() time.Time {
	at := m.toggle
	if m.server != nil && m.tick.Before(at) {
		at = m.tick
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.loads {
		if l.end.Before(at) {
			at = l.end
		}
	}
	return at
}

func (m *machine) up() {
	m.ctx, m.cancel = context.WithCancelCause(m.world.t.Context())
	m.server = schedule.New(schedule.Config{
		Store: m.store, Runner: m, Plans: func() []schedule.Plan { return m.world.plans }, Now: m.world.clock,
		Log: zaptest.NewLogger(m.world.t, zaptest.Level(zap.ErrorLevel)),
	})
	m.tick = m.world.now
	m.toggle = m.world.now.Add(m.world.between(time.Hour, 12*24*time.Hour))
}

// down takes the machine down, by its power or in good order.
func (m *machine) down() {
	ctx := m.world.t.Context()
	if m.world.between(0, 2) == 0 {
		m.cancel(errCrash)
		m.server.Crash(ctx)
		m.world.crashes++
	} else {
		m.cancel(errStop)
		if err := m.server.Stop(ctx); err != nil {
			m.world.t.Error(err)
		}
	}
	m.server, m.loads, m.parked = nil, nil, 0
	m.toggle = m.world.now.Add(m.world.between(time.Minute, 5*24*time.Hour))
}

// step brings the machine to the present, and reports whether it went down.
func (m *machine) step() (down bool) {
	if !m.toggle.After(m.world.now) {
		if m.server != nil {
			m.down()
			return true
		}
		m.up()
	}
	if m.server == nil {
		return false
	}
	if m.ended() {
		m.server.Attend(m.ctx, &m.parked, m.park)
		m.tick = m.world.now
	}
	if !m.tick.After(m.world.now) {
		m.tick = m.server.Tick(m.ctx)
		m.server.Attend(m.ctx, &m.parked, m.park)
	}
	if m.tick.IsZero() { // it stands by, until something happens
		m.tick = m.toggle
	}
	return false
}

// live lets the world go on to an instant.
func (w *world) live(until time.Time) {
	for {
		at := until
		for _, m := range w.machines {
			if next := m.next(); next.Before(at) {
				at = next
			}
		}
		w.mu.Lock()
		w.now = at
		w.mu.Unlock()
		if !at.Before(until) {
			return
		}
		for i, m := range w.machines {
			if m.step() { // the other notices within seconds
				w.machines[1-i].tick = w.now.Add(5 * time.Second)
			}
		}
	}
}

// TestYearOfNights runs a year of five schedules in five zones, through every change of the clocks, on two
// machines that crash, stop and come back, at times both down for days, against a real Postgres.
func TestYearOfNights(t *testing.T) {
	t.Parallel()
	nights := []nightly{
		newNightly(t, "Europe/Berlin", 2, 30, schedule.Plan{Pipeline: "berlin", CatchUp: schedule.CatchUpAll}),
		newNightly(t, "America/New_York", 2, 30, schedule.Plan{Pipeline: "new-york", CatchUp: schedule.CatchUpAll, Queue: true, Jitter: 20 * time.Minute}),
		newNightly(t, "Asia/Kolkata", 2, 0, schedule.Plan{Pipeline: "kolkata", CatchUp: schedule.CatchUpLatest, Queue: true}),
		newNightly(t, "Australia/Lord_Howe", 2, 15, schedule.Plan{Pipeline: "lord-howe", CatchUp: schedule.CatchUpAll, Queue: true}),
		newNightly(t, "UTC", 0, 0, schedule.Plan{Pipeline: "utc", CatchUp: schedule.CatchUpNone}),
	}
	begin := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	end := begin.AddDate(1, 0, 0)
	w := &world{
		t: t, random: rand.New(rand.NewPCG(2026, 5)), now: begin, begun: map[int64]time.Time{},
	}
	for _, n := range nights {
		w.plans = append(w.plans, n.plan)
	}
	dsn := pgtest.New(t)
	for range 2 {
		store, err := state.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.Close)
		m := &machine{world: w, store: store, park: make(chan struct{}, 100)}
		m.up()
		w.machines = append(w.machines, m)
	}
	w.live(end)
	// A quiet day, in which both are up, brings to an end what was left open.
	for _, m := range w.machines {
		if m.server == nil {
			m.up()
		}
		m.toggle = end.AddDate(0, 0, 2)
	}
	w.live(end.Add(12 * time.Hour))

	conn := pgtest.Conn(t, dsn)
	for _, n := range nights {
		checkYear(t, w, conn, n, n.due(begin, end.Add(12*time.Hour)))
	}
	if w.crashes < 10 {
		t.Errorf("only %d crashes", w.crashes)
	}
	for _, m := range w.machines {
		m.down()
	}
}

// checkYear holds the table of what became of each time against the times of the year.
func checkYear(t *testing.T, w *world, conn *pgx.Conn, n nightly, due []time.Time) {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT f.id, f.fire_at, f.state, f.missed, f.reason, coalesce(r.state, ''),
			(SELECT count(*) FROM etl.runs WHERE pipeline = f.pipeline AND state = 'succeeded'),
			(SELECT count(*) FROM etl.fires WHERE run_id = f.run_id)
		FROM etl.fires f LEFT JOIN etl.runs r ON r.id = f.run_id WHERE f.pipeline = $1 ORDER BY f.fire_at`, n.plan.Pipeline)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var accounted, done, skipped, missed, succeeded int
	for rows.Next() {
		var id int64
		var at time.Time
		var fireState, reason, runState string
		var before, ofRun int
		if err := rows.Scan(&id, &at, &fireState, &before, &reason, &runState, &succeeded, &ofRun); err != nil {
			t.Fatal(err)
		}
		accounted += before + 1
		missed += before
		if accounted > len(due) || !at.Equal(due[accounted-1]) {
			t.Fatalf("%s: %v is no time of the schedule, or not the %d. of them", n.plan.Pipeline, at, accounted)
		}
		switch {
		case fireState == "done" && runState == "succeeded" && ofRun == 1:
			done++
			if begun := w.begun[id]; begun.Before(n.plan.Start(at)) {
				t.Errorf("%s: what was due at %v began at %v", n.plan.Pipeline, n.plan.Start(at), begun)
			}
		case fireState == "skipped":
			skipped++
		default:
			t.Errorf("%s: what was due at %v is %s (%s), its run %s and that of %d", n.plan.Pipeline, at, fireState, reason, runState, ofRun)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%-9s %d times due, %d loaded, %d left out, %d missed", n.plan.Pipeline, len(due), done, skipped, missed)
	if accounted != len(due) || len(due) < 364 {
		t.Errorf("%s: %d times are accounted for, of %d", n.plan.Pipeline, accounted, len(due))
	}
	if succeeded != done {
		t.Errorf("%s: %d times were loaded in %d runs", n.plan.Pipeline, done, succeeded)
	}
	if n.plan.CatchUp == schedule.CatchUpAll && n.plan.Queue && done != len(due) {
		t.Errorf("%s: %d of %d times were loaded, though all are made up for", n.plan.Pipeline, done, len(due))
	}
}
