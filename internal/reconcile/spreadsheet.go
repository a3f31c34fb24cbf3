package reconcile

import (
	"strings"
	"unicode/utf8"
)

// metaPrefix marks the columns of an export that describe the row; the others are its payload.
const metaPrefix = "etl_"

// Guard makes a value safe to open in a spreadsheet, which would take one that begins with = + - or @
// for a formula (as would some after a tab or a line break, and some with the wide forms of East
// Asian keyboards; OWASP, "CSV Injection"): an apostrophe goes in front. Plain numbers are left as they are. A value that has
// such an apostrophe already gets another, so that unguard gives back exactly what was there.
func Guard(v string) string {
	if looksLikeFormula(strings.TrimLeft(v, "'")) && !isPlainNumber(v) {
		return "'" + v
	}
	return v
}

// unguard takes away the apostrophe that Guard put in front.
func unguard(v string) string {
	if strings.HasPrefix(v, "'") && looksLikeFormula(strings.TrimLeft(v, "'")) {
		return v[1:]
	}
	return v
}

func looksLikeFormula(v string) bool {
	first, _ := utf8.DecodeRuneInString(v)
	return v != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first)
}

func isPlainNumber(v string) bool {
	digits := strings.TrimPrefix(v, "-")
	return digits != "" && strings.Trim(digits, "0123456789.") == "" && strings.Count(digits, ".") <= 1 && digits != "."
}
