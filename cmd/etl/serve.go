package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"bulkhead/internal/project"
	"bulkhead/internal/schedule"
)

// defaultListen is where the health of a server can be asked for; this machine only.
const defaultListen = "127.0.0.1:8091"

// noListen is the word that switches the health endpoints off.
const noListen = "off"

type serveOptions struct {
	listen   string
	parallel int
	check    bool
}

func newServeCmd(a *app) *cobra.Command {
	var opts serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run pipelines by their schedules, until stopped",
		Long: `Run the pipelines of the project by the "schedule:" of their files, until stopped.
Files are read again when they change; one with a mistake keeps only its own
pipeline from running, and the log says so.

Several servers on several machines may serve one state database: one leads, the
others stand by. When it dies, another takes over within seconds, first resumes
what was interrupted and then starts what came due; nothing is run twice.

Ctrl-C or SIGTERM stops it: runs come to a safe point within a minute, and the
next server resumes them. Logs go to stderr, at the level info unless --log-level
says otherwise.

GET /healthz on --listen answers as long as the process is alive; GET /readyz
answers 200 while the state database can be reached, and says as JSON whether
this server leads and what it runs. Neither needs a login. With --check the command
only asks the server at --listen for the latter, and ends with 0 or 1.

Exit codes: 0 stopped by a signal, or ready; 1 could not go on, or not ready;
2 wrong usage.`,
		Example: `  etl serve
  etl serve --log-format json --listen 0.0.0.0:8091
  etl serve --listen off --parallel 2
  etl schedule list            # what is due when, and how it went last`,
		Args:        wants(),
		Annotations: map[string]string{usualLevel: "info"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.check {
				return runServeCheck(cmd.Context(), a, opts)
			}
			return runServe(cmd.Context(), a, opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.listen, "listen", defaultListen, "`address` of /healthz and /readyz, or off")
	flags.BoolVar(&opts.check, "check", false, "only ask the server at --listen whether it is ready")
	flags.IntVar(&opts.parallel, "parallel", 4, "run at most this `many` pipelines at once")
	return cmd
}

func runServe(ctx context.Context, a *app, opts serveOptions) error {
	if opts.parallel < 1 {
		return usagef("--parallel: want 1 or more, got %d", opts.parallel)
	}
	p, err := a.openProject()
	if err != nil {
		return err
	}
	listener, err := listenFor(ctx, opts.listen)
	if err != nil {
		return err
	}
	if listener != nil {
		defer listener.Close()
	}
	store, err := openState(ctx, p)
	if err != nil {
		return err
	}
	defer store.Close()
	plans := &plans{app: a, project: p}
	server := schedule.New(schedule.Config{
		Store: store, Runner: &scheduledRunner{app: a}, Plans: plans.read, Log: a.log, Tick: a.pace.tick, Parallel: opts.parallel,
	})
	a.log.Info("serving", zap.String("project", p.Dir), zap.Int("schedules", len(plans.read())), zap.String("listen", listening(listener)))
	serving, stop := context.WithCancel(ctx)
	defer stop()
	group, serving := errgroup.WithContext(serving)
	if listener != nil {
		group.Go(func() error { return serveHealth(serving, listener, store, server) })
	}
	group.Go(func() error {
		defer stop()
		return server.Run(serving)
	})
	err = group.Wait()
	if errors.Is(err, schedule.ErrNotStopped) {
		a.log.Error("stopped", zap.Error(err))
		return &doneError{exitIncomplete}
	}
	if err == nil && ctx.Err() != nil {
		a.log.Info("stopped", zap.NamedError("by", context.Cause(ctx)))
	}
	return err
}

// listenFor opens the address of the health endpoints; nil where they are off.
func listenFor(ctx context.Context, address string) (net.Listener, error) {
	if address == noListen {
		return nil, nil
	}
	_, port, err := net.SplitHostPort(address)
	if number, portErr := strconv.Atoi(port); err != nil || portErr != nil || number < 0 || number > 65535 {
		return nil, usagef("--listen: want HOST:PORT such as %s, or off, got %q", defaultListen, address)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &usageError{err: fmt.Errorf("--listen: %w", err), hint: "Another server may be running here. Give another address, or off."}
	}
	return listener, nil
}

func listening(l net.Listener) string {
	if l == nil {
		return noListen
	}
	return l.Addr().String()
}

// plans are the schedules of the project, as its files stand.
type plans struct {
	app     *app
	project *project.Project
	said    map[string]string // of a file, the mistake that has been logged
}

// read reads the files again, and logs each mistake once.
func (p *plans) read() []schedule.Plan {
	said := map[string]string{}
	files, err := readPipelines(p.project)
	if err != nil {
		files = []pipelineFile{{file: pipelineFolder(p.project), mistake: err.Error()}}
	}
	list := []schedule.Plan{}
	for _, f := range files {
		switch {
		case f.mistake != "":
			said[f.file] = f.mistake
			if p.said[f.file] != f.mistake {
				p.app.log.Error("a mistake keeps the pipeline from running", zap.String("file", shortPath(f.file)), zap.String("mistake", f.mistake))
			}
		case f.pipe.Schedule != nil:
			list = append(list, plan(f.pipe))
		}
	}
	for file := range p.said {
		if said[file] == "" {
			p.app.log.Info("the mistake is mended", zap.String("file", shortPath(file)))
		}
	}
	p.said = said
	return list
}

// stopPatience is how long requests may take to end when the server stops.
const stopPatience = 2 * time.Second
