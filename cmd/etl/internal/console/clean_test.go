package console_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"bulkhead/cmd/etl/internal/console"
)

// hostile is what an org, or a row, could try to do to a terminal.
func hostile() map[string]string {
	return map[string]string{
		"colour":             "\x1b[31mred\x1b[0m",
		"clear the screen":   "\x1b[2J\x1b[H",
		"title of a window":  "\x1b]0;owned\x07",
		"link":               "\x1b]8;;http://evil.example\x1b\\text\x1b]8;;\x1b\\",
		"clipboard":          "\x1b]52;c;ZXZpbA==\x07",
		"CSI in one char":    "\u009b2J",
		"CSI in one byte":    "\x9b2J",
		"backspaces":         "all loaded\b\b\b\b\b\b\b\b\b\b",
		"over the line":      "failed\rloaded",
		"NUL and DEL":        "a\x00b\x7fc",
		"direction of text":  "\u202edaol\u202c \u2066x\u2069",
		"half a character":   "\xe2\x80",
		"escape at the end":  "x\x1b",
		"device control":     "\x1bP$q\"p\x1b\\",
		"alternative screen": "\x1b[?1049h",
	}
}

// steering is what of a text a terminal would act on.
func steering(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0 || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069') {
			return r
		}
		return -1
	}, s)
}

func TestNothingFromElsewhereSteersTheTerminal(t *testing.T) {
	t.Parallel()
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			fmt.Fprintf(console.NewCleaner(&out), "etl: %s\n\tmore\n", text)
			fmt.Fprintf(console.NewLog(&out), "WARN\t%s\n", text)
			table := console.NewTable(console.Left("a"), console.Cut("b", 4))
			table.Row(text, &text)
			table.Render(&out)
			if found := steering(out.String()); found != "" || !utf8.Valid(out.Bytes()) {
				t.Errorf("%q lets %q through", out.String(), found)
			}
			if one := console.OneLine(text); steering(one) != "" || strings.ContainsAny(one, "\n\t") {
				t.Errorf("OneLine: %q", one)
			}
		})
	}
}

func TestCleanTextStaysAsItIs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[ -~éß漢字🚀✓→\n\t\x{00a0}]*`).Draw(rt, "text")
		var out bytes.Buffer
		n, err := console.NewCleaner(&out).Write([]byte(text))
		if out.String() != text || n != len(text) || err != nil {
			rt.Fatalf("%q became %q (%d, %v)", text, out.String(), n, err)
		}
		out.Reset()
		slow := console.NewCleaner(&out)
		for i := range len(text) {
			_, _ = slow.Write([]byte{text[i]})
		}
		if out.String() != text {
			rt.Fatalf("%q became %q byte by byte", text, out.String())
		}
	})
}

func TestEscapedJSONMeansTheSame(t *testing.T) {
	t.Parallel()
	for name, text := range hostile() {
		plain, err := json.Marshal([]string{text, "é→"})
		if err != nil {
			t.Fatal(err)
		}
		escaped := console.EscapeJSON(plain)
		var want, got []string
		if err := errors.Join(json.Unmarshal(plain, &want), json.Unmarshal(escaped, &got)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) || steering(string(escaped)) != "" {
			t.Errorf("%s: %s became %s", name, plain, escaped)
		}
	}
}

func TestAnyBytesAreMadeHarmless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.SliceOf(rapid.Byte()).Draw(rt, "bytes")
		var out bytes.Buffer
		writer := console.NewCleaner(&out)
		cut := rapid.IntRange(0, len(text)).Draw(rt, "cut")
		n, err := writer.Write(text[:cut])
		if more, _ := writer.Write(text[cut:]); n+more != len(text) || err != nil || steering(out.String()) != "" || !utf8.Valid(out.Bytes()) {
			rt.Fatalf("%q became %q (%d, %v)", text, out.String(), n, err)
		}
	})
}

func TestOnlyOurOwnColoursReachATerminal(t *testing.T) {
	t.Parallel()
	paint := console.Paint{On: true}
	ours := paint.Good("a") + paint.Warn("b") + paint.Bad("c") + paint.Bold("d")
	if got := console.CleanForTerminal(ours); got != ours {
		t.Errorf("our colours became %q", got)
	}
	if got := console.CleanForTerminal("\x1b[8mhidden\x1b[2J\x1b[31;1mx"); strings.Contains(got, "\x1b") {
		t.Errorf("got %q", got)
	}
	var out bytes.Buffer
	fmt.Fprint(console.NewCleaner(&out), ours)
	if out.String() != "[32ma[0m[33mb[0m[31mc[0m[1md[0m" {
		t.Errorf("where there is no terminal: %q", out.String())
	}
}
