package preflight

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"bulkhead/internal/extract"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/salesforce"
)

// What a look at the source's values may cost: it reads so many rows of a step,
// for so long, once for all fields and once more for each field whose values are
// a list.
const (
	lookedAt = 100_000
	patience = 10 * time.Second
)

// shownValues is how many values a message lists.
const shownValues = 5

// refusesThem is what becomes of most records that do not fit.
const refusesThem = "Salesforce will refuse them"

// queryCanceled is how Postgres says that a statement took too long.
const queryCanceled = "57014"

// checkValues looks at the first rows of the source for values that Salesforce
// is certain to refuse. They are no reason to refuse the run: their records go to
// reconciliation, and the others load.
func (s *stepCheck) checkValues(ctx context.Context) error {
	if !s.sound || s.plan.Object == nil {
		return nil
	}
	tx, err := extract.Begin(ctx, s.conn)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", patience.Milliseconds())); err != nil {
		return fmt.Errorf("look at the source's values: %w", err)
	}
	look := &look{stepCheck: s, tx: tx}
	if err = look.probe(ctx); err == nil {
		err = look.compareLists(ctx)
	}
	var refused *pgconn.PgError
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case errors.As(err, &refused) && refused.Code == queryCanceled:
		s.warn(s.step.QueryPos, "", fmt.Sprintf("the query gave no %d rows within %v, so its values were not compared with the fields", lookedAt, patience), "")
		return nil
	case errors.As(err, &refused):
		// What the query or an expression meets in its rows, the run will meet and report with its place.
		s.warn(s.step.QueryPos, "", fmt.Sprintf("Postgres cannot read the rows: %s (SQLSTATE %s)", refused.Message, refused.Code), "correct the query, or the rows")
		return nil
	}
	return fmt.Errorf("look at the source's values: %w", err)
}

// probe is a condition on a field's value that rows should not fulfil.
type probe struct {
	field     int    // of the step
	condition string // SQL over v, the value
	trouble   string // what is so with the rows
	outcome   string // what becomes of them
	fix       string
}

// look is one look at the first rows of a step.
type look struct {
	*stepCheck
	tx   pgx.Tx
	rows int64 // how many there were
}

// probe counts the rows that fulfil a probe.
func (l *look) probe(ctx context.Context) error {
	probes := l.probes()
	if len(probes) == 0 {
		return nil
	}
	expressions, filters := make([]int, len(probes)), make([]string, len(probes))
	counts, targets := make([]int64, len(probes)), []any{&l.rows}
	for i, p := range probes {
		expressions[i] = l.projection.Fields[p.field].Index
		filters[i] = fmt.Sprintf("count(*) FILTER (WHERE %s)", strings.ReplaceAll(p.condition, "$v", fmt.Sprintf("v%d", i)))
		targets = append(targets, &counts[i])
	}
	sql := fmt.Sprintf("SELECT count(*), %s FROM (\n%s\n) AS sample", strings.Join(filters, ", "), l.projection.Sample(lookedAt, expressions...))
	if err := l.tx.QueryRow(ctx, sql).Scan(targets...); err != nil {
		return err
	}
	for i, p := range probes {
		if counts[i] > 0 {
			f := l.step.Fields[p.field]
			l.warn(f.From, f.Target, fmt.Sprintf("%s in %s: %s", p.trouble, l.share(counts[i]), p.outcome), p.fix)
		}
	}
	return nil
}

// share says how many of the rows were found.
func (l *look) share(n int64) string {
	if l.rows == lookedAt {
		return fmt.Sprintf("%d of the first %d rows", n, l.rows)
	}
	return fmt.Sprintf("%d of %d rows", n, l.rows)
}

// probes are what the fields' values are asked.
func (s *stepCheck) probes() []probe {
	var probes []probe
	for i, f := range s.step.Fields {
		field := s.fields[i]
		if field == nil || s.projection.Fields[i].Index < 0 || strings.Contains(f.Target, ".") {
			continue
		}
		for _, p := range []probe{s.tooLong(i, field), s.tooLarge(i, field), s.missing(i, field)} {
			if p.condition != "" {
				p.field = i
				probes = append(probes, p)
			}
		}
	}
	return probes
}

// tooLong asks for texts that are longer than their field.
func (s *stepCheck) tooLong(i int, field *salesforce.Field) probe {
	column := s.plan.Columns[i]
	if column.MaxChars == 0 || !isText(column.SourceType) || declaredChars(column.SourceType) <= column.MaxChars {
		return probe{}
	}
	return probe{
		condition: fmt.Sprintf("char_length($v) > %d", column.MaxChars),
		trouble:   fmt.Sprintf("the value is longer than the %d characters that the field holds", field.Length),
		outcome:   "they will not be sent",
		fix:       fmt.Sprintf("make the field longer, or cut the value, such as { sql: \"left(%s, %d)\" }", expression(s.step.Fields[i]), column.MaxChars),
	}
}

// isText says whether a type is one of characters.
func isText(typeName string) bool {
	return typeName == "text" || strings.HasPrefix(typeName, "character")
}

// declaredChars is how many characters a type allows.
func declaredChars(typeName string) int {
	var n int
	_, size, _ := strings.Cut(typeName, "(")
	if _, err := fmt.Sscanf(size, "%d)", &n); err != nil {
		return math.MaxInt
	}
	return n
}

// tooLarge asks for numbers with more digits before the point than their field.
func (s *stepCheck) tooLarge(i int, field *salesforce.Field) probe {
	digits := field.Precision - field.Scale
	if field.Type == "int" {
		digits = field.Digits
	}
	have := sourceFamily(s.plan.Columns[i].SourceType)
	if digits <= 0 || have != integer && have != number || fieldFamily(field.Type) != integer && fieldFamily(field.Type) != number {
		return probe{}
	}
	return probe{
		condition: fmt.Sprintf("abs($v) >= 1e%d", digits),
		trouble:   fmt.Sprintf("the number has more than the %d digits before the point that the field holds", digits),
		outcome:   refusesThem,
		fix:       "give the field more digits, or map a smaller unit",
	}
}

// missing asks for rows without a value that a record must have.
func (s *stepCheck) missing(i int, field *salesforce.Field) probe {
	f, operation := s.step.Fields[i], s.step.Operation
	outcome := refusesThem
	switch {
	case operation == pipeline.Upsert && strings.EqualFold(field.Name, s.step.ExternalID):
	case field.Type == "boolean" || field.Nillable || field.DefaultedOnCreate || !field.Createable:
		return probe{}
	case s.step.Nulls == pipeline.NullsClear || operation == pipeline.Insert:
	case operation == pipeline.Upsert:
		outcome = "those that are not in Salesforce yet will be refused"
	default:
		return probe{}
	}
	condition := "$v IS NULL"
	if isText(s.plan.Columns[i].SourceType) {
		condition += " OR btrim($v) = ''"
	}
	return probe{condition: condition, trouble: "there is no value, and the field must have one", outcome: outcome, fix: fmt.Sprintf("leave those rows out in the query, or give a value, such as { sql: \"coalesce(%s, ...)\" }", expression(f))}
}

// compareLists compares the values of each restricted picklist, and of the record
// type, with those that the org takes.
func (l *look) compareLists(ctx context.Context) error {
	for i, f := range l.step.Fields {
		field := l.fields[i]
		if field == nil || l.projection.Fields[i].Index < 0 {
			continue
		}
		known := takes{what: "not among the values of this restricted picklist", same: strings.EqualFold}
		if isRecordType(field) {
			known = takes{l.recordTypes(f), "no record type that the integration user may use", sameRecordType}
		} else if !strings.Contains(f.Target, ".") {
			known.values = restricted(field)
		}
		if len(known.values) == 0 {
			continue
		}
		unknown, err := l.unknownValues(ctx, i, known, field.Type == "multipicklist")
		if err != nil {
			return err
		}
		l.reportValues(f, unknown, known)
	}
	return nil
}

// takes is the values that a field takes.
type takes struct {
	values []string
	what   string // what another value is
	same   func(known, value string) bool
}

// counted is a value of the source and how many rows have it.
type counted struct {
	value string
	rows  int64
}

// unknownValues are the values of a field that are none of those known, the most
// frequent first.
func (l *look) unknownValues(ctx context.Context, i int, known takes, several bool) ([]counted, error) {
	value := "v0::text"
	if strings.HasSuffix(l.plan.Columns[i].SourceType, "[]") {
		value = "array_to_string(v0, ';')"
	}
	if several {
		value = "regexp_split_to_table(" + value + ", ';')"
	}
	sql := fmt.Sprintf("SELECT value, count(*) FROM (SELECT btrim(%s) AS value FROM (\n%s\n) AS sample) AS list WHERE value <> '' GROUP BY value ORDER BY count(*) DESC, value",
		value, l.projection.Sample(lookedAt, l.projection.Fields[i].Index))
	rows, err := l.tx.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c counted, err error) {
		err = row.Scan(&c.value, &c.rows)
		return c, err
	})
	return slices.DeleteFunc(found, func(c counted) bool {
		return slices.ContainsFunc(known.values, func(v string) bool { return known.same(v, c.value) })
	}), err
}

// reportValues tells of values that the org does not take.
func (l *look) reportValues(f pipeline.Field, unknown []counted, known takes) {
	if len(unknown) == 0 {
		return
	}
	var shown []string
	for _, c := range unknown[:min(len(unknown), shownValues)] {
		shown = append(shown, fmt.Sprintf("%q in %s", c.value, l.share(c.rows)))
	}
	text := strings.Join(shown, ", ")
	if more := len(unknown) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	l.warn(f.From, f.Target, fmt.Sprintf("the source has values that are %s: %s: %s", known.what, text, refusesThem),
		"it has "+shorten(known.values)+"; add what is missing in Setup, or map the values to those, such as { sql: \"CASE ... END\" }")
}

// shorten lists values, as many as a message bears.
func shorten(values []string) string {
	const shown = 12
	if len(values) <= shown {
		return strings.Join(values, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(values[:shown], ", "), len(values)-shown)
}
