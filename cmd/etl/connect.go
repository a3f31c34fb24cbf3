package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// databaseError is a database that cannot be used, in words that name the
// setting and what to do, and never a password.
type databaseError struct {
	text string
	err  error
}

func (e *databaseError) Error() string { return e.text }
func (e *databaseError) Unwrap() error { return e.err }

// connectError explains why the database behind a setting cannot be used; err is
// returned as it is when it is about something else. setting names where the
// connection string comes from.
func connectError(setting, dsn string, err error) error {
	config, parseErr := pgx.ParseConfig(dsn)
	if parseErr != nil {
		// The cause may quote the text, in which a password is hard to find.
		return &usageError{err: fmt.Errorf("%s: this is no connection string that can be read; write postgres://USER:PASSWORD@HOST:5432/DATABASE, "+
			"with %%40 for @, %%2F for /, %%23 for # and %%25 for %% inside the password", setting)}
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	where := fmt.Sprintf("%s: %s", setting, address(config))
	explain := func(format string, args ...any) error {
		return &databaseError{text: where + ": " + fmt.Sprintf(format, args...), err: err}
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		if why := refusal(config, refused); why != "" {
			return explain("%s", why)
		}
		return err
	}
	var lookup *net.DNSError
	var network net.Error
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &lookup):
		return explain("there is no host of this name; correct the host in %s", setting)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return explain("no answer; check host and port, that the server runs, and that no firewall is between")
	case errors.As(err, &connect) && strings.Contains(err.Error(), "tls"):
		return explain("%v; sslmode in %s says whether TLS is used", lastLine(err), setting)
	case errors.As(err, &connect):
		return explain("cannot connect: %v; check that the server runs there", lastLine(err))
	}
	return err
}

// refusal says what a server's answer to a login means; empty for answers that
// are about something else.
func refusal(config *pgx.ConnConfig, e *pgconn.PgError) string {
	switch e.Code {
	case "28P01":
		if config.Password == "" {
			return fmt.Sprintf("user %q needs a password, and none is given; put it into the connection string, or PGPASSWORD, or ~/.pgpass", config.User)
		}
		return fmt.Sprintf("the server refuses the password of user %q; correct it, with %%40 for @, %%2F for / and %%23 for # inside it", config.User)
	case "28000":
		return fmt.Sprintf("the server does not let user %q in: %s; check the user's name and the server's pg_hba.conf", config.User, e.Message)
	case "3D000":
		return fmt.Sprintf("there is no database %q; create it (createdb %s), or correct the name", config.Database, config.Database)
	case "42501":
		return fmt.Sprintf("user %q may not do this: %s; to keep its state, etl needs a schema of its own: "+
			"CREATE SCHEMA etl AUTHORIZATION %s", config.User, e.Message, pgx.Identifier{config.User}.Sanitize())
	case "53300":
		return "the server has no connection left: " + e.Message + "; close others, or raise max_connections"
	case "57P03":
		return "the server is starting up or shutting down; try again in a moment"
	}
	return ""
}

// address is where a connection string leads, without the password.
func address(config *pgx.ConnConfig) string {
	if strings.HasPrefix(config.Host, "/") {
		return fmt.Sprintf("database %q on socket %s", config.Database, config.Host)
	}
	return fmt.Sprintf("database %q on %s", config.Database, net.JoinHostPort(config.Host, fmt.Sprint(config.Port)))
}

// lastLine is the innermost cause, which is what a person can act on.
func lastLine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if i := strings.Index(last, "`: "); i >= 0 {
		last = strings.TrimSpace(last[i+len("`: "):])
	}
	return last
}
