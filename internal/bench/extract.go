package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"bulkhead/internal/extract"
	"bulkhead/internal/spool"
)

// columns of the source, each with the field it goes into.
func columns() [][2]string {
	return [][2]string{
		{"id", "Legacy_Id__c"},
		{"first_name", "FirstName"},
		{"last_name", "LastName"},
		{"email", "Email"},
		{"phone", "Phone"},
		{"title", "Title"},
		{"department", "Department"},
		{"street", "MailingStreet"},
		{"city", "MailingCity"},
		{"latitude", "MailingLatitude"},
		{"longitude", "MailingLongitude"},
		{"born", "Birthdate"},
		{"bounced_at", "EmailBouncedDate"},
		{"opted_out", "HasOptedOutOfEmail"},
		{"note", "Description"},
	}
}

// measureExtraction reads the table into chunk files, and beside it lets psql write
// the same rows as CSV into nothing.
func measureExtraction(ctx context.Context, b *bench) error {
	rows := min(b.cfg.LongRows, extractRows)
	var walls, floors, cpus, allocs []float64
	for round := range b.cfg.Rounds {
		floor, err := b.stage.copyCSV(ctx, rows)
		if err != nil {
			return err
		}
		got, err := b.stage.extract(ctx, rows)
		if err != nil {
			return err
		}
		if err := got.files.remove(); err != nil {
			return err
		}
		b.logf("  round %d: %.2f s, %.2f s CPU; psql %.2f s", round+1, got.wall.Seconds(), got.cpu.Seconds(), floor.Seconds())
		walls, floors = append(walls, got.wall.Seconds()), append(floors, floor.Seconds())
		cpus = append(cpus, got.cpu.Seconds()/million(rows))
		allocs = append(allocs, got.allocations/float64(rows))
	}
	b.add("extract", "wall", median(walls), "s", median(floors), atMost(0.8))
	b.add("extract", "client CPU per million rows", median(cpus), "s", 0, atMost(0.8))
	b.add("extract", "allocations per row", median(allocs), "", 0, atMost(0.01))
	return nil
}

// copyCSV is the floor of reading.
func (s *stage) copyCSV(ctx context.Context, rows int64) (time.Duration, error) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		return 0, err
	}
	statement := fmt.Sprintf("COPY (SELECT * FROM people WHERE id <= %d) TO STDOUT (FORMAT csv)", rows)
	// The shell's /dev/null, not our pipe: reading it would be our time.
	u, err := s.exec(ctx, nil, nil, "/bin/sh", "-c", `exec "$0" "$1" -qc "$2" >/dev/null`, psql, s.source, statement)
	return u.wall, err
}

// extraction is what an extraction took.
type extraction struct {
	wall, cpu   time.Duration
	allocations float64
	files       *spooler
}

// extract makes chunk files in this process, as a run does. The caller removes them.
func (s *stage) extract(ctx context.Context, rows int64) (extraction, error) {
	var x extraction
	conn, err := extract.Connect(ctx, s.source)
	if err != nil {
		return x, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	tx, err := extract.Begin(ctx, conn)
	if err != nil {
		return x, err
	}
	query, err := extract.Prepare(ctx, tx, spec(rows))
	if err != nil {
		return x, err
	}
	if x.files, err = newSpooler(filepath.Join(s.dir, "spool"), query.Header()); err != nil {
		return x, err
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin, cpu := time.Now(), processorTime()
	err = query.Stream(ctx, x.files.begin, x.files.end)
	x.wall, x.cpu = time.Since(begin), processorTime()-cpu
	runtime.ReadMemStats(&after)
	x.allocations = float64(after.Mallocs - before.Mallocs)
	return x, err
}

// spec is what the pipeline of the loads compiles to.
func spec(rows int64) extract.Spec {
	spec := extract.Spec{
		Step: "people", Key: []int{0}, KeyNames: []string{"id"}, Null: "#N/A", ExternalID: 0,
		MaxRows: chunkRows, MaxBytes: 90_000_000, FirstSeq: 1,
	}
	var names []string
	for i, column := range columns() {
		names = append(names, column[0])
		spec.Columns = append(spec.Columns, extract.Column{Header: column[1], Index: i})
	}
	spec.SQL = fmt.Sprintf("SELECT %s FROM people WHERE id <= %d ORDER BY id", strings.Join(names, ", "), rows)
	return spec
}

// spooler puts what an extraction cuts into chunk files.
type spooler struct {
	spool  *spool.Spool
	header []byte
	names  []string
	writer *spool.Writer
}

func newSpooler(dir string, header []byte) (*spooler, error) {
	s, err := spool.Open(spool.Config{Dir: dir})
	return &spooler{spool: s, header: header}, err
}

func (s *spooler) begin(ctx context.Context, seq int) (extract.Writer, error) {
	s.names = append(s.names, spool.Name(1, "people", seq))
	var err error
	s.writer, err = s.spool.Create(ctx, s.names[seq-1], s.header, nil)
	return chunkWriter{s.writer}, err
}

func (s *spooler) end(context.Context, extract.Chunk) error {
	_, err := s.writer.Commit()
	return err
}

func (s *spooler) remove() error { return s.spool.RemoveRun(1) }

// chunkWriter translates a rejection.
type chunkWriter struct{ *spool.Writer }

func (w chunkWriter) Reject(key, code, message, field string, payload []byte) error {
	return w.Writer.Reject(spool.Rejection{Key: key, Code: code, Message: message, Field: field, Payload: json.RawMessage(payload)})
}
