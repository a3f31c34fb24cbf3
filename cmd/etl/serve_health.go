package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"bulkhead/internal/schedule"
	"bulkhead/internal/state"
)

// readiness is what /readyz answers.
type readiness struct {
	Ready bool   `json:"ready"`
	Role  string `json:"role"` // leader or standby
	schedule.Status
}

// serveHealth answers until ctx ends.
func serveHealth(ctx context.Context, listener net.Listener, store *state.Store, server *schedule.Server) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answerReady(w, r, store, server) })
	h := &http.Server{Handler: mux, ReadHeaderTimeout: stopPatience, ReadTimeout: stopPatience, WriteTimeout: 5 * time.Second}
	closed := make(chan error, 1)
	go func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
		defer cancel()
		closed <- h.Shutdown(end)
	}()
	if err := h.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-closed
}

func answerReady(w http.ResponseWriter, r *http.Request, store *state.Store, server *schedule.Server) {
	answer := readiness{Ready: true, Role: "standby", Status: server.Status()}
	if answer.Leads {
		answer.Role = "leader"
	}
	ctx, cancel := context.WithTimeout(r.Context(), stopPatience)
	defer cancel()
	if err := store.Pool().Ping(ctx); err != nil {
		// Why may name hosts and users: the log says it.
		answer.Ready, answer.Error = false, "the state database cannot be reached"
	}
	w.Header().Set("Content-Type", "application/json")
	if !answer.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// runServeCheck asks a server whether it is ready, for a container without curl.
func runServeCheck(ctx context.Context, a *app, opts serveOptions) error {
	host, port, err := net.SplitHostPort(opts.listen)
	if err != nil {
		return usagef("--listen: want HOST:PORT such as %s, got %q", defaultListen, opts.listen)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*stopPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no server is ready: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("no server is ready: %w", err)
	}
	a.printf("%s\n", bytes.TrimSpace(text))
	if answer.StatusCode != http.StatusOK {
		return &doneError{exitIncomplete}
	}
	return nil
}
