package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/internal/emulator"
)

type emulatorOptions struct {
	config                 emulator.Config
	describe, jwtCert      string
	clientID, clientSecret string
	username               string
	faults                 []string
	withJSON               bool
}

func newEmulatorCmd(a *app) *cobra.Command {
	var opts emulatorOptions
	cmd := &cobra.Command{
		Use:   "emulator",
		Short: "Run a local org that speaks OAuth, Bulk API 2.0, describe, limits and query",
		Long: `Run a local org, until interrupted: OAuth, Bulk API 2.0 ingest, describe, limits
and query, with Salesforce's limits and habits. It has the usual objects, with an
external id Legacy_Id__c, and Invoice__c; --describe takes those of an org
instead ("sf sobject describe" writes such files). Records are kept in memory and
are gone when it ends.

The variables that point etl at it are printed first. --fault lets something go
wrong, as a JSON object, a list of them, or @FILE:

  {"on":"row","do":"row-error","object":"Contact","every":100,"code":"REQUIRED_FIELD_MISSING","fields":["LastName"]}
  {"on":"row","do":"row-error","object":"Account","every":50,"times":20}
  {"on":"request","do":"cut-after","method":"PUT","times":1}
  {"on":"request","do":"status","status":503,"path":"/jobs/ingest","probability":0.1}
  {"on":"job","do":"job-fail","batches":1,"times":1,"message":"InvalidBatch : boom"}`,
		Example: `  etl emulator
  etl emulator --addr 127.0.0.1:9000 > emulator.env &   # then: . ./emulator.env
  etl emulator --batch-latency 500ms --fault @faults.json`,
		Args: wants(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runEmulator(cmd.Context(), a, opts) },
	}
	addEmulatorFlags(cmd, &opts)
	addJSON(cmd, &opts.withJSON)
	return cmd
}

func addEmulatorFlags(cmd *cobra.Command, opts *emulatorOptions) {
	c, flags := &opts.config, cmd.Flags()
	flags.StringVar(&c.Addr, "addr", "127.0.0.1:8089", "`address` to listen on; port 0 picks a free one")
	flags.StringVar(&opts.describe, "describe", "", "`folder` of describe files, one *.json per object (default: built-in ones)")
	flags.StringVar(&c.DataDir, "data", "", "`folder` to keep what jobs upload and answer (default: a temporary one)")
	flags.StringVar(&opts.clientID, "client-id", emulator.DefaultClientID, "consumer key of the app that may log in")
	flags.StringVar(&opts.clientSecret, "client-secret", emulator.DefaultClientSecret, "consumer secret of the app")
	flags.StringVar(&opts.username, "username", emulator.DefaultUsername, "the user that logs in")
	flags.StringVar(&opts.jwtCert, "jwt-cert", "", "certificate or public key `file`, PEM: allows logins by JWT")
	flags.DurationVar(&c.Latency, "latency", 0, "`time` that every answer takes")
	flags.DurationVar(&c.BatchLatency, "batch-latency", 0, "`time` that every batch of 10,000 records takes")
	flags.IntVar(&c.BatchParallel, "batch-parallel", emulator.DefaultBatchParallel, "batches that the org works on at once")
	flags.IntVar(&c.BatchSize, "batch-size", emulator.DefaultBatchSize, "records per batch")
	flags.BoolVar(&c.Discard, "discard", false, "check records and keep none, for loads beyond the memory of this machine")
	flags.DurationVar(&c.Session, "session", emulator.DefaultSession, "`time` that a session lives")
	flags.Int64Var(&c.Limits.DailyAPIRequests, "api-limit", 0, "API `calls` per day (default 100,000; -1 none left)")
	flags.Int64Var(&c.Limits.DailyBatches, "batch-limit", 0, "ingest `batches` per day (default 15,000; -1 none left)")
	flags.Int64Var(&c.Limits.DailyRecords, "record-limit", 0, "ingested `records` per day (default 150,000,000; -1 none left)")
	flags.Int64Var(&c.Limits.StorageRecords, "storage-limit", 0, "`records` that the org can hold (default: no limit)")
	flags.StringArrayVar(&opts.faults, "fault", nil, "something that goes wrong, as `JSON` or @FILE; may be repeated")
	flags.Int64Var(&c.Seed, "seed", 0, "`number` that decides all that is random")
}

func runEmulator(ctx context.Context, a *app, opts emulatorOptions) error {
	config, err := opts.build()
	if err != nil {
		return asUsage(err)
	}
	config.Logger = a.log.Named("emulator")
	server, err := emulator.Start(ctx, config)
	if err != nil {
		return err
	}
	if err := a.printEmulator(server.URL(), opts); err != nil {
		_ = server.Close()
		return err
	}
	<-ctx.Done()
	fmt.Fprintln(a.stderr, "etl: the emulator stops; its records are gone")
	return server.Close()
}

// build fills in what the flags say in words.
func (o emulatorOptions) build() (emulator.Config, error) {
	config := o.config
	app := emulator.App{ClientID: o.clientID, ClientSecret: o.clientSecret, RunAs: o.username}
	if o.jwtCert != "" {
		key, err := os.ReadFile(o.jwtCert)
		if err != nil {
			return config, fmt.Errorf("--jwt-cert: %w", err)
		}
		app.PublicKey = key
	}
	config.Apps = []emulator.App{app}
	config.Users = []emulator.User{{Username: o.username, FirstName: "Emulator", LastName: "Admin", Email: o.username}}
	if o.describe != "" {
		if info, err := os.Stat(o.describe); err != nil || !info.IsDir() {
			return config, fmt.Errorf("--describe: %q is no folder", o.describe)
		}
		config.Describe = os.DirFS(o.describe)
	}
	for _, text := range o.faults {
		faults, err := readFaults(text)
		if err != nil {
			return config, fmt.Errorf("--fault: %w", err)
		}
		config.Faults = append(config.Faults, faults...)
	}
	return config, nil
}

// readFaults reads one fault, or a list of them, from JSON or from @FILE.
func readFaults(text string) ([]emulator.Fault, error) {
	if name, isFile := strings.CutPrefix(text, "@"); isFile {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		text = string(content)
	}
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "[") {
		text = "[" + text + "]"
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	var faults []emulator.Fault
	if err := decoder.Decode(&faults); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("more after the JSON")
	}
	return faults, nil
}

// printEmulator prints how to reach the emulator.
func (a *app) printEmulator(url string, opts emulatorOptions) error {
	env := [][2]string{
		{"SALESFORCE_LOGIN_URL", url},
		{"SALESFORCE_CLIENT_ID", opts.clientID},
		{"SALESFORCE_CLIENT_SECRET", opts.clientSecret},
	}
	if opts.withJSON {
		variables := map[string]string{}
		for _, v := range env {
			variables[v[0]] = v[1]
		}
		return a.printJSON(struct {
			URL       string            `json:"url"`
			Env       map[string]string `json:"env"`
			StartedAt time.Time         `json:"started_at"`
		}{url, variables, time.Now().UTC()})
	}
	a.printf("# The emulator answers at %s until it is interrupted. Point etl at it:\n", url)
	for _, v := range env {
		a.printf("export %s=%s\n", v[0], shellQuote(v[1]))
	}
	a.printf(`
# Or curl:
# TOKEN=$(curl -s %[1]s/services/oauth2/token -d grant_type=client_credentials \
#   -d client_id=$SALESFORCE_CLIENT_ID -d client_secret=$SALESFORCE_CLIENT_SECRET | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
# curl -s -H "Authorization: Bearer $TOKEN" %[1]s/services/data/v%[2]d.0/jobs/ingest
`, url, emulator.MaxVersion-1)
	return nil
}

// shellQuote makes text one word of a shell.
func shellQuote(s string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/@%+"
	if s != "" && strings.Trim(s, safe) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
