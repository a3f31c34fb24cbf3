package console

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// steers reports whether a character tells a terminal what to do instead of
// being shown: control characters, and those that turn the direction of text,
// by which a line can be made to read as another. The org's messages and the
// users' values come from elsewhere and may hold any of them.
func steers(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0:
		return true
	case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
		return true
	}
	return false
}

// OneLine puts text on one line and takes out what could steer a terminal.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case steers(r):
			return -1
		}
		return r
	}, s)
}

// EscapeJSON writes what could steer a terminal, and JSON lets stand, as \u
// sequences, which mean the same to whoever reads the JSON.
func EscapeJSON(text []byte) []byte {
	if !bytes.ContainsFunc(text, func(r rune) bool { return r >= 0x7f && steers(r) }) {
		return text
	}
	var out bytes.Buffer
	for _, r := range string(text) {
		if r >= 0x7f && steers(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
			continue
		}
		out.WriteRune(r)
	}
	return out.Bytes()
}

// Cleaner is a writer that lets through text and its line ends, and of what
// could steer a terminal only the colours of [Paint]. All output for people
// passes through one, so that no command can forget it. It is safe for
// concurrent use.
type Cleaner struct {
	to     io.Writer
	colour bool

	mu   sync.Mutex
	held []byte // the beginning of a character that the next Write goes on with
}

// NewCleaner returns a Cleaner in front of w, which lets colours through only
// where w is a terminal.
func NewCleaner(w io.Writer) *Cleaner {
	_, terminal := Width(w)
	return &Cleaner{to: w, colour: terminal}
}

// Write writes what is left of p, and reports all of p as written.
func (c *Cleaner) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := p
	if len(c.held) > 0 {
		text = append(c.held, p...)
	}
	whole := wholeRunes(text)
	c.held = append([]byte(nil), text[whole:]...)
	if _, err := c.to.Write(c.clean(text[:whole])); err != nil {
		return 0, err
	}
	return len(p), nil
}

// wholeRunes is the length of p without a character that it breaks off in.
func wholeRunes(p []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(p); back++ {
		if at := len(p) - back; utf8.RuneStart(p[at]) {
			if utf8.FullRune(p[at:]) {
				return len(p)
			}
			return at
		}
	}
	return len(p)
}

// clean returns p itself where there is nothing to take out.
func (c *Cleaner) clean(p []byte) []byte {
	if !bytes.ContainsFunc(p, func(r rune) bool { return r == utf8.RuneError || r != '\n' && r != '\t' && steers(r) }) {
		return p
	}
	out := make([]byte, 0, len(p))
	for len(p) > 0 {
		if n := c.sequence(p); n > 0 {
			out, p = append(out, p[:n]...), p[n:]
			continue
		}
		r, n := utf8.DecodeRune(p)
		switch {
		case r == '\n' || r == '\t':
			out = append(out, byte(r))
		case !steers(r):
			out = utf8.AppendRune(out, r) // a byte that is no UTF-8 becomes U+FFFD: alone it could be a control character
		}
		p = p[n:]
	}
	return out
}

// sequence is the length of the colour that p begins with, or 0.
func (c *Cleaner) sequence(p []byte) int {
	if !c.colour {
		return 0
	}
	for _, known := range []string{good, warn, bad, bold, plain, cellPostgres, cellNetwork, cellSalesforce, cellState, cellHalted, cellSpool} {
		if bytes.HasPrefix(p, []byte(known)) {
			return len(known)
		}
	}
	return 0
}

// behind is the writer behind a Cleaner, or w itself.
func behind(w io.Writer) io.Writer {
	if c, ok := w.(*Cleaner); ok {
		return c.to
	}
	return w
}
