package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/cmd/etl/internal/console"
	"bulkhead/internal/demo"
)

type demoOptions struct {
	config demo.Config
	keep   bool
}

func newDemoCmd(a *app) *cobra.Command {
	var opts demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on a throwaway Postgres and a local org",
		Long: `Show the main job from nothing: start a throwaway Postgres and a local org, fill
the source with customers and their contacts, some of them wrong in the ways that
real rows are wrong, load them, look at what did not load, mend the source, send
again, and see what is left and why. It takes under a minute, needs no network
and no account, and leaves nothing behind.

What must become of every record is known beforehand: at each stop the demo
counts the source, the org and the reconciliation table, and fails where a single
record is not where it has to be.

The programs of a Postgres server must be installed (Debian: apt-get install
postgresql); none needs to run.`,
		Example: `  etl demo
  etl demo --keep                          # leaves the stage up, to explore
  etl demo --customers 500 --contacts 1200 # a quick one`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), a, opts) },
	}
	flags := cmd.Flags()
	flags.IntVar(&opts.config.Customers, "customers", demo.DefaultCustomers, "`rows` of customers")
	flags.IntVar(&opts.config.Contacts, "contacts", demo.DefaultContacts, "`rows` of contacts")
	flags.Uint64Var(&opts.config.Seed, "seed", demo.DefaultSeed, "`number` that decides names and the like; 0 is 1")
	flags.DurationVar(&opts.config.BatchLatency, "batch-latency", 1500*time.Millisecond, "`time` that the org takes for every batch of 10,000 records")
	flags.BoolVar(&opts.keep, "keep", false, "leave Postgres and the org up until interrupted, to explore")
	return cmd
}

func runDemo(ctx context.Context, a *app, opts demoOptions) (err error) {
	if opts.config.Customers < 1 {
		return usagef("--customers: want 1 or more, got %d", opts.config.Customers)
	}
	if opts.config.Contacts < 1 {
		return usagef("--contacts: want 1 or more, got %d", opts.config.Contacts)
	}
	began := time.Now()
	show := &show{app: a, paint: a.paint(a.stdout)}
	show.say("%s", show.paint.Bold("The main job: Postgres into Salesforce, with rows as they really are"))
	show.say("")
	stage, err := demo.Open(ctx, opts.config)
	if err != nil {
		return fmt.Errorf("set the stage: %w", err)
	}
	defer func() {
		if closeErr := stage.Close(); closeErr != nil {
			err = errors.Join(err, fmt.Errorf("clear the stage: %w", closeErr))
		}
	}()
	show.stage = stage
	if err := show.play(ctx, began); err != nil {
		return err
	}
	if !opts.keep {
		show.say("  etl demo --keep                              the same, and Postgres and the org stay up to explore")
		show.say("  etl init my-project                          a project of your own to start from")
		return nil
	}
	show.exploration()
	<-ctx.Done()
	fmt.Fprintln(a.stderr, "etl: the stage is cleared; nothing of it is left")
	return nil
}

// show plays the main job on a stage.
type show struct {
	*app
	stage *demo.Stage
	paint console.Paint
	act   int
}

func (s *show) say(format string, args ...any) { s.printf(format+"\n", args...) }

// title begins an act.
func (s *show) title(text string) {
	s.act++
	s.say("\n%s", s.paint.Bold(fmt.Sprintf("%d. %s", s.act, text)))
}

func (s *show) play(ctx context.Context, began time.Time) error {
	for _, act := range []func(context.Context) error{s.fill, s.load, s.look, s.mend, s.retry} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	s.say("\n%s", s.paint.Good(fmt.Sprintf("Done in %s: every row is where it has to be, and none of it twice.", console.Duration(time.Since(began)))))
	return nil
}

// fill sets the scene.
func (s *show) fill(ctx context.Context) error {
	began := time.Now()
	if err := s.stage.Fill(ctx); err != nil {
		return fmt.Errorf("set the stage: %w", err)
	}
	config := s.stage.Config()
	s.say("  Postgres     a throwaway server, with %s and %s, made up in %s",
		console.Plural(int64(config.Customers), "customer"), console.Plural(int64(config.Contacts), "contact"), console.Duration(time.Since(began)))
	s.say("  Salesforce   an emulated org at %s: OAuth, describe, Bulk API 2.0 and its habits", s.stage.OrgURL())
	s.say("  the project  %s, with pipelines/%s.yaml: accounts, then the contacts that need them", s.stage.Dir, demo.Pipeline)
	s.say("\nNames have quotes, line breaks, emoji and all alphabets in them, which must arrive as they are.")
	s.say("These rows are wrong, as rows are, and must not load:\n")
	s.mistakes(func(demo.Mistake) bool { return true }).Render(s.stdout)
	return nil
}

// mistakes lists the kinds of mistakes that fit.
func (s *show) mistakes(fits func(demo.Mistake) bool) *console.Table {
	table := console.NewTable(console.Right("records"), console.Left("step"), console.Left("what is wrong in the source"))
	for _, m := range s.stage.Mistakes() {
		if fits(m) {
			table.Row(m.Records, m.Step, m.Story)
		}
	}
	return table
}

func (s *show) load(ctx context.Context) error {
	s.title("Load")
	s.say("Rows are cut into chunks, each a job of its own, sealed from the others. On purpose, one upload")
	s.say("loses its connection, and %s locked by somebody else at first.", areRecords(s.stage.Contended()))
	if err := s.etl(ctx, "run", demo.Pipeline); err != nil {
		return err
	}
	s.say("The upload and the locked records are not to be seen any more: the run got over them by itself.")
	return nil
}

func areRecords(n int64) string {
	if n == 1 {
		return "1 record is"
	}
	return console.Count(n) + " records are"
}

func (s *show) look(ctx context.Context) error {
	s.title("Look at what did not load")
	s.say("It waits in the table etl.reconciliation: what was sent, and why it failed. \"rejected\" never left:")
	s.say("one such record would have slowed its whole batch down in Salesforce.")
	if err := s.etl(ctx, "failed", "list", "--group"); err != nil {
		return err
	}
	if err := s.etl(ctx, "failed", "list", "--field", "Email", "--limit", "3"); err != nil {
		return err
	}
	return s.audit(ctx, false)
}

func (s *show) mend(ctx context.Context) error {
	s.title("Mend the source")
	s.say("The source is the truth, so that is where it is put right.")
	mended, err := s.stage.Mend(ctx)
	if err != nil {
		return err
	}
	s.command(`psql "$ETL_DATABASE_URL"`)
	for _, m := range mended {
		s.say("%s;\n%s", m.SQL, m.Tag)
	}
	return nil
}

func (s *show) retry(ctx context.Context) error {
	s.title("Send again what failed")
	s.say("The failed rows, and only they, are read again by their keys. The contacts of mended customers load")
	s.say("too: nothing was ever wrong with them.")
	if err := s.etl(ctx, "failed", "retry"); err != nil {
		return err
	}
	s.title("See what is left")
	s.say("No statement can mend these; somebody has to know better. They stay until they load, or until")
	s.say("\"etl failed ignore\" says that they need not.")
	if err := s.etl(ctx, "failed", "list", "--group"); err != nil {
		return err
	}
	s.say("")
	s.mistakes(func(m demo.Mistake) bool { return !m.Mended }).Render(s.stdout)
	return s.audit(ctx, true)
}

// command shows a command line as somebody would type it.
func (s *show) command(line string) { s.say("\n%s", s.paint.Bold("$ "+line)) }

// etl runs a command line exactly as the program does.
func (s *show) etl(ctx context.Context, args ...string) error {
	s.command("etl " + strings.Join(args, " "))
	global := []string{"--dir", s.stage.Dir, "--log-level", s.logLevel, "--log-format", s.logFormat}
	if s.noColor {
		global = append(global, "--no-color")
	}
	code := execute(ctx, invocation{
		args: append(global, args...), stdin: s.stdin, stdout: s.stdout, stderr: s.stderr, env: s.stage.Env(s.env), pace: s.tempo(),
	})
	switch code {
	case exitDone:
		return nil
	case exitLeftovers:
		s.say("\n(Exit code %d, for scripts: completed, and some records are in reconciliation.)", code)
		return nil
	case exitInterrupted:
		fmt.Fprintln(s.stderr, "etl: of a demo there is nothing to go on with: its stage is cleared")
		return &doneError{exitInterrupted}
	}
	return fmt.Errorf("\"etl %s\" ended with exit code %d", strings.Join(args, " "), code)
}

// tempo is more impatient than a run against a real org, where minutes are
// usual and each look is an API call.
func (s *show) tempo() pace {
	if s.pace != (pace{}) {
		return s.pace
	}
	return pace{pollMin: 200 * time.Millisecond, pollMax: 500 * time.Millisecond, retryWait: time.Second}
}

// audit shows where every row is, and fails where one is elsewhere.
func (s *show) audit(ctx context.Context, mended bool) error {
	books, err := s.stage.Audit(ctx, mended)
	if err != nil {
		return err
	}
	s.say("\nCounted in each place by itself, apart from what the run says:\n")
	table := console.NewTable(console.Left("object"), console.Right("rows in Postgres"), console.Left(""), console.Right("records in Salesforce"), console.Left(""), console.Right("in reconciliation"))
	for _, b := range books {
		table.Row(b.Object, b.Source, "=", b.Org, "+", b.Open)
	}
	table.Render(s.stdout)
	return nil
}

// exploration says how to go on by hand.
func (s *show) exploration() {
	s.say("\n%s", s.paint.Bold("The stage is yours until Ctrl-C"))
	s.say("In another terminal, either work in the project, whose .env file says all this:")
	s.say("  cd %s", shellQuote(s.stage.Dir))
	s.say("or point etl and psql at it from anywhere:")
	for _, v := range s.stage.Variables() {
		s.say("  export %s=%s", v.Name, shellQuote(v.Value))
	}
	s.say("And then:")
	for _, line := range [][2]string{
		{"etl show 1", "the first run: its chunks and jobs; the lost upload, the locked records"},
		{"etl plan " + demo.Pipeline, "mapping, SQL, rows and API cost; sends nothing"},
		{"etl failed show ID", "one record: what was sent, and the error"},
		{"etl failed export --output failed.csv", "all of them as CSV, to mend in a spreadsheet"},
		{"etl jobs list", "the jobs as the org has them"},
		{`psql "$ETL_DATABASE_URL"`, "the source, and the tables etl.runs, etl.chunks, etl.reconciliation"},
	} {
		s.say("  %-40s %s", line[0], line[1])
	}
}
