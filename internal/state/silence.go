package state

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// maxSilence is how long the state database may say nothing while something is asked of it, and take
// nothing of what it is given. No statement of ours comes near: the longest are the COPY of a job's
// results, which lasts as long as their download, and the merge of a chunk's failures, which takes minutes.
// For a server that takes a connection and never answers, while its machine does, nothing else has a bound.
const maxSilence = time.Hour

// heard makes connections that are closed once the other side has been silent for too long. What was asked
// then has an unknown outcome, as with any connection that breaks.
func heard(dial pgconn.DialFunc, silence time.Duration) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return heardConn{conn, silence}, nil
	}
}

// heardConn closes itself instead of setting deadlines, which are pgx's own.
type heardConn struct {
	net.Conn
	silence time.Duration
}

func (c heardConn) Read(p []byte) (int, error) {
	defer c.limit().Stop()
	return c.Conn.Read(p)
}

func (c heardConn) Write(p []byte) (int, error) {
	defer c.limit().Stop()
	return c.Conn.Write(p)
}

func (c heardConn) limit() *time.Timer {
	return time.AfterFunc(c.silence, func() { _ = c.Close() })
}
