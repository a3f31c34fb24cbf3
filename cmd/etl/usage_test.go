package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); go test ./cmd/etl -update writes it anew:\n%s", path, diff)
	}
}

// commands are all commands of the tree, but cobra's own.
func commands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, c := range cmd.Commands() {
		if c.Name() != "completion" && c.Name() != "help" {
			all = append(all, commands(c)...)
		}
	}
	return all
}

func tree() []*cobra.Command {
	return commands(newRootCmd(newApp(invocation{env: func(string) (string, bool) { return "", false }})))
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, cmd := range tree() {
		path := strings.Fields(cmd.CommandPath())[1:]
		name := strings.Join(append([]string{"etl"}, path...), "-")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if cmd.Short == "" || cmd.Example == "" {
				t.Error("a command needs a short text and an example")
			}
			r := newOfflineBench(t).etl(append(path, "--help")...).exits(t, exitDone)
			golden(t, filepath.Join("help", name+".golden"), r.stdout)
			for line := range strings.Lines(r.stdout) {
				if len([]rune(strings.TrimRight(line, "\n"))) > 160 {
					t.Errorf("line too long: %s", line)
				}
			}
		})
	}
}

// TestHelpCommand: "help NAME" and "NAME --help" are the same.
func TestHelpCommand(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "run", "failed", "failed list", "completion", "completion bash"} {
		words := strings.Fields(name)
		b := newOfflineBench(t)
		asked := b.etl(append([]string{"help"}, words...)...).exits(t, exitDone)
		shown := b.etl(append(words, "--help")...).exits(t, exitDone)
		if diff := cmp.Diff(shown.stdout, asked.stdout); diff != "" {
			t.Errorf("help %s differs from --help (-want +got):\n%s", name, diff)
		}
	}
	newOfflineBench(t).etl("__complete", "help", "failed", "").exits(t, exitDone).says(t, "list\tList records")
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, args string
		want       []string
	}{
		{"unknown command", "rnu", []string{`unknown command "rnu" for "etl"`, `Did you mean "etl run"?`}},
		{"unknown subcommand", "failed lst", []string{`unknown command "lst" for "etl failed"`, `Did you mean "etl failed list"?`}},
		{"help of an unknown command", "rnu --help", []string{`unknown command "rnu" for "etl"`, `Did you mean "etl run"?`}},
		{"help of an unknown subcommand", "failed lst --help", []string{`unknown command "lst" for "etl failed"`, `Did you mean "etl failed list"?`}},
		{"help on an unknown command", "help rnu", []string{`unknown command "rnu" for "etl"`, `Did you mean "etl run"?`}},
		{"help on an unknown subcommand", "help failed lst", []string{`unknown command "lst" for "etl failed"`, `Did you mean "etl failed list"?`}},
		{"help on a command and more", "help run fast", []string{`unknown command "fast" for "etl run"`}},
		{"folder that is not there", "runs --dir nowhere", []string{"--dir: ", "nowhere"}},
		{"unknown flag", "runs --jsn", []string{"unknown flag: --jsn", "Did you mean --json?"}},
		{"flag without its value", "runs --limit", []string{"flag needs an argument: --limit", `See "etl runs --help".`}},
		{"flag of a wrong type", "runs --limit many", []string{`--limit: want a number, got "many"`, `See "etl runs --help".`}},
		{"switch of a wrong type", "runs --json=maybe", []string{`--json: want true or false, got "maybe"`}},
		{"missing argument", "run", []string{`"etl run" needs PIPELINE`}},
		{"too many arguments", "run a b", []string{`"etl run" takes only PIPELINE, got "b" too`}},
		{"argument where none is", "limits now", []string{`"etl limits" takes no argument, got "now"`}},
		{"log level", "version --log-level loud", []string{`--log-level: want debug, info, warn or error, got "loud"`}},
		{"log format", "version --log-format xml", []string{`--log-format: want console or json, got "xml"`}},
		{"run that is no number", "show last", []string{`run "last": want a number, as "etl runs" lists them`}},
		{"record that is no number", "failed show -- -3", []string{`record "-3": want a number`}},
		{"state of runs", "runs --state done", []string{"--state: want one of", `"succeeded"`}},
		{"status of records", "failed list --status old", []string{"--status: want open, retrying, resolved, ignored or all"}},
		{"where a retry reads", "failed retry --from disk", []string{"--from: want source or payload"}},
		{"ignore without a filter", "failed ignore", []string{`"etl failed ignore" needs a filter, or --all for every record`}},
		{"negative limit", "run x --limit -1", []string{"--limit: want 1 or more"}},
		{"kind of results", "jobs results 750 --kind good", []string{"--kind: want failed, successful or unprocessed"}},
		{"export as JSON to stdout", "failed export --json", []string{"--json needs --output"}},
		{"no database", "runs", []string{"ETL_DATABASE_URL is not set"}},
		{"no org", "limits", []string{"no Salesforce org is set up", "SALESFORCE_LOGIN_URL"}},
		{"no such pipeline", "run nightly", []string{`pipeline "nightly"`, "there are no pipeline files"}},
		{"a fault that is no JSON", "emulator --fault boom", []string{"--fault: "}},
		{"a fault with a key that is none", `emulator --fault {"onn":"row"}`, []string{`--fault: json: unknown field "onn"`}},
		{"import of a file that is not there", "failed import gone.csv", []string{"import: open gone.csv"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newOfflineBench(t).etl(strings.Fields(test.args)...).exits(t, exitUsage).says(t, test.want...)
			if r.stdout != "" {
				t.Errorf("stdout holds %q", r.stdout)
			}
		})
	}
}

func TestVersionAndSchema(t *testing.T) {
	t.Parallel()
	b := newOfflineBench(t)
	v := decode[map[string]any](t, b.etl("version", "--json").exits(t, exitDone))
	for _, key := range []string{"version", "modified", "go", "platform"} {
		if _, ok := v[key]; !ok {
			t.Errorf("version --json lacks %q: %v", key, v)
		}
	}
	b.etl("version").exits(t, exitDone).says(t, "etl ", "go1.")
	schema := decode[map[string]any](t, b.etl("schema").exits(t, exitDone))
	if schema["$schema"] == nil {
		t.Error("the schema does not say that it is one")
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	b := newOfflineBench(t)
	b.write("pipelines/customers.yaml", customersYAML)
	b.etl("completion", "bash").exits(t, exitDone).says(t, "bash completion V2 for etl")
	b.etl("__complete", "run", "").exits(t, exitDone).says(t, "customers")
	b.etl("__complete", "run", "customers", "--step", "").exits(t, exitDone).says(t, "accounts\tupsert Account")
	b.etl("__complete", "failed", "list", "--status", "").exits(t, exitDone).says(t, "resolved")
	b.etl("__complete", "show", "").exits(t, exitDone) // without a database: nothing, and no noise
}

func TestInit(t *testing.T) {
	t.Parallel()
	b := newOfflineBench(t)
	dir := filepath.Join(b.dir, "my project")
	b.etl("init", dir).exits(t, exitDone).says(t, "wrote", "etl.yaml", "etl emulator", "cd '")
	b.dir = dir
	b.etl("validate").exits(t, exitDone).says(t, `pipeline "example", 2 steps`)

	b.write("etl.yaml", "# mine\n")
	again := decode[initialized](t, b.etl("init", dir, "--json").exits(t, exitDone))
	if len(again.Created) != 0 || len(again.Kept) != 4 {
		t.Errorf("a second init created %v and kept %v", again.Created, again.Kept)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "etl.yaml")); err != nil || string(text) != "# mine\n" {
		t.Errorf("etl.yaml was overwritten: %q, %v", text, err)
	}
	b.write(".gitignore", "bin/")
	b.etl("init", dir).exits(t, exitDone)
	if text, err := os.ReadFile(filepath.Join(dir, ".gitignore")); err != nil || string(text) != "bin/\n.env\n" {
		t.Errorf(".gitignore is %q, %v", text, err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, yaml string
		want       []string
	}{
		{"misspelt key", strings.Replace(customersYAML, "external_id:", "extrenal_id:", 1), []string{":6:5: ", `did you mean "external_id"?`}},
		{"duplicate step", customersYAML + strings.TrimPrefix(customersYAML, "name: customers\nsteps:\n"), []string{`"accounts"`, ":13:"}},
		{"cycle", cycleYAML, []string{":3:", "first", "second"}},
		{"no key", strings.Replace(customersYAML, "    key: id\n", "", 1), []string{"key"}},
		{"no YAML", "name: [", []string{"customers.yaml:2:1: this is no valid YAML"}},
		{"empty file", "", []string{"customers.yaml"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newOfflineBench(t)
			b.write("pipelines/customers.yaml", test.yaml)
			b.etl("validate").exits(t, exitUsage).says(t, append(test.want, "✗", "mistake")...)
			b.etl("run", "customers").exits(t, exitUsage).says(t, test.want...)
			view := decode[struct {
				Valid bool
				Files []checkedFile
			}](t, b.etl("validate", "--json").exits(t, exitUsage))
			if view.Valid || len(view.Files) != 1 || len(view.Files[0].Problems) == 0 {
				t.Errorf("validate --json says %+v", view)
			}
		})
	}
	t.Run("two files of one name", func(t *testing.T) {
		t.Parallel()
		b := newOfflineBench(t)
		b.write("pipelines/a.yaml", customersYAML)
		b.write("pipelines/b.yaml", customersYAML)
		b.etl("validate").exits(t, exitUsage).says(t, `is named "customers" too`)
	})
	t.Run("project file", func(t *testing.T) {
		t.Parallel()
		b := newOfflineBench(t)
		b.write("etl.yaml", "sorces: {}\n")
		b.write("pipelines/a.yaml", customersYAML)
		b.etl("validate").exits(t, exitUsage).says(t, "etl.yaml:1:1", `did you mean "sources"?`, `pipeline "customers"`)
		b.etl("run", "a").exits(t, exitUsage).says(t, "etl.yaml:1:1")
	})
	t.Run("files as seen from here", func(t *testing.T) {
		t.Parallel()
		b := newOfflineBench(t)
		var err error
		if b.dir, err = os.MkdirTemp("testdata", "project-"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(b.dir) })
		b.write("etl.yaml", "sorces: {}\n")
		b.write("pipelines/a.yaml", strings.Replace(customersYAML, "key: id", "kee: id", 1))
		b.etl("validate").exits(t, exitUsage).says(t, "\n"+b.dir+"/etl.yaml:1:1: ", "\n"+b.dir+"/pipelines/a.yaml:8:5: ")
		b.write("etl.yaml", "")
		if r := b.etl("run", "a").exits(t, exitUsage); !strings.HasPrefix(r.stderr, b.dir+"/pipelines/a.yaml:") {
			t.Errorf("run says %q", r.stderr)
		}
	})
	t.Run("unknown pipeline", func(t *testing.T) {
		t.Parallel()
		b := newOfflineBench(t)
		b.write("pipelines/customers.yaml", customersYAML)
		b.etl("run", "custmers").exits(t, exitUsage).says(t, `did you mean "customers"?`)
		b.etl("run", "customers", "--step", "acounts").exits(t, exitUsage).says(t, `has no step "acounts"`, `Did you mean "accounts"?`)
	})
}

const cycleYAML = `name: customers
steps:
  - {name: first, needs: [second], object: Account, operation: insert, query: SELECT 1 AS id, key: id, fields: {Name: id}}
  - {name: second, needs: [first], object: Account, operation: insert, query: SELECT 1 AS id, key: id, fields: {Name: id}}
`
