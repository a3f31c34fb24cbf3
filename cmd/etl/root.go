package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bulkhead/internal/nearest"
)

// invocation is one call of the program, as the tests make it too.
type invocation struct {
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) (string, bool)
	pace           pace
}

// execute runs a command line to its end and returns the exit code. Ending ctx
// interrupts it.
func execute(ctx context.Context, inv invocation) int {
	a := newApp(inv)
	root := newRootCmd(a) //nolint:contextcheck // cobra hands ctx on: ExecuteContext below, cmd.Context in the commands
	root.SetArgs(inv.args)
	root.SetIn(inv.stdin)
	root.SetOut(inv.stdout)
	root.SetErr(a.stderr)
	err := cmp.Or(root.ExecuteContext(ctx), a.helpErr)
	report(ctx, a.stderr, err)
	return exitCode(ctx, err)
}

func newRootCmd(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "etl",
		Short: "Load Postgres into Salesforce through Bulk API 2.0",
		Long: `etl loads rows from Postgres into Salesforce through Bulk API 2.0. A pipeline
file says which rows go where. Each load is cut into chunks that are sealed from
each other; every record ends in exactly one place, and what did not load waits
in the table etl.reconciliation to be mended and sent again. A load that was
interrupted anywhere is finished with "etl resume".`,
		Example: `  etl init my-project          # a project to start from
  etl validate                 # check the files, without a connection
  etl plan example             # what a run would do; sends nothing
  etl run example              # do it
  etl failed list              # what did not load, and why
  etl failed retry             # send it again`,
		SilenceErrors: true, SilenceUsage: true,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.dir, "dir", ".", "project `folder`; etl.yaml is looked for there and above")
	flags.StringVar(&a.logLevel, "log-level", "", "`level` of logs on stderr: debug, info, warn or error (default warn, or info with --log-format json)")
	flags.StringVar(&a.logFormat, "log-format", "console", "`format` of logs and progress on stderr: console or json")
	flags.BoolVar(&a.noColor, "no-color", false, "no colours (as does the variable NO_COLOR)")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return a.prepare(cmd) }
	root.SetFlagErrorFunc(flagError)
	for _, g := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"start", "Begin and check:", []*cobra.Command{newInitCmd(a), newValidateCmd(a), newPlanCmd(a), newDriftCmd(a), newDoctorCmd(a), newSchemaCmd(a)}},
		{"load", "Load, and work what did not load:", []*cobra.Command{newRunCmd(a), newResumeCmd(a), newRunsCmd(a), newShowCmd(a), newVerifyCmd(a), newFailedCmd(a)}},
		{"nightly", "Every night, unattended:", []*cobra.Command{newServeCmd(a), newScheduleCmd(a)}},
		{"org", "The org and the state:", []*cobra.Command{newLimitsCmd(a), newJobsCmd(a), newWatermarksCmd(a), newMigrateCmd(a)}},
		{"try", "Try it without an org:", []*cobra.Command{newDemoCmd(a), newEmulatorCmd(a)}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, cmd := range g.commands {
			cmd.GroupID = g.id
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(newVersionCmd(a))
	a.addHelp(root)
	complete(root.RegisterFlagCompletionFunc("log-level", fixed("debug", "info", "warn", "error")))
	complete(root.RegisterFlagCompletionFunc("log-format", fixed("console", "json")))
	return root
}

// group makes a command that only holds others.
func group(cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
	cmd.Args = unknownCommand
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(below...)
	return cmd
}

// unknownCommand refuses arguments where a command's name is wanted.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(append(names, c.Name()), c.Aliases...)
		}
	}
	e := &usageError{err: fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath()), hint: seeHelp(cmd)}
	if best, ok := nearest.Name(args[0], names); ok {
		e.hint = fmt.Sprintf("Did you mean %q?", cmd.CommandPath()+" "+best)
	}
	return e
}

// flagError makes a usage error of what is wrong with the flags.
func flagError(cmd *cobra.Command, err error) error {
	e := &usageError{err: err, hint: seeHelp(cmd)}
	var invalid *pflag.InvalidValueError
	var number *strconv.NumError
	if errors.As(err, &invalid) && errors.As(err, &number) {
		e.err = fmt.Errorf("--%s: want %s, got %q", invalid.GetFlag().Name, wanted(invalid.GetFlag()), invalid.GetValue())
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return e
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if best, ok := nearest.Name(unknown.GetSpecifiedName(), names); ok {
		e.hint = fmt.Sprintf("Did you mean --%s?", best)
	}
	return e
}

// wanted says what a flag takes whose value was none that strconv reads.
func wanted(flag *pflag.Flag) string {
	if flag.Value.Type() == "bool" {
		return "true or false"
	}
	return "a number"
}

func seeHelp(cmd *cobra.Command) string {
	return fmt.Sprintf("See %q.", cmd.CommandPath()+" --help")
}

// wants is the arguments that a command takes: names in capitals, optional ones
// in brackets, such as "RUN" or "[FILE]...".
func wants(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		least, most := 0, len(names)
		for _, name := range names {
			if !strings.HasPrefix(name, "[") {
				least++
			}
			if strings.HasSuffix(name, "...") {
				most = len(args)
			}
		}
		switch {
		case len(args) < least:
			return &usageError{err: fmt.Errorf("%q needs %s", cmd.CommandPath(), names[len(args)]), hint: seeHelp(cmd)}
		case len(args) > most && most == 0:
			return &usageError{err: fmt.Errorf("%q takes no argument, got %q", cmd.CommandPath(), args[0]), hint: seeHelp(cmd)}
		case len(args) > most:
			return &usageError{err: fmt.Errorf("%q takes only %s, got %q too", cmd.CommandPath(), strings.Join(names, " "), args[most]), hint: seeHelp(cmd)}
		}
		return nil
	}
}

// addJSON adds the flag that every command has that reports something.
func addJSON(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "json", false, "print JSON, for scripts")
}
