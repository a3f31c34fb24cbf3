package run_test

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

// nightChecks is how many histories are played unless -rapid.checks says otherwise.
const nightChecks = "4"

// TestAfterAQuietNightTheOrgIsTheSource plays random days and nights: rows come, change and go, the org
// refuses some, nights are cut short and finished or given up. After a night without trouble, and a
// retry where only changed rows are read, every row of the source is in the org as it is, and the night
// after that sends nothing.
func TestAfterAQuietNightTheOrgIsTheSource(t *testing.T) {
	t.Parallel()
	if given := flag.Lookup("rapid.checks"); given.Value.String() == given.DefValue {
		if err := given.Value.Set(nightChecks); err != nil {
			t.Fatal(err)
		}
	}
	b := setup(t, emulator.Config{})
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		h := &history{t: t, b: b, first: n * 1000, table: fmt.Sprintf("people_%d", n)}
		h.begin(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"insert": h.insert, "update": h.update, "delete": h.remove, "take back": h.takeBack,
			"refuse": h.refuse, "night": h.night, "cut night": h.cutNight, "quiet night": h.quietNight,
		})
		h.quietNight(rt)
	})
}

// history is one source and what was done to it.
type history struct {
	t          *testing.T
	b          *bundle
	first      int // of the ids of this history
	table      string
	yaml       string
	byHash     bool
	unfinished bool
	last       int
}

func (h *history) begin(rt *rapid.T) {
	changes := rapid.SampledFrom([]string{"{ by: hash }", "{ by: updated_at }", "{ by: version }", "{ by: updated_at, hash: true }", "{ by: version, hash: true }"}).Draw(rt, "changes")
	h.byHash, h.last = changes == byHash, h.first
	yaml := strings.NewReplacer("FROM people", "FROM "+h.table, "name: people", "name: "+h.table, "SELECT id,", "SELECT key, id,", "key: id", "key: key").Replace(changing(changes))
	h.yaml = strings.Replace(yaml, "rows: 10", fmt.Sprintf("rows: %d", rapid.IntRange(1, 12).Draw(rt, "chunk")), 1)
	h.exec(`CREATE SEQUENCE IF NOT EXISTS versions;
		CREATE TABLE people (key text PRIMARY KEY, id int, name text, site text, updated_at timestamptz DEFAULT now(), version bigint DEFAULT nextval('versions'));
		CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := now(); NEW.version := nextval('versions'); RETURN NEW; END $$;
		CREATE TRIGGER stamp BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION stamp()`)
	h.insert(rt)
}

func (h *history) exec(sql string) {
	h.b.exec(h.t, strings.NewReplacer("TABLE people", "TABLE "+h.table, "ON people", "ON "+h.table, "INTO people", "INTO "+h.table,
		"UPDATE people", "UPDATE "+h.table, "FROM people", "FROM "+h.table).Replace(sql))
}

func (h *history) insert(rt *rapid.T) {
	for range rapid.IntRange(1, 8).Draw(rt, "rows") {
		h.last++
		prefix := rapid.SampledFrom([]string{"a", "B", "é", "_", "-", "0"}).Draw(rt, "key")
		h.exec(fmt.Sprintf(`INSERT INTO people (key, id, name) VALUES ('%s%d', %d, 'One')`, prefix, h.last, h.last))
	}
}

func (h *history) some(rt *rapid.T) string {
	ids := rapid.SliceOfN(rapid.IntRange(h.first+1, h.last), 1, 4).Draw(rt, "ids")
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ","), "[]")
}

func (h *history) update(rt *rapid.T) {
	h.exec(fmt.Sprintf(`UPDATE people SET name = name || '+' WHERE id IN (%s) AND length(name) < 60`, h.some(rt)))
}

func (h *history) takeBack(rt *rapid.T) {
	h.exec(fmt.Sprintf(`UPDATE people SET name = 'One' WHERE id IN (%s)`, h.some(rt)))
}

func (h *history) remove(rt *rapid.T) {
	h.exec(fmt.Sprintf(`DELETE FROM people WHERE id IN (%s)`, h.some(rt)))
}

// refuse lets the org refuse some records, for good or for a while.
func (h *history) refuse(rt *rapid.T) {
	f := emulator.Fault{On: emulator.OnRow, Field: "Legacy_Id__c", Keys: strings.Split(h.some(rt), ",")}
	if rapid.Bool().Draw(rt, "passing") {
		f.Times = 1
	} else {
		f.Code, f.Message = "FIELD_CUSTOM_VALIDATION_EXCEPTION", "no"
	}
	h.b.fault(h.t, f)
}

// night runs the pipeline as the org is, going on with the one before where that was cut short.
func (h *history) night(rt *rapid.T) {
	var s *run.Summary
	var err error
	if h.unfinished && rapid.Bool().Draw(rt, "resume") {
		runs, listErr := h.b.store.Runs(h.t.Context(), state.RunFilter{Pipeline: h.table, Unfinished: true})
		if listErr != nil || len(runs) != 1 {
			rt.Fatalf("unfinished %v, %v", runs, listErr)
		}
		s, err = h.b.engine(h.t, h.yaml).Resume(h.t.Context(), runs[0].ID)
	} else {
		s, err = h.b.engine(h.t, h.yaml).Run(h.t.Context(), run.Options{Abandon: true})
	}
	if err != nil && !errors.Is(err, run.ErrIncomplete) {
		rt.Fatal(err)
	}
	h.unfinished = s.Unfinished
	if err == nil && !s.Balanced() {
		rt.Fatalf("the books: %s", s.Counts)
	}
}

// cutNight is a night in which a request of a random kind fails for good.
func (h *history) cutNight(rt *rapid.T) {
	f := emulator.Fault{Do: emulator.DoStatus, Status: 400, Code: "INVALIDREQUEST", Skip: rapid.IntRange(0, 3).Draw(rt, "skip")}
	switch rapid.IntRange(0, 3).Draw(rt, "request") {
	case 0:
		f.Method, f.Path = "POST", "/jobs/ingest"
	case 1:
		f.Method, f.Path = "PUT", "/batches"
	case 2:
		f.Method, f.Path = "GET", "failedResults"
	case 3:
		f.Method, f.Path = "PATCH", "/jobs/ingest"
	}
	f = h.b.fault(h.t, f)
	h.night(rt)
	h.b.server.RemoveFault(f.ID)
}

func (h *history) quietNight(rt *rapid.T) {
	h.b.server.RemoveFault("")
	s, err := h.b.engine(h.t, h.yaml).Run(h.t.Context(), run.Options{Abandon: true})
	if err != nil || s.State != state.RunSucceeded {
		rt.Fatalf("a quiet night: %v, %+v", err, s)
	}
	h.unfinished = false
	if !h.byHash {
		if _, err := h.b.engine(h.t, h.yaml).Retry(h.t.Context(), run.RetryOptions{}); err != nil && !errors.Is(err, run.ErrNothingToRetry) {
			rt.Fatal(err)
		}
	}
	h.compare(rt)
	s, err = h.b.engine(h.t, h.yaml).Run(h.t.Context(), run.Options{})
	if err != nil || s.Loaded > 0 {
		rt.Fatalf("a night after a quiet one: %v, %+v", err, s)
	}
}

// compare holds every row of the source against its record in the org.
func (h *history) compare(rt *rapid.T) {
	rows, err := h.b.store.Pool().Query(h.t.Context(), `SELECT id::text || '|' || name FROM `+h.table)
	if err != nil {
		rt.Fatal(err)
	}
	defer rows.Close()
	has := h.b.soql(h.t, "Legacy_Id__c, Name", fmt.Sprintf("FROM Account WHERE Legacy_Id__c LIKE '%d%%'", h.first/1000))
	for rows.Next() {
		var want string
		if err := rows.Scan(&want); err != nil {
			rt.Fatal(err)
		}
		if !slices.Contains(has, want) {
			rt.Errorf("the source has %s, the org %v", want, has)
		}
	}
	if err := rows.Err(); err != nil {
		rt.Fatal(err)
	}
}
