package demo

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Mended is a statement that put rows of the source right.
type Mended struct {
	SQL string
	Tag string // as psql prints it: UPDATE 400
}

// mends are what somebody would do who looked at the errors: each puts one kind
// of mistake right, for all the rows that have it.
func mends() []string {
	return []string{
		`UPDATE customers SET segment = 'Finance' WHERE segment = 'Fintech'`,
		`UPDATE customers SET name = split_part(name, ' | ', 1) WHERE length(name) > 255`,
		`UPDATE customers SET employees = NULL WHERE employees > 99999999`,
		`UPDATE people SET email = replace(email, ',', '.') WHERE email LIKE '%@%,%'`,
		`UPDATE people SET last_name = split_part(last_name, ' (', 1) WHERE length(last_name) > 80`,
		`UPDATE people SET lead_source = 'Web' WHERE lead_source = 'LinkedIn'`,
		`UPDATE people SET birthdate = birthdate + INTERVAL '1900 years' WHERE birthdate < '0100-01-01'`,
	}
}

// Mend puts those mistakes right in the source that a statement can put right.
func (s *Stage) Mend(ctx context.Context) ([]Mended, error) {
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var done []Mended
	for _, sql := range mends() {
		tag, err := conn.Exec(ctx, sql)
		if err != nil {
			return nil, fmt.Errorf("mend the source: %w", err)
		}
		done = append(done, Mended{sql, tag.String()})
	}
	return done, nil
}
