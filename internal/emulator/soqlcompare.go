package emulator

import (
	"cmp"
	"strconv"
	"strings"
)

// canonicalText is a value in the form in which equal ones are the same text.
func canonicalText(f *field, s string) string {
	switch f.kind {
	case kindReference:
		if id, ok := canonicalID(s); ok {
			return id
		}
		return s
	case kindInt, kindDouble:
		if v, ok := parseDouble(s); ok {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
		return s
	case kindText, kindPicklist, kindMultipick, kindEmail:
		if !f.CaseSensitive {
			return fold(s)
		}
	}
	return s
}

// ordered returns how values of a field compare. Dates and times in the form
// that they are kept in compare as text.
func ordered(f *field) func(a, b string) int {
	if f.kind == kindInt || f.kind == kindDouble {
		return func(a, b string) int {
			x, _ := parseDouble(a)
			y, _ := parseDouble(b)
			return cmp.Compare(x, y)
		}
	}
	return func(a, b string) int { return strings.Compare(canonicalText(f, a), canonicalText(f, b)) }
}

func holds(op string, order int) bool {
	switch op {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case ">":
		return order > 0
	case "<=":
		return order <= 0
	}
	return order >= 0
}

// like matches % for any text and _ for any character, unless escaped.
func like(s, pattern string) bool {
	// The last % seen, and where in s it may stretch to.
	star, mark := -1, 0
	text, pat := []rune(s), []rune(pattern)
	i, j := 0, 0
	for i < len(text) {
		switch {
		case j < len(pat) && pat[j] == '%':
			star, mark = j, i
			j++
		case j+1 < len(pat) && pat[j] == '\\' && pat[j+1] == text[i]:
			i++
			j += 2
		case j < len(pat) && pat[j] != '\\' && (pat[j] == '_' || pat[j] == text[i]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = mark, star+1
		default:
			return false
		}
	}
	for j < len(pat) && pat[j] == '%' {
		j++
	}
	return j == len(pat)
}
