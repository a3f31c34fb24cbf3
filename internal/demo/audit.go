package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/reconcile"
)

// Book says where the rows of one table are.
type Book struct {
	Step, Object string
	Source       int64 // rows in Postgres
	Org          int64 // records in the org, by its own count
	Open         int64 // open rows in the reconciliation table
}

// AuditError says what did not come out as it had to.
type AuditError struct{ Differences []string }

func (e *AuditError) Error() string {
	return "the books do not balance:\n  " + strings.Join(e.Differences, "\n  ")
}

// Audit counts where every row is, and holds it against what is known of the
// rows: every row is in the org or in the reconciliation table, and there under
// the error that its mistake must give. mended says whether Mend was called, and
// what failed was sent again. The error is an *AuditError where something
// differs.
func (s *Stage) Audit(ctx context.Context, mended bool) ([]Book, error) {
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	books := []Book{{Step: "accounts", Object: "Account"}, {Step: "contacts", Object: "Contact"}}
	const rows = `SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM people)`
	if err := conn.QueryRow(ctx, rows).Scan(&books[0].Source, &books[1].Source); err != nil {
		return nil, fmt.Errorf("count the source: %w", err)
	}
	records := s.org.State().Records
	want := s.cfg.groups(mended)
	got, err := openGroups(ctx, conn)
	if err != nil {
		return nil, err
	}
	var differences []string
	for i := range books {
		b := &books[i]
		b.Org = records[b.Object]
		for g, n := range got {
			if g.step == b.Step {
				b.Open += n
			}
		}
		if b.Source != b.Org+b.Open {
			differences = append(differences, fmt.Sprintf("%s: %d rows in Postgres, but %d records in the org and %d in reconciliation", b.Object, b.Source, b.Org, b.Open))
		}
	}
	differences = append(differences, compare(want, got)...)
	if len(differences) > 0 {
		return books, &AuditError{differences}
	}
	return books, nil
}

// group is what records in the reconciliation table have in common.
type group struct {
	step        string
	kind        reconcile.Kind
	code, field string
}

func (g group) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s, %s %s %s", g.step, g.kind, g.code, g.field))
}

// groups are the open records that there must be.
func (c Config) groups(mended bool) map[group]int64 {
	want := map[group]int64{}
	for _, m := range c.Mistakes() {
		if !mended || !m.Mended {
			want[group{m.Step, m.Kind, m.Code, m.Field}] += m.Records
		}
	}
	return want
}

// openGroups are the records that there are, resolved ones left out.
func openGroups(ctx context.Context, conn *pgx.Conn) (map[group]int64, error) {
	const query = `SELECT step, kind, error_code, array_to_string(error_fields, ','), count(*)
		FROM etl.reconciliation WHERE pipeline = $1 AND status <> 'resolved' GROUP BY 1, 2, 3, 4`
	rows, err := conn.Query(ctx, query, Pipeline) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return nil, fmt.Errorf("read the reconciliation table: %w", err)
	}
	got := map[group]int64{}
	var g group
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&g.step, &g.kind, &g.code, &g.field, &n}, func() error {
		got[g] = n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the reconciliation table: %w", err)
	}
	return got, nil
}

// compare says which groups differ, in a fixed order.
func compare(want, got map[group]int64) []string {
	all := maps.Clone(want)
	maps.Copy(all, got)
	var differences []string
	for g := range all {
		if want[g] != got[g] {
			differences = append(differences, fmt.Sprintf("%s: %d records, want %d", g, got[g], want[g]))
		}
	}
	slices.Sort(differences)
	return differences
}
