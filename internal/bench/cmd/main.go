// Command bench measures what a load costs and prints it as a table. `make bench`
// runs it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"bulkhead/internal/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	missed, err := run(ctx)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
	}
	if err != nil || missed {
		stop()
		os.Exit(1)
	}
}

// run measures, and reports whether a target was missed that must be met.
func run(ctx context.Context) (missed bool, err error) {
	cfg := bench.Config{Log: os.Stderr}
	flag.StringVar(&cfg.Etl, "etl", "bin/etl", "the `program` that is measured")
	flag.Int64Var(&cfg.Rows, "rows", bench.DefaultRows, "`rows` of a load")
	flag.Int64Var(&cfg.LongRows, "long-rows", bench.DefaultLongRows, "`rows` of the long load")
	flag.IntVar(&cfg.Rounds, "rounds", bench.DefaultRounds, "`rounds` of what is short; the median counts")
	only := flag.String("only", "", "`items` to measure, separated by commas: "+strings.Join(bench.Items(), ", "))
	page := flag.String("page", "", "write the page to this `file`, and the plot beside it")
	asJSON := flag.Bool("json", false, "print the figures as JSON")
	strict := flag.Bool("strict", false, "exit code 1 where a target is missed")
	flag.Parse()
	if *only != "" {
		cfg.Only = strings.Split(*only, ",")
	}
	report, err := bench.Run(ctx, cfg)
	if err != nil {
		return false, err
	}
	missed = *strict && len(report.Missed()) > 0
	if *page != "" {
		if err := report.WritePage(*page); err != nil {
			return false, err
		}
	}
	if *asJSON {
		return missed, json.NewEncoder(os.Stdout).Encode(report)
	}
	return missed, report.WriteTable(os.Stdout)
}
