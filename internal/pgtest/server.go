package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// superuser is the role a throwaway server is made with.
const superuser = "postgres"

// Server is a Postgres server: a throwaway one made by Start, or one that was
// there before.
type Server struct {
	admin *url.URL // a database to create others from

	// Of a throwaway server only.
	dir      string
	guard    *exec.Cmd // the shell that outlives us by a moment, see guardScript
	lifeline *os.File  // takes its commands; closing it ends the guard and the server
	said     *os.File  // its answers
	stopOnce sync.Once
	stopErr  error
}

// Start starts a throwaway server under the temporary directory, as StartIn does.
func Start(ctx context.Context) (*Server, error) { return StartIn(ctx, "") }

// StartIn starts a throwaway server from the system's binaries in a directory of
// its own under parent, or the temporary directory when that is empty. It listens on a unix socket in that
// directory and on nothing else; trusting whoever can reach the socket is
// therefore trusting only this user and root. As root, it runs as user
// "postgres", because Postgres refuses root.
//
// Nothing is ever synced to disk. The server, and its directory, go with Stop
// or with this process, whichever comes first.
func StartIn(ctx context.Context, parent string) (*Server, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	owner, err := serverOwner()
	if err != nil {
		return nil, err
	}
	dir, err := owner.makeDir(parent)
	if err != nil {
		return nil, fmt.Errorf("make a directory for the throwaway postgres: %w", err)
	}
	s := &Server{dir: dir, admin: socketURL(dir)}
	if err := s.launch(ctx, bin, owner); err != nil {
		_ = s.Stop() // says no more than err does
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// attach returns the server behind a connection URL. Its user must be allowed
// to create databases.
func attach(raw string) (*Server, error) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		// The text may hold a password: name the variable only.
		return nil, fmt.Errorf("%s: want a URL such as postgres://user@host:5432/postgres", envURL)
	}
	return &Server{admin: u}, nil
}

// DSN returns the connection string of a database of this server. It is a URL
// that pgx and psql both read.
func (s *Server) DSN(database string) string {
	u := *s.admin
	u.Path = "/" + database
	return u.String()
}

// Stop ends a throwaway server and removes its directory; sessions still open
// are cut. On any other server it does nothing. It may be called twice.
func (s *Server) Stop() error {
	s.stopOnce.Do(func() {
		if s.guard == nil {
			return
		}
		closeErr := errors.Join(s.lifeline.Close(), s.said.Close())
		if err := s.guard.Wait(); err != nil {
			s.stopErr = fmt.Errorf("stop the throwaway postgres in %s: %w", s.dir, errors.Join(err, closeErr))
		}
	})
	return s.stopErr
}

// Crash ends a throwaway server as "pg_ctl stop -m immediate" does: every session
// is cut, nothing is flushed. A server that has died by itself is let be.
func (s *Server) Crash(ctx context.Context) error { return s.command(ctx, "crash", "crashed") }

// Restart starts a server again that has crashed, on the same data and socket, and
// waits until it answers.
func (s *Server) Restart(ctx context.Context) error { return s.command(ctx, "start", "ready") }

// command has the guard do something and waits for its answer.
func (s *Server) command(ctx context.Context, word, answer string) error {
	if s.guard == nil {
		return fmt.Errorf("%s postgres: it is not ours", word)
	}
	if _, err := fmt.Fprintln(s.lifeline, word); err != nil {
		return fmt.Errorf("%s postgres: %w", word, err)
	}
	return await(ctx, s.said, answer)
}

// CreateDatabase makes an empty database and returns its connection string.
func (s *Server) CreateDatabase(ctx context.Context, name string) (string, error) {
	create := "CREATE DATABASE " + quote(name) + " TEMPLATE template0 ENCODING 'UTF8'" +
		" LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'"
	err := s.exec(ctx, create, inTimezone(name))
	if err != nil {
		return "", fmt.Errorf("create database %q: %w", name, err)
	}
	return s.DSN(name), nil
}

// clone makes a database that is a copy of template.
func (s *Server) clone(ctx context.Context, name, template string) error {
	// The settings of a database are not copied with it.
	err := s.exec(ctx, "CREATE DATABASE "+quote(name)+" TEMPLATE "+quote(template), inTimezone(name))
	if err != nil {
		return fmt.Errorf("clone database %q: %w", template, err)
	}
	return nil
}

// drop removes a database, cutting sessions that a test forgot.
func (s *Server) drop(ctx context.Context, name string) error {
	if err := s.exec(ctx, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database %q: %w", name, err)
	}
	return nil
}

// exec runs statements one by one: CREATE and DROP DATABASE refuse to share an
// implicit transaction.
func (s *Server) exec(ctx context.Context, statements ...string) error {
	conn, err := pgx.Connect(ctx, s.admin.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// lifetime says, after the connection string of a kept database, how long it
// will be there.
func (s *Server) lifetime() string {
	if s.guard == nil {
		return ""
	}
	return " (until this test process ends; set " + envURL + " to keep it longer)"
}

// guardScript makes the cluster, runs the server ("$@"), crashes and starts it when
// told to, and ends it when standard input ends, which it does when we close it and
// also when we die, however and whenever we die. It says "ready" once the server answers; when one step fails, or
// the server has not come up after minutes, it says why and exits. A shell rather
// than the parent-death signal: that one follows the thread that forked, exists on
// Linux only, and would leave the files behind.
const guardScript = `
dir=$1 initdb=$2 isready=$3; shift 3
trap '' PIPE # nobody may be left to read what it says
fail() { cat "$dir/log"; rm -rf "$dir"; exit 1; }
"$initdb" -D "$dir/data" -U "$PGUSER" --no-sync --auth=trust --encoding=UTF8 --no-locale >"$dir/log" 2>&1 || fail
start() {
	"$@" >"$dir/log" 2>&1 &
	server=$!
	tries=6000
	until "$isready" -q -h "$dir" -p 5432; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || kill -KILL $server
		kill -0 $server 2>/dev/null || fail
		sleep 0.02
	done
	echo ready
}
crash() { kill -QUIT $server 2>/dev/null; wait $server; }
start "$@"
while read -r word; do
	case $word in
	crash) crash; echo crashed ;;
	start) start "$@" ;;
	esac
done
crash
rm -rf "$dir"
`

// launch starts the server under its guard.
func (s *Server) launch(ctx context.Context, bin binaries, owner owner) error {
	server := append([]string{bin.postgres, "-D", filepath.Join(s.dir, "data")}, serverSettings(s.dir)...)
	args := append([]string{"-c", guardScript, "guard", s.dir, bin.initdb, bin.isready}, server...)
	// Not CommandContext: the server belongs to Stop, not to the call that
	// started it.
	guard := exec.Command("/bin/sh", args...) //nolint:noctx // outlives ctx by design
	owner.apply(guard, s.dir)
	guard.Env = append(guard.Env, "PGUSER="+superuser)
	return s.run(ctx, guard)
}

// serverSettings are the settings of a server whose data nobody will miss.
func serverSettings(dir string) []string {
	var args []string
	for _, setting := range []string{
		"unix_socket_directories=" + dir,
		"listen_addresses=",
		"port=5432",
		"fsync=off",
		"full_page_writes=off",
		"synchronous_commit=off",
		"wal_level=minimal",
		"max_wal_senders=0",
		"max_connections=200",
		"timezone=" + Timezone,
	} {
		args = append(args, "-c", setting)
	}
	return args
}

// run starts the guard and waits until the server answers.
func (s *Server) run(ctx context.Context, guard *exec.Cmd) error {
	stdin, lifeline, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	stdout, status, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start postgres: %w", errors.Join(err, stdin.Close(), lifeline.Close()))
	}
	guard.Stdin, guard.Stdout, guard.Stderr = stdin, status, status
	err = guard.Start()
	// The child has its own copies; ours would keep its pipes from ending.
	_ = stdin.Close()
	_ = status.Close()
	if err != nil {
		return fmt.Errorf("start postgres: %w", errors.Join(err, lifeline.Close(), stdout.Close()))
	}
	s.guard, s.lifeline, s.said = guard, lifeline, stdout
	return await(ctx, stdout, "ready")
}

// await reads what the guard says: the answer, or the server's log and the end.
func await(ctx context.Context, stdout *os.File, answer string) error {
	stop := context.AfterFunc(ctx, func() { _ = stdout.Close() })
	defer stop()
	buf := make([]byte, 64<<10)
	n := 0
	for {
		m, err := stdout.Read(buf[n:])
		n += m
		said := strings.TrimSpace(string(buf[:n]))
		switch {
		case said == answer:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("start postgres: %w", ctx.Err())
		case errors.Is(err, io.EOF) || n == len(buf):
			return fmt.Errorf("start postgres: it exited:\n%s", said)
		case err != nil:
			return fmt.Errorf("start postgres: %w", err)
		}
	}
}

// socketURL is the connection URL of a server that listens in dir.
func socketURL(dir string) *url.URL {
	query := url.Values{"host": {dir}, "port": {"5432"}}
	return &url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/postgres", RawQuery: query.Encode()}
}

// inTimezone sets the time zone that a database's sessions start with.
func inTimezone(database string) string {
	return "ALTER DATABASE " + quote(database) + " SET timezone = '" + Timezone + "'"
}

// quote quotes an SQL identifier.
func quote(name string) string {
	return pgx.Identifier{name}.Sanitize()
}
