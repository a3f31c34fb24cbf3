package bench

import (
	"context"
	"os"
	"runtime"
	"strings"

	"github.com/jackc/pgx/v5"
)

func (s *stage) machine(ctx context.Context) (Machine, error) {
	m := Machine{Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: strings.TrimPrefix(runtime.Version(), "go")}
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		_, rest, _ := strings.Cut(string(info), "MemTotal:")
		line, _, _ := strings.Cut(rest, "\n")
		m.Memory = kilobytes(line)
	}
	conn, err := pgx.Connect(ctx, s.source)
	if err != nil {
		return m, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, "SELECT split_part(current_setting('server_version'), ' ', 1)").Scan(&m.Postgres)
	return m, err
}
