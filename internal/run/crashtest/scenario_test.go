package crashtest

import (
	"fmt"
	"slices"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/pgtest"
	"bulkhead/internal/state"
)

// scenario is a load and what must come of it however often its process is killed.
type scenario struct {
	name     string
	pipeline string
	source   string // SQL
	faults   []emulator.Fault
	prepare  func(testing.TB, *stage) // after the source and the faults are there
	begin    deed
	mend     func(testing.TB, *stage, error) // when a run could not complete; nil: it must
	want     want
}

// want is the end of a scenario.
type want struct {
	state  state.RunState
	counts state.Counts        // of the last run
	org    map[string][]string // "Object.Field": the values of all records
	open   map[string]string   // "step key": kind, code and attempts of the open reconciliation rows
	kept   int                 // rows whose content is known to be in the org
	marks  map[string]string   // by step
}

const loadPipeline = `name: crash
steps:
  - name: accounts
    object: Account
    operation: upsert
    external_id: Legacy_Id__c
    query: SELECT id, name, about FROM accounts
    key: id
    changes: { by: hash }
    fields:
      Legacy_Id__c: id
      Name: name
      Description: about
    chunk: { rows: 10, parallel: 3 }
  - name: contacts
    needs: [accounts]
    object: Contact
    operation: upsert
    external_id: Legacy_Id__c
    query: SELECT id, account_id, name, email, about, version FROM contacts
    key: [account_id, id]
    changes: { by: version }
    fields:
      Legacy_Id__c: id
      Account.Legacy_Id__c: account_id
      LastName: name
      Email: email
      Description: about
    chunk: { rows: 10, parallel: 3 }
  - name: tasks
    needs: [contacts]
    object: Task
    operation: insert
    query: SELECT id, subject, about FROM tasks
    key: id
    fields:
      Subject: subject
      Description: about
    chunk: { rows: 10, parallel: 3 }
  - name: leads
    needs: [tasks]
    object: Lead
    operation: insert
    query: SELECT id, name FROM leads
    key: id
    fields:
      LastName: name
      Company: { value: Acme }
`

const loadSource = `
CREATE TABLE accounts AS SELECT i AS id, 'Account ' || i AS name, repeat('a', 200) AS about FROM generate_series(1, 50) AS i;
UPDATE accounts SET name = '#N/A' WHERE id = 7;
UPDATE accounts SET name = repeat('x', 300) WHERE id = 33;
CREATE TABLE contacts AS SELECT 'C' || i AS id, i % 45 + 1 AS account_id, 'Contact ' || i AS name, NULL::text AS email, repeat('c', 200) AS about, i AS version
	FROM generate_series(1, 60) AS i WHERE i % 45 + 1 NOT IN (7, 33);
UPDATE contacts SET email = 'none' WHERE id = 'C20';
CREATE TABLE tasks AS SELECT i AS id, 'T' || i AS subject, repeat('t', 200) AS about FROM generate_series(1, 50) AS i;
CREATE TABLE leads AS SELECT i AS id, '#N/A' AS name FROM generate_series(1, 3) AS i;
`

// load is a first load of four steps, inserts among them, with rows that are rejected, that fail, that
// fail for a while, that fail for ever for a passing reason, a job that fails half way, an upload that
// breaks off, and a step of which nothing can be sent.
func load() scenario {
	sc := scenario{
		name: "load", pipeline: loadPipeline, source: loadSource, begin: deedRun,
		faults: []emulator.Fault{
			{On: emulator.OnRow, Field: "Legacy_Id__c", Keys: []string{"40"}, Code: "FIELD_CUSTOM_VALIDATION_EXCEPTION", Message: "no"},
			{On: emulator.OnRow, Field: "Legacy_Id__c", Keys: []string{"C35", "C36"}, Times: 3},
			{On: emulator.OnRow, Field: "Subject", Keys: []string{"T50"}},
			{On: emulator.OnRow, Field: "Subject", Keys: []string{"T41", "T42"}, Times: 2},
			{On: emulator.OnJob, Do: emulator.DoJobFail, Object: "Task", Batches: 1, Times: 1, Message: "ServerUnavailable : try later"},
			{Method: "PUT", Path: "/batches", Do: emulator.DoCutBefore, Skip: 5, Times: 1},
		},
		want: want{
			state: state.RunCompletedWithFailures,
			org:   map[string][]string{"Lead.LastName": {}},
			kept:  47, marks: map[string]string{"contacts": "61"},
			open: map[string]string{
				"accounts 7": "rejected NULL_MARKER_TEXT 1", "accounts 33": "rejected STRING_TOO_LONG 1",
				"accounts 40":           "failed FIELD_CUSTOM_VALIDATION_EXCEPTION 1",
				`contacts ["21","C20"]`: "failed INVALID_EMAIL_ADDRESS 1",
				`contacts ["40","C39"]`: "failed INVALID_FIELD 1",
				"tasks 50":              "failed UNABLE_TO_LOCK_ROW 4",
				"leads 1":               "rejected NULL_MARKER_TEXT 1", "leads 2": "rejected NULL_MARKER_TEXT 1", "leads 3": "rejected NULL_MARKER_TEXT 1",
			},
		},
	}
	refused := func(account int) bool { return account == 7 || account == 33 }
	read := 50 + 50 + 3
	for i := 1; i <= 50; i++ {
		if !refused(i) && i != 40 {
			sc.want.add("Account.Legacy_Id__c", fmt.Sprint(i))
		}
	}
	for i := 1; i <= 60; i++ {
		if refused(i%45 + 1) {
			continue
		}
		read++
		if i != 20 && i != 39 {
			sc.want.add("Contact.Legacy_Id__c", fmt.Sprintf("C%d", i))
		}
	}
	for i := 1; i <= 50; i++ {
		if i != 50 {
			sc.want.add("Task.Subject", fmt.Sprintf("T%d", i))
		}
	}
	sc.want.sum(read, 4, 5)
	return sc
}

func (w *want) add(field, value string) { w.org[field] = append(w.org[field], value) }

// sum sets the counts: what did not fail was loaded.
func (w *want) sum(read, failed, rejected int) {
	w.counts = state.Counts{Read: int64(read), Failed: int64(failed), Rejected: int64(rejected), Loaded: int64(read - failed - rejected)}
}

const retryPipeline = `name: crash
steps:
  - name: tasks
    object: Task
    operation: insert
    query: SELECT id, subject, about FROM tasks
    key: id
    fields:
      Subject: subject
      Description: about
    chunk: { rows: 10, parallel: 3 }
`

// retry is a retry of what failed in an earlier run: 40 records that were refused, of which one fails
// again, one for a while, and one is gone from the source; with keys also 5 that were rejected.
func retry(begin deed) scenario {
	sc := scenario{
		name: string(begin), pipeline: retryPipeline, begin: begin,
		source: `CREATE TABLE tasks AS SELECT i AS id, 'T' || i AS subject, repeat('t', 200) AS about FROM generate_series(1, 60) AS i`,
		want:   want{state: state.RunCompletedWithFailures, org: map[string][]string{}},
	}
	var refused []string
	for i := 1; i <= 60; i++ {
		if i <= 40 {
			refused = append(refused, fmt.Sprintf("T%d", i))
		}
		if i != 11 && (i != 22 || begin == deedRetryPayload) {
			sc.want.add("Task.Subject", fmt.Sprintf("T%d", i))
		}
	}
	sc.want.open = map[string]string{"tasks 11": "failed FIELD_CUSTOM_VALIDATION_EXCEPTION 2"}
	sc.want.sum(40, 1, 0)
	if begin == deedRetryKeys {
		sc.source += `; UPDATE tasks SET subject = '#N/A' WHERE id > 55`
		sc.want.open["tasks 22"] = "failed FIELD_CUSTOM_VALIDATION_EXCEPTION 1"
		sc.want.open["tasks 58"] = "rejected NULL_MARKER_TEXT 2"
		sc.want.org["Task.Subject"] = slices.DeleteFunc(sc.want.org["Task.Subject"], func(s string) bool { return s == "T58" })
		sc.want.sum(44, 1, 1)
	}
	refusal := emulator.Fault{On: emulator.OnRow, Field: "Subject", Keys: refused, Code: "FIELD_CUSTOM_VALIDATION_EXCEPTION", Message: "no"}
	sc.faults = []emulator.Fault{refusal}
	sc.prepare = func(tb testing.TB, st *stage) {
		if _, err := st.kit.do(tb.Context(), st.text, deedRun); err != nil {
			tb.Fatal(err)
		}
		st.before = st.runs(tb)[0].ID
		st.server.RemoveFault("")
		refusal.Keys = []string{"T11"}
		st.faults(tb, []emulator.Fault{refusal, {On: emulator.OnRow, Field: "Subject", Keys: []string{"T33"}, Times: 1}})
		pgtest.Exec(tb, st.DSN, `DELETE FROM tasks WHERE id = 22; UPDATE tasks SET subject = 'T' || id WHERE id > 55 AND id <> 58`)
	}
	return sc
}

// noKey is a load whose key turns out not to be unique, at its very end, before anything was sent.
func noKey() scenario {
	sc := scenario{
		name: "no key", begin: deedRun,
		pipeline: retryPipeline[:len(retryPipeline)-len("parallel: 3 }\n")] + "parallel: 10 }\n",
		source:   `CREATE TABLE tasks AS SELECT least(i, 49) AS id, 'T' || i AS subject, repeat('t', 200) AS about FROM generate_series(1, 50) AS i; UPDATE tasks SET subject = '#N/A' WHERE id = 5`,
		want:     want{state: state.RunCompletedWithFailures, org: map[string][]string{}, open: map[string]string{"tasks 5": "rejected NULL_MARKER_TEXT 1"}},
		mend: func(tb testing.TB, st *stage, _ error) {
			pgtest.Exec(tb, st.DSN, `DELETE FROM tasks WHERE subject = 'T50'`)
		},
	}
	for i := 1; i <= 49; i++ {
		if i != 5 {
			sc.want.add("Task.Subject", fmt.Sprintf("T%d", i))
		}
	}
	sc.want.sum(49, 0, 1)
	return sc
}

// halted is a run that the org refuses a job, so that it stops and is resumed.
func halted() scenario {
	sc := scenario{
		name: "halted", begin: deedRun, pipeline: retryPipeline,
		source: `CREATE TABLE tasks AS SELECT i AS id, 'T' || i AS subject, repeat('t', 200) AS about FROM generate_series(1, 60) AS i`,
		faults: []emulator.Fault{{Method: "POST", Path: "/jobs/ingest", Do: emulator.DoStatus, Status: 400, Code: "INVALIDENTITY", Message: "not supported", Skip: 3, Times: 1}},
		want:   want{state: state.RunSucceeded, org: map[string][]string{}},
		mend:   func(testing.TB, *stage, error) {},
	}
	for i := 1; i <= 60; i++ {
		sc.want.add("Task.Subject", fmt.Sprintf("T%d", i))
	}
	sc.want.sum(60, 0, 0)
	return sc
}

// torn is a run that was killed once already; before it is resumed somebody else has been at its jobs
// or its files.
func torn(name string, first kill, meddle func(tb testing.TB, st *stage, chunks map[state.ChunkState][]*state.Chunk)) scenario {
	sc := halted()
	sc.name, sc.faults, sc.mend = name, nil, nil
	sc.prepare = func(tb testing.TB, st *stage) {
		if killed, _ := st.kill(tb, first); !killed {
			tb.Fatalf("the process was not killed at %s", first)
		}
		st.awaitSilence(tb)
		chunks := map[state.ChunkState][]*state.Chunk{}
		for _, r := range st.runs(tb) {
			all, err := st.kit.store.Chunks(tb.Context(), r.ID, "")
			if err != nil {
				tb.Fatal(err)
			}
			for _, c := range all {
				chunks[c.State] = append(chunks[c.State], c)
			}
		}
		meddle(tb, st, chunks)
	}
	return sc
}

// scenarios lists them all. Each point is killed in the first that reaches it, and in some of the others.
func scenarios() []scenario {
	closeJobs := func(tb testing.TB, st *stage, chunks []*state.Chunk) {
		for _, c := range chunks {
			if _, err := st.kit.config.Bulk.Close(tb.Context(), c.JobID); err != nil {
				tb.Fatal(err)
			}
		}
	}
	sent, acknowledged := kill{"http upload: after", 3}, kill{state.Arrow{From: state.ChunkCreated, To: state.ChunkUploaded}.Write().Points()[1], 2}
	return []scenario{
		load(), retry(deedRetryKeys), retry(deedRetryPayload), noKey(), halted(),
		torn("files lost", sent, func(tb testing.TB, st *stage, chunks map[state.ChunkState][]*state.Chunk) {
			st.removeFiles(tb, slices.Concat(chunks[state.ChunkSpooled], chunks[state.ChunkCreated]))
		}),
		torn("files lost whose rows have outgrown a job", sent, func(tb testing.TB, st *stage, chunks map[state.ChunkState][]*state.Chunk) {
			st.removeFiles(tb, slices.Concat(chunks[state.ChunkSpooled], chunks[state.ChunkCreated]))
			pgtest.Exec(tb, st.DSN, fmt.Sprintf(`UPDATE tasks SET about = repeat('t', %d)`, lotJobBytes/8))
		}),
		torn("closed by somebody", sent, func(tb testing.TB, st *stage, chunks map[state.ChunkState][]*state.Chunk) {
			closeJobs(tb, st, uploadedOf(st, chunks[state.ChunkCreated]))
		}),
		torn("closed by somebody after its upload", acknowledged, func(tb testing.TB, st *stage, chunks map[state.ChunkState][]*state.Chunk) {
			closeJobs(tb, st, chunks[state.ChunkUploaded])
		}),
		torn("aborted by somebody", acknowledged, func(tb testing.TB, st *stage, chunks map[state.ChunkState][]*state.Chunk) {
			for _, c := range chunks[state.ChunkUploaded] {
				if _, err := st.kit.config.Bulk.Abort(tb.Context(), c.JobID); err != nil {
					tb.Fatal(err)
				}
			}
		}),
	}
}
