package run_test

import (
	"context"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// wire is a way to a Postgres server on a TCP port of its own, that can be cut at any message. The
// throwaway server listens on a unix socket, which is no place for a network to fail in.
type wire struct {
	listener net.Listener
	target   *pgx.ConnConfig
	pumps    sync.WaitGroup

	mu       sync.Mutex
	messages int  // that clients have sent since the last watch
	at       int  // the message to cut at; 0: none
	after    bool // once the server has answered it, instead of before it gets there
	conns    map[net.Conn]bool
}

func newWire(t *testing.T, dsn string) *wire {
	t.Helper()
	target, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: listener, target: target, conns: map[net.Conn]bool{}}
	w.pumps.Go(w.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		w.cutAll()
		w.pumps.Wait()
	})
	return w
}

func (w *wire) addr() string { return w.listener.Addr().String() }

// dsnVia is the connection string of a database behind a TCP address.
func dsnVia(addr string, target *pgx.ConnConfig) string {
	u := url.URL{Scheme: "postgres", Host: addr, Path: "/" + target.Database, User: url.User(target.User), RawQuery: "sslmode=disable"}
	if target.Password != "" {
		u.User = url.UserPassword(target.User, target.Password)
	}
	return u.String()
}

func (w *wire) dsn() string { return dsnVia(w.addr(), w.target) }

// watch counts messages from now on, and cuts the connection at the one of the number; 0 cuts none.
func (w *wire) watch(at int, after bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages, w.at, w.after = 0, at, after
}

func (w *wire) seen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.messages
}

// cutAll drops every connection that there is.
func (w *wire) cutAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.conns {
		_ = conn.Close()
	}
}

func (w *wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.pumps.Go(func() { w.serve(client) })
	}
}

func (w *wire) serve(client net.Conn) {
	network, address := "tcp", net.JoinHostPort(w.target.Host, strconv.Itoa(int(w.target.Port)))
	if strings.HasPrefix(w.target.Host, "/") {
		network, address = "unix", w.target.Host+"/.s.PGSQL."+strconv.Itoa(int(w.target.Port))
	}
	server, err := new(net.Dialer).DialContext(context.Background(), network, address)
	if err != nil {
		_ = client.Close()
		return
	}
	w.keep(true, client, server)
	defer w.keep(false, client, server)
	answer := make(chan struct{}) // closed when the next answer is to be lost
	var both sync.WaitGroup
	both.Go(func() {
		defer client.Close()
		defer server.Close()
		w.requests(client, server, answer)
	})
	both.Go(func() {
		defer client.Close()
		defer server.Close()
		answers(server, client, answer)
	})
	both.Wait()
}

func (w *wire) keep(there bool, conns ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range conns {
		if there {
			w.conns[conn] = true
		} else {
			delete(w.conns, conn)
		}
	}
}

func (w *wire) requests(from, to net.Conn, lose chan struct{}) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.messages++
		cut, after := w.messages == w.at, w.after
		w.mu.Unlock()
		if cut && !after {
			return
		}
		if cut {
			close(lose)
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func answers(from, to net.Conn, lose chan struct{}) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		select {
		case <-lose:
			return
		default:
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// every is a stride through a generated test, or what ETL_TEST_EVERY says.
func every(stride int) int {
	if n, err := strconv.Atoi(os.Getenv("ETL_TEST_EVERY")); err == nil && n > 0 {
		return n
	}
	return stride
}
