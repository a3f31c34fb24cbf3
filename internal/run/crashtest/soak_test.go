package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/internal/emulator"
	"bulkhead/internal/pgtest"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// The environment of a soak. soakRoundVar plays one round of a seed again, and nothing else.
const (
	soakForVar   = "SOAK_FOR"
	soakSeedVar  = "SOAK_SEED"
	soakRoundVar = "SOAK_ROUND"
)

// soak counts what the rounds did.
type soak struct {
	seed  uint64
	until time.Time
	lot   *lot

	mu                                            sync.Mutex
	begun                                         uint64
	rounds, kills, faults, records, lost, doubled int
	said                                          time.Time
}

func (s *soak) String() string {
	return fmt.Sprintf("rounds %d, kills %d, faults injected %d, records %d, records lost %d, doubled %d",
		s.rounds, s.kills, s.faults, s.records, s.lost, s.doubled)
}

// TestSoak runs loads of random shape under random faults, kills their processes at random points and
// at random times, and counts what is lost or doubled in the end.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv(soakForVar))
	if err != nil {
		t.Skipf("%s says for how long, such as 10m", soakForVar)
	}
	s := &soak{seed: soakSeed(t), until: time.Now().Add(length), lot: newLot(t), said: time.Now()}
	fmt.Printf("soak: %s=%d\n", soakSeedVar, s.seed)
	t.Cleanup(func() { fmt.Printf("soak: %s=%d: %s\n", soakSeedVar, s.seed, s) })
	if text := os.Getenv(soakRoundVar); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", soakRoundVar, err)
		}
		s.round(t, n)
		return
	}
	for i := range 2 * runtime.GOMAXPROCS(0) { // they wait for each other and for timers most of the time
		t.Run(fmt.Sprint("worker ", i), func(t *testing.T) {
			t.Parallel()
			for n, more := s.next(t); more; n, more = s.next(t) {
				t.Run(fmt.Sprint("round ", n), func(t *testing.T) { s.round(t, n) })
			}
		})
	}
}

// soakSeed is the seed that the environment names, or a new one.
func soakSeed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv(soakSeedVar)
	if text == "" {
		return uint64(time.Now().UnixNano())
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", soakSeedVar, err)
	}
	return seed
}

func (s *soak) next(t *testing.T) (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.said) > 10*time.Second {
		s.said = time.Now()
		fmt.Printf("soak: %s\n", s)
	}
	s.begun++
	return s.begun, time.Now().Before(s.until) && !t.Failed()
}

// round is one load, and perhaps a retry of what did not load, with all that happens to it.
func (s *soak) round(t *testing.T, n uint64) {
	random := rand.New(rand.NewPCG(s.seed, n))
	size := soakSize{accounts: 1 + random.IntN(60), tasks: 1 + random.IntN(200), rows: 3 + random.IntN(25), parallel: 1 + random.IntN(5)}
	st := size.scenario().setUp(t, s.lot)
	s.attack(t, st, random)
	if random.IntN(2) == 0 {
		pgtest.Exec(t, st.DSN, soakMend)
		st.before = st.runs(t)[0].ID
		st.begin = deedRetryKeys
		s.attack(t, st, random)
	}
	lost, doubled := st.balance(t, size)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rounds++
	s.records += size.accounts + size.tasks
	s.lost += len(lost)
	s.doubled += len(doubled)
	if len(lost)+len(doubled) > 0 || t.Failed() {
		t.Errorf("%s=%d %s=%d: lost %v, doubled %v", soakSeedVar, s.seed, soakRoundVar, n, lost, doubled)
	}
}

// attack does what is next on a stage until it is done, under faults and kills.
func (s *soak) attack(t *testing.T, st *stage, random *rand.Rand) {
	hanging := false
	for range random.IntN(6) {
		f := randomFault(random)
		hanging = hanging || f.Do == emulator.DoHang || f.Do == emulator.DoJobStick
		st.faults(t, []emulator.Fault{f})
	}
	points := soakPoints()
	for range random.IntN(5) {
		todo, ok := st.next(t)
		if !ok {
			break
		}
		at := kill{points[random.IntN(len(points))], 1 + random.IntN(12)}
		var interrupt func(*os.Process)
		if hanging || random.IntN(3) == 0 {
			interrupt = killAfter(time.Duration(random.IntN(1200)) * time.Millisecond)
		}
		if killed, _ := spawn(t, task{Place: st.place, Pipeline: st.text, Do: todo, Kill: at}, interrupt); killed {
			s.mu.Lock()
			s.kills++
			s.mu.Unlock()
		}
	}
	struck := 0
	for _, f := range st.server.Faults() {
		struck += f.Struck
		if f.Do == emulator.DoHang || f.Do == emulator.DoJobStick || random.IntN(2) == 0 {
			st.server.RemoveFault(f.ID)
		}
	}
	st.server.Release()
	st.finish(t, func(error) {}) // what stopped it passes
	for _, f := range st.server.Faults() {
		struck += f.Struck
	}
	st.server.RemoveFault("")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults += struck
}

// killAfter kills a process in a while; one that has ended by then is let be.
func killAfter(d time.Duration) func(*os.Process) {
	return func(p *os.Process) { time.AfterFunc(d, func() { _ = p.Kill() }) }
}

// soakPoints are the points that the code names.
func soakPoints() []string {
	points := slices.Concat(run.Points(), requests())
	for _, write := range state.Writes() {
		points = append(points, write.Points()...)
	}
	return points
}

// randomFault is something that may happen to a request, a record or a job, and that passes.
func randomFault(random *rand.Rand) emulator.Fault {
	f := emulator.Fault{Skip: random.IntN(20), Times: 1 + random.IntN(3)}
	switch random.IntN(3) {
	case 0:
		f.On = emulator.OnRow
		f.Every = 1 + random.IntN(9)
		f.Code = pick(random, "", "", "FIELD_CUSTOM_VALIDATION_EXCEPTION")
		f.Message = "no"
		f.Times = 1 + random.IntN(20)
	case 1:
		f.On = emulator.OnJob
		f.Do = pick(random, emulator.DoJobFail, emulator.DoJobAbort, emulator.DoJobStick, emulator.DoLagResults, emulator.DoLagCounters)
		f.Skip, f.Batches, f.After = random.IntN(5), random.IntN(3), 1+random.IntN(2)
		f.Message = pick(random, "ServerUnavailable : try later", "InternalServerError : broken")
	default:
		f.Method = pick(random, "POST", "PUT", "PATCH", "GET")
		f.Path = "/jobs/ingest"
		f.Do = pick(random, emulator.DoCutBefore, emulator.DoCutAfter, emulator.DoCutBody, emulator.DoTruncate, emulator.DoHang, emulator.DoStatus)
		f.Status = pick(random, 500, 503, 429)
		f.After = random.IntN(200)
	}
	return f
}

func pick[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }

// soakSize is the shape of one load.
type soakSize struct{ accounts, tasks, rows, parallel int }

// soakMend mends, in the source, what was rejected.
const soakMend = `UPDATE accounts SET name = 'mended' WHERE name = '#N/A'`

func (z soakSize) scenario() scenario {
	chunk := fmt.Sprintf("chunk: { rows: %d, parallel: %d }", z.rows, z.parallel)
	return scenario{
		begin: deedRun,
		pipeline: strings.ReplaceAll(`name: crash
steps:
  - name: accounts
    object: Account
    operation: upsert
    external_id: Legacy_Id__c
    query: SELECT id, name FROM accounts
    key: id
    fields:
      Legacy_Id__c: id
      Name: name
    CHUNK
  - name: tasks
    object: Task
    operation: insert
    query: SELECT id, about FROM tasks
    key: id
    fields:
      Subject: id
      Description: about
    CHUNK
`, "CHUNK", chunk),
		source: fmt.Sprintf(`CREATE TABLE accounts AS SELECT i AS id, CASE WHEN i %% 10 = 0 THEN '#N/A' ELSE 'Account ' || i END AS name FROM generate_series(1, %d) AS i;
			CREATE TABLE tasks AS SELECT i AS id, repeat('t', 200) AS about FROM generate_series(1, %d) AS i;
			ALTER TABLE tasks ADD PRIMARY KEY (id);`, z.accounts, z.tasks),
	}
}

// balance checks the tables, the spool and the jobs, and returns the records that are nowhere and those
// that are in two places, or twice in one.
func (st *stage) balance(t *testing.T, z soakSize) (lost, doubled []string) {
	t.Helper()
	for _, r := range st.runs(t) {
		st.verifyBooks(t, r)
	}
	st.verifySpool(t)
	st.verifyJobs(t)
	places := map[string]int{}
	for _, value := range st.org(t, "Account.Legacy_Id__c") {
		places["accounts "+value]++
	}
	for _, value := range st.org(t, "Task.Subject") {
		places["tasks "+value]++
	}
	for name, text := range st.notLoaded(t) {
		places[name] += 1 + strings.Count(text, ", and ")
	}
	expect := func(step string, rows int) {
		for i := 1; i <= rows; i++ {
			name := fmt.Sprintf("%s %d", step, i)
			if places[name] == 0 {
				lost = append(lost, name)
			}
			if places[name] > 1 {
				doubled = append(doubled, name)
			}
			delete(places, name)
		}
	}
	expect("accounts", z.accounts)
	expect("tasks", z.tasks)
	for name := range places {
		t.Errorf("%s is nothing that was read", name)
	}
	return lost, doubled
}
