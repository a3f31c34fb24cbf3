package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"bulkhead/internal/emulator"
)

// soakRowsVar says how many records the big load inserts.
const soakRowsVar = "SOAK_ROWS"

// faultShare is the share of all requests that fail.
const faultShare = 0.01

// lives bounds how many processes may work on the big load: a load that makes no progress must end too.
const lives = 1000

// TestSoakLoad inserts SOAK_ROWS records while its process is killed every few seconds and one request of
// a hundred fails in one way or another, and then counts every record in the org and in the reconciliation.
func TestSoakLoad(t *testing.T) {
	rows, err := strconv.Atoi(os.Getenv(soakRowsVar))
	if err != nil {
		t.Skipf("%s says how many records to insert, such as 1000000", soakRowsVar)
	}
	seed := soakSeed(t)
	fmt.Printf("soak-load: %s=%d %s=%d\n", soakRowsVar, rows, soakSeedVar, seed)
	random, begun := rand.New(rand.NewPCG(seed, 0)), time.Now()
	size := soakSize{tasks: rows, rows: max(1, min(5_000, rows/20)), parallel: 4}
	st := build(t, emulator.Config{Seed: int64(seed), BatchLatency: 300 * time.Millisecond, Limits: emulator.Limits{DailyAPIRequests: 1e9, DailyBatches: 1e9}})
	st.Silence = 5 * time.Second
	size.scenario().put(t, st)
	t.Cleanup(func() { st.kit.store.Close() })
	st.faults(t, loadFaults())

	kills := 0
	for life := 1; ; life++ {
		todo, more := st.next(t)
		if !more {
			break
		}
		if life > lives {
			t.Fatalf("%d processes did not bring the load to its end", lives)
		}
		killed, _ := spawn(t, task{Place: st.place, Pipeline: st.text, Do: todo}, killAfter(loadLife(random)))
		if killed {
			kills++
		}
		fmt.Printf("soak-load: %v: kills %d, faults injected %d, records in the org %d\n",
			time.Since(begun).Round(time.Second), kills, st.struck(), st.server.State().Records["Task"])
	}
	injected, calls := st.struck(), st.server.State().Calls
	st.server.RemoveFault("") // counting is no part of the load
	st.reopen(t)
	loaded, failed := st.server.State().Records["Task"], len(st.notLoaded(t))
	lost, doubled := st.balance(t, size)
	fmt.Printf("soak-load: records %d, kills %d, faults injected %d in %d requests, in the org %d, in reconciliation %d, records lost %d, doubled %d, took %v\n",
		rows, kills, injected, calls, loaded, failed, len(lost), len(doubled), time.Since(begun).Round(time.Second))
	if len(lost)+len(doubled) > 0 {
		t.Errorf("%s=%d: lost %.20q, doubled %.20q", soakSeedVar, seed, lost, doubled)
	}
}

// loadLife is how long a process of the big load lives.
func loadLife(random *rand.Rand) time.Duration {
	return time.Second + time.Duration(random.IntN(5000))*time.Millisecond
}

// struck counts the requests that met a fault.
func (st *stage) struck() int {
	n := 0
	for _, f := range st.server.Faults() {
		if f.On == emulator.OnRequest {
			n += f.Struck
		}
	}
	return n
}

// loadFaults let faultShare of the requests fail, each in one of the ways in which requests fail; some
// records too, for good or for a while.
func loadFaults() []emulator.Fault {
	faults := []emulator.Fault{
		{Do: emulator.DoCutBefore},
		{Do: emulator.DoCutAfter},
		{Do: emulator.DoCutBody, After: 40},
		{Do: emulator.DoTruncate},
		{Do: emulator.DoTruncate, After: 400},
		{Do: emulator.DoHang},
		{Do: emulator.DoStatus, Status: 500},
		{Do: emulator.DoStatus, Status: 502},
		{Do: emulator.DoStatus, Status: 503},
		{Do: emulator.DoStatus, Status: 429, RetryAfter: 1},
		{Do: emulator.DoStatus, Status: 401},
		{Do: emulator.DoStatus, Status: 403},
		{Do: emulator.DoStatus, Status: 200, Body: "<html><body>Down for maintenance</body></html>"},
	}
	for i := range faults {
		faults[i].Probability = faultShare / float64(len(faults))
	}
	return append(faults,
		emulator.Fault{On: emulator.OnRow, Every: 997, Code: "FIELD_CUSTOM_VALIDATION_EXCEPTION", Message: "no"},
		emulator.Fault{On: emulator.OnRow, Every: 499, Probability: 0.7},
	)
}
