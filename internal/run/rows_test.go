package run_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
	"bulkhead/internal/run"
	"bulkhead/internal/state"
)

const byHash = "{ by: hash }"

func TestOnlyWhatDiffersIsSent(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"by number": "int", "by text": "text", "by uuid": "uuid", "by time": "timestamptz"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{})
			b.people(t, 60)
			// Names in an order that collations do not agree on, and keys of the type that is tried.
			b.exec(t, `ALTER TABLE people ADD k `+key+`; UPDATE people SET k = CASE '`+key+`' WHEN 'int' THEN (id - 30)::text WHEN 'uuid' THEN md5(id::text)::uuid::text
				WHEN 'timestamptz' THEN (timestamptz '0001-01-01' + id * 40 * interval '1 year')::text ELSE (ARRAY['a', 'B', '_', 'é', '-', 'Z'])[id % 6 + 1] || id END::`+key)
			yaml := strings.NewReplacer("key: id", "key: k", "SELECT id,", "SELECT k, id,").Replace(changing(byHash))
			yaml = strings.Replace(yaml, ", updated_at, version", "", 1)
			if s := b.night(t, yaml, run.Options{}); s.Loaded != 60 {
				t.Errorf("the first night: %s", s.Counts)
			}
			if s := b.night(t, yaml, run.Options{}); s.Unchanged != 60 || s.Steps[0].Jobs != 0 {
				t.Errorf("a quiet night: %s in %d jobs", s.Counts, s.Steps[0].Jobs)
			}
			b.exec(t, `UPDATE people SET name = 'New ' || id WHERE id IN (3, 41); DELETE FROM people WHERE id = 60; INSERT INTO people (id, k, name) SELECT 61, k, 'New 61' FROM people WHERE id = 7; DELETE FROM people WHERE id = 7`)
			plan, err := b.engine(t, yaml).Plan(t.Context(), run.PlanOptions{})
			if err != nil || plan.Steps[0].Rows != 3 || plan.Steps[0].Unchanged != 56 {
				t.Errorf("plan %+v, %v", plan, err)
			}
			if s := b.night(t, yaml, run.Options{}); s.Loaded != 3 || s.Unchanged != 56 || s.Steps[0].Jobs != 1 {
				t.Errorf("three changed: %s", s.Counts)
			}
			if s := b.night(t, yaml, run.Options{Full: true}); s.Loaded != 59 {
				t.Errorf("with --full: %s", s.Counts)
			}
		})
	}
}

// TestARefusedRecordIsTriedAgainByItself has a change refused, taken back, and refused in another way.
func TestARefusedRecordIsTriedAgainByItself(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 20)
	yaml := strings.Replace(changing(byHash), ", updated_at, version", "", 1)
	b.night(t, yaml, run.Options{})
	refusal := b.fault(t, emulator.Fault{On: emulator.OnRow, Field: "Legacy_Id__c", Keys: []string{"5"}, Code: "FIELD_CUSTOM_VALIDATION_EXCEPTION", Message: "no"})
	b.exec(t, `UPDATE people SET name = 'Changed' WHERE id IN (5, 6); UPDATE people SET name = '#N/A' WHERE id = 7`)
	if s := b.night(t, yaml, run.Options{}); s.Loaded != 1 || s.Failed != 1 || s.Rejected != 1 || s.Unchanged != 17 {
		t.Errorf("a change is refused: %s", s.Counts)
	}
	if s := b.night(t, yaml, run.Options{}); s.Loaded != 0 || s.Failed != 1 || s.Rejected != 1 {
		t.Errorf("it is refused again: %s", s.Counts)
	}
	b.server.RemoveFault(refusal.ID)
	// What the org has of them now equals what is in the source again: it is sent all the same, and what
	// stands open of them is resolved.
	b.exec(t, `UPDATE people SET name = 'Person ' || id WHERE id IN (5, 7)`)
	if s := b.night(t, yaml, run.Options{}); s.Loaded != 2 || len(b.open(t)) != 0 {
		t.Errorf("it was taken back: %s, open %v", s.Counts, b.open(t))
	}
	if s := b.night(t, yaml, run.Options{}); s.Unchanged != 20 {
		t.Errorf("a quiet night: %s", s.Counts)
	}
}

// TestNothingIsKnownOfARunGivenUp gives a run up whose job was closed: the org took a content that the
// source has no more, and what was kept before must not hide that.
func TestNothingIsKnownOfARunGivenUp(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 20)
	yaml := strings.Replace(changing(byHash), ", updated_at, version", "", 1)
	b.night(t, yaml, run.Options{})
	b.exec(t, `UPDATE people SET name = 'Passing'`)
	lost := b.fault(t, emulator.Fault{Method: "GET", Path: "failedResults", Do: emulator.DoStatus, Status: 404, Code: "NOT_FOUND", Message: "gone"})
	s, err := b.engine(t, yaml).Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) || s.State != state.RunInconsistent {
		t.Fatalf("got %v, %+v", err, s)
	}
	b.server.RemoveFault(lost.ID)
	b.exec(t, `UPDATE people SET name = 'Person ' || id`)
	if s := b.night(t, yaml, run.Options{Abandon: true}); s.Loaded != 20 {
		t.Errorf("after it was given up: %s", s.Counts)
	}
	if n := b.count(t, "FROM Account WHERE Name = 'Passing'"); n != 0 {
		t.Errorf("%d records are still what the run given up made them", n)
	}
}

// TestNothingIsKnownOfAChunkWithoutItsFile settles a job on a machine that does not have what was sent.
func TestNothingIsKnownOfAChunkWithoutItsFile(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 20)
	yaml := strings.Replace(changing(byHash), ", updated_at, version", "", 1)
	b.night(t, yaml, run.Options{})
	b.exec(t, `UPDATE people SET name = 'Passing'`)
	lost := b.fault(t, emulator.Fault{Method: "GET", Path: "failedResults", Do: emulator.DoStatus, Status: 404, Code: "NOT_FOUND", Message: "gone"})
	s, err := b.engine(t, yaml).Run(t.Context(), run.Options{})
	if !errors.Is(err, run.ErrIncomplete) {
		t.Fatalf("got %v, %+v", err, s)
	}
	b.server.RemoveFault(lost.ID)
	if err := b.spool.RemoveRun(s.ID); err != nil {
		t.Fatal(err)
	}
	s, err = b.engine(t, yaml).Resume(t.Context(), s.ID)
	if s = mustComplete(t, s, err, state.RunSucceeded); s.Loaded != 20 {
		t.Errorf("resumed: %s", s.Counts)
	}
	b.exec(t, `UPDATE people SET name = 'Person ' || id`)
	if s := b.night(t, yaml, run.Options{}); s.Loaded != 20 {
		t.Errorf("taken back: %s", s.Counts)
	}
	if n := b.count(t, "FROM Account WHERE Name = 'Passing'"); n != 0 {
		t.Errorf("%d records are not what the source has", n)
	}
}

func TestANewFormIsAskedFor(t *testing.T) {
	t.Parallel()
	b := setup(t, emulator.Config{})
	b.people(t, 20)
	yaml := strings.Replace(changing(byHash), ", updated_at, version", "", 1)
	b.night(t, yaml, run.Options{})
	wider := strings.Replace(yaml, "      Website: site\n", "      Website: site\n      Industry: { value: Energy }\n", 1)
	_, err := b.engine(t, wider).Run(t.Context(), run.Options{})
	var resend *run.ResendError
	if !errors.As(err, &resend) || resend.Rows != 20 || resend.Jobs != 2 {
		t.Fatalf("got %v", err)
	}
	plan, err := b.engine(t, wider).Plan(t.Context(), run.PlanOptions{})
	if err != nil || plan.Steps[0].Rows != 20 || len(plan.Findings) != 1 || !strings.Contains(plan.Findings[0].Fix, "--accept") {
		t.Errorf("plan %+v, %v", plan, err)
	}
	if s := b.night(t, wider, run.Options{Accept: true}); s.Loaded != 20 {
		t.Errorf("accepted: %s", s.Counts)
	}
	if s := b.night(t, wider, run.Options{}); s.Unchanged != 20 {
		t.Errorf("the night after: %s", s.Counts)
	}
}

// TestRetriesKeepWhatTheyLoad sends refused records again by key and from their payloads, edited.
func TestRetriesKeepWhatTheyLoad(t *testing.T) {
	t.Parallel()
	for _, fromPayload := range []bool{false, true} {
		t.Run(fmt.Sprint(fromPayload), func(t *testing.T) {
			t.Parallel()
			b := setup(t, emulator.Config{})
			b.people(t, 20)
			yaml := strings.Replace(changing(byHash), ", updated_at, version", "", 1)
			refusal := b.fault(t, emulator.Fault{On: emulator.OnRow, Field: "Legacy_Id__c", Keys: []string{"5", "6"}, Code: "FIELD_CUSTOM_VALIDATION_EXCEPTION", Message: "no"})
			b.night(t, yaml, run.Options{})
			b.server.RemoveFault(refusal.ID)
			b.exec(t, `UPDATE etl.reconciliation SET payload = payload || '{"Name": "Edited"}'`)
			s, err := b.engine(t, yaml).Retry(t.Context(), run.RetryOptions{FromPayload: fromPayload})
			b.mustBalance(t, mustComplete(t, s, err, state.RunSucceeded))
			want := int64(20)
			if fromPayload {
				want = 18 // the source has no such content
			}
			if s := b.night(t, yaml, run.Options{}); s.Unchanged != want {
				t.Errorf("the night after: %s", s.Counts)
			}
			if n := b.count(t, "FROM Account WHERE Name = 'Edited'"); n != 0 {
				t.Errorf("%d records are not what the source has", n)
			}
		})
	}
}
