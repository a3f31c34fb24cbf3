package emulator

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// tokenKind is what a token of SOQL is.
type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // a name, a path such as Account.Name, or a keyword
	tokenNumber           // also dates and times, which look like it
	tokenString
	tokenSign // = != < > <= >= ( ) ,
)

// token is a piece of a query. text is what it means: of a string, without
// quotes and escapes.
type token struct {
	kind tokenKind
	text string
	pos  int // in the query, in bytes
}

// lexer cuts a query into tokens.
type lexer struct {
	query string
	pos   int
}

// next returns the next token; tokenEnd for ever at the end.
func (l *lexer) next() (token, error) {
	for l.pos < len(l.query) && isBlank(l.query[l.pos]) {
		l.pos++
	}
	start := l.pos
	if start == len(l.query) {
		return token{tokenEnd, "<EOF>", start}, nil
	}
	switch c := l.query[start]; {
	case c == '\'':
		return l.quoted()
	case isWordStart(c):
		return l.take(tokenWord, func(c byte) bool { return isAlphanumeric(c) || c == '_' || c == '.' || c == ':' }), nil
	case c >= '0' && c <= '9', c == '-' || c == '+', c == '.':
		return l.take(tokenNumber, func(c byte) bool {
			return isAlphanumeric(c) || c == '.' || c == '-' || c == '+' || c == ':'
		}), nil
	case strings.IndexByte("=(),<>!", c) >= 0:
		return l.sign()
	}
	r, _ := utf8.DecodeRuneInString(l.query[start:])
	return token{}, malformed(l.query, start, "unexpected token: '%c'", r)
}

func (l *lexer) take(kind tokenKind, belongs func(byte) bool) token {
	start := l.pos
	for l.pos++; l.pos < len(l.query) && belongs(l.query[l.pos]); l.pos++ {
	}
	return token{kind, l.query[start:l.pos], start}
}

func (l *lexer) sign() (token, error) {
	start := l.pos
	two := l.query[start:min(start+2, len(l.query))]
	switch two {
	case "!=", "<=", ">=", "<>":
		l.pos += 2
		if two == "<>" {
			two = "!="
		}
		return token{tokenSign, two, start}, nil
	}
	if two[0] == '!' {
		return token{}, malformed(l.query, start, "unexpected token: '!'")
	}
	l.pos++
	return token{tokenSign, two[:1], start}, nil
}

// quoted reads a string with SOQL's escapes.
func (l *lexer) quoted() (token, error) {
	start := l.pos
	var b strings.Builder
	for i := start + 1; i < len(l.query); i++ {
		switch c := l.query[i]; c {
		case '\'':
			l.pos = i + 1
			return token{tokenString, b.String(), start}, nil
		case '\\':
			i++
			if i == len(l.query) {
				return token{}, malformed(l.query, start, "unexpected char: '\\'")
			}
			if err := unescape(&b, l.query, i); err != nil {
				return token{}, err
			}
		default:
			b.WriteByte(c)
		}
	}
	return token{}, malformed(l.query, start, "expecting a quote, found end of query")
}

// unescape writes what the character behind a backslash stands for. The
// wildcards of LIKE keep their backslash, since only LIKE may take it off.
func unescape(b *strings.Builder, query string, at int) error {
	switch c := query[at]; c {
	case 'n', 'N':
		b.WriteByte('\n')
	case 'r', 'R':
		b.WriteByte('\r')
	case 't', 'T':
		b.WriteByte('\t')
	case 'b', 'B':
		b.WriteByte('\b')
	case 'f', 'F':
		b.WriteByte('\f')
	case '\'', '"', '\\':
		b.WriteByte(c)
	case '_', '%':
		b.WriteByte('\\')
		b.WriteByte(c)
	default:
		return malformed(query, at, "Invalid string literal: illegal character sequence '\\%c' in string literal", c)
	}
	return nil
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isWordStart(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_'
}

// malformed is a query that cannot be read.
func malformed(query string, pos int, format string, args ...any) error {
	return queryError("MALFORMED_QUERY", query, pos, fmt.Sprintf(format, args...))
}

// queryError shows the place in the query, as Salesforce does.
func queryError(code, query string, pos int, message string) error {
	begin := max(0, pos-40)
	for begin > 0 && !utf8.RuneStart(query[begin]) {
		begin--
	}
	finish := min(len(query), pos+40)
	for finish < len(query) && !utf8.RuneStart(query[finish]) {
		finish++
	}
	row := 1 + strings.Count(query[:pos], "\n")
	column := pos - strings.LastIndexByte(query[:pos], '\n')
	return refuse(http.StatusBadRequest, code, "\n%s\n%s^\nERROR at Row:%d:Column:%d\n%s",
		query[begin:finish], strings.Repeat(" ", pos-begin), row, column, message)
}
