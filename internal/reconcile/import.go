package reconcile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/gocarina/gocsv"
	"github.com/jackc/pgx/v5"
)

// Imported says what an import did.
type Imported struct {
	Rows    int64 `json:"rows"`    // lines read
	Changed int64 `json:"changed"` // payloads that differ from what was stored
}

// ImportError lists what is wrong with an import's lines; nothing of the file was taken.
type ImportError struct {
	Problems []string // each names its line
	More     int      // problems beyond those listed
}

func (e *ImportError) Error() string {
	text := strings.Join(e.Problems, "\n")
	if e.More > 0 {
		text += fmt.Sprintf("\nand %d more", e.More)
	}
	return text
}

// maxProblems bounds the list of an ImportError.
const maxProblems = 20

func (e *ImportError) add(line int64, format string, args ...any) {
	if len(e.Problems) == maxProblems {
		e.More++
		return
	}
	e.Problems = append(e.Problems, fmt.Sprintf("line %d: ", line)+fmt.Sprintf(format, args...))
}

// Import takes an edited export back: each line's payload replaces the one of the open row whose
// etl_id it has. Columns that begin with etl_ are not read, but for etl_id. `#N/A` clears a field, an
// empty value leaves it alone. Either all lines are taken or none (*ImportError). The file is streamed.
func (s *Store) Import(ctx context.Context, in io.Reader, raw bool) (Imported, error) {
	var result Imported
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		const stage = `CREATE TEMP TABLE etl_import (line bigint, row_id bigint, payload jsonb) ON COMMIT DROP`
		if _, err := tx.Exec(ctx, stage); err != nil {
			return fmt.Errorf("create the staging table: %w", err)
		}
		problems := &ImportError{}
		n, err := copyLines(ctx, tx, in, raw, problems)
		if err != nil {
			return err
		}
		// Nobody may claim a row for a retry between the look at it and the edit.
		if _, err := tx.Exec(ctx, `SELECT FROM etl.reconciliation WHERE id IN (SELECT row_id FROM etl_import) ORDER BY id FOR UPDATE`); err != nil {
			return fmt.Errorf("lock the rows: %w", err)
		}
		if err := checkLines(ctx, tx, problems); err != nil {
			return err
		}
		const apply = `UPDATE etl.reconciliation r SET payload = i.payload, payload_edited = true
			FROM etl_import i WHERE r.id = i.row_id AND r.payload IS DISTINCT FROM i.payload`
		tag, err := tx.Exec(ctx, apply)
		if err != nil {
			return fmt.Errorf("store the edited payloads: %w", err)
		}
		result = Imported{Rows: n, Changed: tag.RowsAffected()}
		return nil
	})
	return result, err
}

func copyLines(ctx context.Context, tx pgx.Tx, in io.Reader, raw bool, problems *ImportError) (int64, error) {
	lines := make(chan map[string]string)
	parsed := make(chan error, 1)
	go func() {
		parsed <- gocsv.CSVToChanMaps(skipBOM(in), lines)
		close(lines)
	}()
	// gocsv cannot be stopped; what it still has is drained, so that it ends.
	defer func() {
		for range lines {
		}
	}()
	n := int64(0)
	err := copyRows(ctx, tx, "etl_import", []string{"line", "row_id", "payload"}, func() ([]any, error) {
		for line := range lines {
			n++
			// The first line is the header; a value with a line break makes later numbers count records.
			id, payload := readLine(line, n+1, raw, problems)
			if id != 0 {
				return []any{n + 1, id, payload}, nil
			}
		}
		return nil, <-parsed
	})
	if err != nil {
		return n, fmt.Errorf("read the CSV: %w", err)
	}
	if n == 0 {
		return 0, errors.New("read the CSV: it has no lines under its header")
	}
	return n, nil
}

func readLine(line map[string]string, number int64, raw bool, problems *ImportError) (int64, []byte) {
	text, ok := line["etl_id"]
	if !ok {
		problems.add(number, "the file has no column etl_id; import a file that \"etl failed export\" wrote")
		return 0, nil
	}
	id, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || id <= 0 {
		problems.add(number, "etl_id %q is not the number of a reconciliation row", text)
		return 0, nil
	}
	var names, values []string
	for name := range line {
		if !strings.HasPrefix(name, metaPrefix) && name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		value := line[name]
		if !raw {
			value = unguard(value)
		}
		values = append(values, value)
	}
	return id, appendPayload(nil, names, values)
}

// checkLines finds lines that name no open row, or one row twice.
func checkLines(ctx context.Context, tx pgx.Tx, problems *ImportError) error {
	const query = `SELECT i.line, i.row_id, coalesce(r.status, 'missing'), i.first
		FROM (SELECT line, row_id, min(line) OVER (PARTITION BY row_id) AS first FROM etl_import) i
		LEFT JOIN etl.reconciliation r ON r.id = i.row_id
		WHERE r.status IS DISTINCT FROM 'open' OR i.first <> i.line ORDER BY i.line`
	rows, err := tx.Query(ctx, query) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return fmt.Errorf("check the lines: %w", err)
	}
	var line, id, first int64
	var status string
	_, err = pgx.ForEachRow(rows, []any{&line, &id, &status, &first}, func() error {
		switch {
		case first != line:
			problems.add(line, "row %d stands on line %d already", id, first)
		case status == "missing":
			problems.add(line, "there is no reconciliation row %d", id)
		default:
			problems.add(line, "row %d is %s, not open; its payload is left as it is", id, status)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("check the lines: %w", err)
	}
	if len(problems.Problems) > 0 {
		return problems
	}
	return nil
}

// skipBOM drops a byte order mark, which spreadsheets write and gocsv fails on.
func skipBOM(in io.Reader) io.Reader {
	reader := bufio.NewReader(in)
	if mark, err := reader.Peek(3); err == nil && string(mark) == "\xEF\xBB\xBF" {
		_, _ = reader.Discard(len(mark))
	}
	return reader
}
