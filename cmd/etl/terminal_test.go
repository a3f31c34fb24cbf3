package main

import (
	"encoding/json"
	"strings"
	"testing"

	"bulkhead/internal/emulator"
)

// steering is what of an output a terminal would act on.
func steering(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= '\u202a' && r <= '\u202e' || r == '\ufffd' {
			return r
		}
		return -1
	}, s)
}

// TestNobodyElseSteersTheTerminal has an org and a source that try.
func TestNobodyElseSteersTheTerminal(t *testing.T) {
	t.Parallel()
	const hostile = "\x1b[2J\x1b]0;owned\x07\u009b31m\u202eevil\r\x7f"
	b := newBench(t, emulator.Config{})
	b.customers(6)
	b.sql(`UPDATE customers SET name = E'\x1b[31mred\x1b[0m\u009b' || repeat('x', 300) WHERE id = 2;
		UPDATE customers SET website = E'\x1b[2J' || id`)
	b.fault(emulator.Fault{On: emulator.OnRow, Do: emulator.DoRowError, Code: "NO", Message: hostile, Times: 2})
	var outputs []result
	show := func(args ...string) {
		for _, more := range [][]string{{"--log-level", "debug"}, {"--json", "--log-format", "json", "--log-level", "debug"}} {
			outputs = append(outputs, b.etl(append(args, more...)...))
		}
	}
	b.etl("run", "customers").exits(t, exitLeftovers)
	for _, args := range []string{"show 1", "runs", "failed list", "failed list --group", "failed show 1", "failed show 2", "plan customers"} {
		show(strings.Fields(args)...)
	}
	for _, f := range []emulator.Fault{
		{On: emulator.OnJob, Do: emulator.DoJobFail, Message: hostile},
		{Do: emulator.DoStatus, Status: 400, Body: jsonError("ODD", hostile), Path: "/jobs/ingest"},
		{Do: emulator.DoStatus, Status: 400, Body: "<html>" + hostile + "</html>", Path: "/jobs/ingest"},
		{Do: emulator.DoStatus, Status: 400, Body: `{"error":"` + "odd" + `","error_description":` + quoteJSON(hostile) + `}`, Path: "/oauth2/token"},
	} {
		id := b.fault(f)
		show("run", "customers", "--abandon")
		show("doctor")
		show("jobs", "list")
		b.org.RemoveFault(id)
	}
	for _, r := range outputs {
		if found := steering(r.stdout + r.stderr); found != "" {
			t.Errorf("%q steers the terminal:\n%q\n%q", found, r.stdout, r.stderr)
		}
	}
}

// TestNULFromTheOrg: Postgres stores no NUL, and the books are to close anyway.
func TestNULFromTheOrg(t *testing.T) {
	t.Parallel()
	const odd = "before\x00after \xff\xfe"
	b := newBench(t, emulator.Config{})
	b.customers(5)
	b.fault(emulator.Fault{On: emulator.OnRow, Do: emulator.DoRowError, Code: "NO", Message: odd, Times: 1})
	b.etl("run", "customers").exits(t, exitLeftovers).says(t, "4 of 5 rows loaded")
	for _, f := range []emulator.Fault{
		{On: emulator.OnJob, Do: emulator.DoJobFail, Message: odd, Times: 1},
		{Do: emulator.DoStatus, Status: 400, Body: jsonError("ODD", odd), Path: "/jobs/ingest", Times: 1},
	} {
		id := b.fault(f)
		r := b.etl("run", "customers", "--abandon")
		if strings.Contains(r.stdout+r.stderr, "SQLSTATE") {
			t.Errorf("%+v: Postgres refuses what is to be kept:\n%s%s", f, r.stdout, r.stderr)
		}
		b.org.RemoveFault(id)
	}
}

func jsonError(code, message string) string {
	return `[{"errorCode":"` + code + `","message":` + quoteJSON(message) + `}]`
}

func quoteJSON(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}
