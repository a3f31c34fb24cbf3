package demo

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// schema is the source, as an application might have it: without the checks
// that would have kept the mistakes out.
const schema = `
CREATE TABLE customers (
	id            bigint PRIMARY KEY,
	name          text,
	website       text,
	phone         text,
	segment       text,
	revenue_cents bigint,
	employees     integer,
	city          text,
	country       text
);
CREATE TABLE people (
	id          bigint PRIMARY KEY,
	account_id  bigint NOT NULL,
	first_name  text,
	last_name   text,
	email       text,
	phone       text,
	birthdate   date,
	lead_source text
)`

// Fill makes the source's tables and fills them.
func (s *Stage) Fill(ctx context.Context) error {
	if err := s.exec(ctx, schema); err != nil {
		return fmt.Errorf("make the source: %w", err)
	}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		columns := []string{"id", "name", "website", "phone", "segment", "revenue_cents", "employees", "city", "country"}
		return s.copyIn(inner, "customers", columns, s.cfg.Customers, newGenerator(s.cfg).customer)
	})
	group.Go(func() error {
		columns := []string{"id", "account_id", "first_name", "last_name", "email", "phone", "birthdate", "lead_source"}
		return s.copyIn(inner, "people", columns, s.cfg.Contacts, newGenerator(s.cfg).person)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return s.exec(ctx, "ANALYZE customers, people")
}

func (s *Stage) copyIn(ctx context.Context, table string, columns []string, rows int, row func(n int) []any) error {
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	source := pgx.CopyFromSlice(rows, func(n int) ([]any, error) { return row(n), nil })
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{table}, columns, source); err != nil {
		return fmt.Errorf("fill %q: %w", table, err)
	}
	return nil
}

// exec runs statements that have no result.
func (s *Stage) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}
