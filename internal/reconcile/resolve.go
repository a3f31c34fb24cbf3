package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// resolve closes the open rows of the records that this chunk loaded, so that a stale payload can
// never be sent over newer data, and frees the rows that it had claimed and did not find in the source.
// Where nobody knows which records loaded, rows stay as they are: freeing one could double it.
func (s *settler) resolve(ctx context.Context, tx pgx.Tx, out *Outcome) (err error) {
	switch {
	case s.chunk.Sent == nil:
		out.Resolved, err = s.resolveBlind(ctx, tx)
	case s.unmatched > 0:
		out.Resolved, err = s.resolveLoaded(ctx, tx)
	default:
		if out.Resolved, err = s.resolveLoaded(ctx, tx); err != nil {
			return err
		}
		out.Missing, err = release(ctx, tx, []int64{s.chunk.ID})
	}
	return err
}

// resolveBlind resolves, where the chunk's file is gone, the rows that the chunk claimed, if every
// record of it loaded and there were as many.
func (s *settler) resolveBlind(ctx context.Context, tx pgx.Tx) (int64, error) {
	if s.failed+s.unprocessed > 0 {
		return 0, nil
	}
	const query = `UPDATE etl.reconciliation SET status = 'resolved', resolved_at = now(), resolved_run_id = $2, retry_chunk_id = NULL
		WHERE retry_chunk_id = $1 AND status = 'retrying'
		AND $3 = (SELECT count(*) FROM etl.reconciliation WHERE retry_chunk_id = $1 AND status = 'retrying')`
	tag, err := tx.Exec(ctx, query, s.chunk.ID, s.chunk.RunID, s.chunk.Rows)
	if err != nil {
		return 0, fmt.Errorf("resolve reconciliation rows: %w", err)
	}
	return tag.RowsAffected(), nil
}

// resolveLoaded resolves the rows of the records that loaded.
func (s *settler) resolveLoaded(ctx context.Context, tx pgx.Tx) (int64, error) {
	keyless, err := s.keylessRows(ctx, tx)
	if err != nil {
		return 0, err
	}
	open, err := s.hasOpenRows(ctx, tx)
	if err != nil || !open && len(keyless) == 0 {
		return 0, err
	}
	const createLoaded = `CREATE TEMP TABLE IF NOT EXISTS etl_loaded (source_key text) ON COMMIT DELETE ROWS`
	if _, err := tx.Exec(ctx, createLoaded); err != nil {
		return 0, fmt.Errorf("create the staging table: %w", err)
	}
	found, err := s.copyLoaded(ctx, tx, keyless)
	if err != nil {
		return 0, fmt.Errorf("list the records that loaded: %w", err)
	}
	const set = `UPDATE etl.reconciliation r SET status = 'resolved', resolved_at = now(), resolved_run_id = $1, retry_chunk_id = NULL FROM etl_loaded l WHERE `
	var n int64
	if s.chunk.ByRow {
		n, err = update(ctx, tx, set+`r.id = l.source_key::bigint AND r.status <> 'resolved'`, s.chunk.RunID)
	} else {
		n, err = update(ctx, tx, set+`r.pipeline = $2 AND r.step = $3 AND r.source_key = l.source_key AND r.status <> 'resolved'`,
			s.chunk.RunID, s.chunk.Pipeline, s.chunk.Step)
	}
	if err != nil || len(found) == 0 {
		return n, err
	}
	const byID = `UPDATE etl.reconciliation SET status = 'resolved', resolved_at = now(), resolved_run_id = $1 WHERE id = ANY ($2) AND status <> 'resolved'`
	more, err := update(ctx, tx, byID, s.chunk.RunID, found)
	return n + more, err
}

func update(ctx context.Context, tx pgx.Tx, query string, args ...any) (int64, error) {
	tag, err := tx.Exec(ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("resolve reconciliation rows: %w", err)
	}
	return tag.RowsAffected(), nil
}

// hasOpenRows spares the common case the work: most steps have nothing open but what this run wrote. A
// row without a chunk was rejected by this one when it was read before.
func (s *settler) hasOpenRows(ctx context.Context, tx pgx.Tx) (bool, error) {
	const query = `SELECT
		EXISTS (SELECT FROM etl.reconciliation WHERE pipeline = $1 AND step = $2 AND run_id < $3 AND status <> 'resolved' AND source_key IS NOT NULL)
		OR EXISTS (SELECT FROM etl.reconciliation WHERE pipeline = $1 AND step = $2 AND run_id > $3 AND status <> 'resolved' AND source_key IS NOT NULL)
		OR EXISTS (SELECT FROM etl.reconciliation WHERE pipeline = $1 AND step = $2 AND chunk_id IS NULL AND status <> 'resolved' AND source_key IS NOT NULL)
		OR EXISTS (SELECT FROM etl.reconciliation WHERE retry_chunk_id = $4)`
	var open bool
	if err := tx.QueryRow(ctx, query, s.chunk.Pipeline, s.chunk.Step, s.chunk.RunID, s.chunk.ID).Scan(&open); err != nil {
		return false, fmt.Errorf("look for open rows: %w", err)
	}
	return open, nil
}

// maxKeyless bounds how many rows without a key are looked for by their external id.
const maxKeyless = 10_000

// keylessRows finds the step's open rows that nobody could match to a source key, by the external id in
// their payload.
func (s *settler) keylessRows(ctx context.Context, tx pgx.Tx) (map[string][]int64, error) {
	if s.chunk.ExternalID == "" || s.chunk.ByRow {
		return nil, nil
	}
	const query = `SELECT id, payload FROM etl.reconciliation
		WHERE pipeline = $1 AND step = $2 AND source_key IS NULL AND status <> 'resolved' AND run_id <> $3 ORDER BY id LIMIT $4`
	rows, err := tx.Query(ctx, query, s.chunk.Pipeline, s.chunk.Step, s.chunk.RunID, maxKeyless)
	if err != nil {
		return nil, fmt.Errorf("look for rows without a key: %w", err)
	}
	defer rows.Close()
	found := map[string][]int64{}
	for rows.Next() {
		var id int64
		var text []byte
		if err := rows.Scan(&id, &text); err != nil {
			return nil, fmt.Errorf("look for rows without a key: %w", err)
		}
		var payload map[string]*string
		if err := json.Unmarshal(text, &payload); err != nil {
			return nil, fmt.Errorf("reconciliation row %d: payload: %w", id, err)
		}
		for name, value := range payload {
			if strings.EqualFold(name, s.chunk.ExternalID) && value != nil {
				external := string(appendCanonical(nil, []byte(*value)))
				found[external] = append(found[external], id)
			}
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look for rows without a key: %w", err)
	}
	return found, nil
}

// copyLoaded copies the keys of the records that loaded into the staging table, and returns the keyless
// rows whose external id is among them.
func (s *settler) copyLoaded(ctx context.Context, tx pgx.Tx, keyless map[string][]int64) ([]int64, error) {
	records, err := s.chunk.Sent.Open()
	if err != nil {
		return nil, err
	}
	defer records.Close()
	loaded := s.loadedMarks()
	external := place(s.chunk.Sent.Header, s.chunk.ExternalID)
	var split splitter
	var found []int64
	values := make([]any, 1)
	i := -1
	err = copyRows(ctx, tx, "etl_loaded", []string{"source_key"}, func() ([]any, error) {
		for records.Next() {
			if i++; !loaded(i) {
				continue
			}
			if len(keyless) > 0 && external >= 0 {
				if fields := split.split(records.Record()); external < len(fields) {
					found = append(found, keyless[string(appendCanonical(nil, fields[external]))]...)
				}
			}
			values[0] = string(records.Key())
			return values, nil
		}
		return nil, records.Err()
	})
	return found, err
}

// loadedMarks tells which records of the chunk loaded: those that a successful result took where a
// failed one could not be matched, else all that no failed or unprocessed result took.
func (s *settler) loadedMarks() func(record int) bool {
	if s.unmatched > 0 {
		slices.Sort(s.loaded)
		return func(record int) bool {
			_, ok := slices.BinarySearch(s.loaded, record)
			return ok
		}
	}
	return func(record int) bool { return s.refused == nil || !s.refused[record] }
}
