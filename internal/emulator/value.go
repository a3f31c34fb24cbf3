package emulator

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// nullMarker clears a field in a CSV; an empty value leaves it alone (Bulk API
// 2.0 guide, "Valid CSV Record Rows").
const nullMarker = "#N/A"

// deserialize turns a value as it was sent into the form it is stored in:
// plain decimals, dates as yyyy-MM-dd, times as UTC with milliseconds, booleans
// as true and false. False means that it is none of its field's type; whether
// the field takes it is for check.
func (f *field) deserialize(s string) (string, bool) {
	switch f.kind {
	case kindBoolean:
		return parseBoolean(s)
	case kindInt:
		n, err := strconv.ParseInt(strings.TrimPrefix(s, "+"), 10, 32)
		if err != nil {
			return "", false
		}
		if s[0] == '+' || s[0] == '0' || s[0] == '-' {
			s = strconv.FormatInt(n, 10)
		}
		return s, true
	case kindDouble:
		v, ok := parseDouble(s)
		if !ok {
			return "", false
		}
		return f.decimal(v), true
	case kindDate:
		return s, validDate(s)
	case kindDatetime:
		ms, ok := parseDatetime(s)
		if !ok {
			return "", false
		}
		return datetimeText(ms), true
	case kindTime:
		return parseTime(s)
	case kindReference:
		// What is no id is refused when it is saved, not when it is read.
		if id, ok := canonicalID(s); ok {
			return id, true
		}
		return s, true
	case kindBase64:
		_, err := base64.StdEncoding.DecodeString(s)
		return s, err == nil
	}
	if f.trim {
		s = strings.TrimSpace(s)
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s, true
}

// decimal rounds to the field's scale and prints without an exponent.
func (f *field) decimal(v float64) string {
	if math.Abs(v) < 1e15 {
		// Half away from zero on the decimal digits, as Java's HALF_UP on the
		// shortest text of a double.
		shortest := strconv.FormatFloat(v, 'f', -1, 64)
		if dot := strings.IndexByte(shortest, '.'); dot < 0 || len(shortest)-dot-1 <= f.Scale {
			return shortest
		}
		return roundHalfUp(shortest, f.Scale)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// roundHalfUp rounds a plain decimal to a number of places.
func roundHalfUp(s string, places int) string {
	dot := strings.IndexByte(s, '.')
	up := s[dot+1+places] >= '5'
	digits := []byte(s[:dot+1+places])
	if places == 0 {
		digits = digits[:dot]
	}
	for i := len(digits) - 1; up && i >= 0; i-- {
		switch c := digits[i]; {
		case c == '9':
			digits[i] = '0'
		case c >= '0' && c < '9':
			digits[i]++
			up = false
		}
	}
	text := string(digits)
	if up {
		sign := ""
		if text[0] == '-' {
			sign, text = "-", text[1:]
		}
		text = sign + "1" + text
	}
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		return "0"
	}
	return text
}

// parseBoolean reads an xsd:boolean, in any letter case.
func parseBoolean(s string) (string, bool) {
	switch {
	case s == "true", s == "1", strings.EqualFold(s, "true"):
		return "true", true
	case s == "false", s == "0", strings.EqualFold(s, "false"):
		return "false", true
	}
	return "", false
}

// parseDouble reads an xsd:double that is a number; exponents are allowed.
func parseDouble(s string) (float64, bool) {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false // ParseFloat knows hex, underscores and Inf
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

// validDate reports whether s is yyyy-MM-dd in the range Salesforce keeps.
func validDate(s string) bool {
	if len(s) != len("2006-01-02") || s[4] != '-' || s[7] != '-' {
		return false
	}
	year, ok1 := digits(s[:4])
	month, ok2 := digits(s[5:7])
	day, ok3 := digits(s[8:])
	return ok1 && ok2 && ok3 && year >= 1700 && year <= 4000 &&
		month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)
}

func digits(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, true
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month+1), 0, 0, 0, 0, 0, time.UTC).Day()
}

// parseDatetime reads yyyy-MM-ddTHH:mm:ss[.SSS] with Z or an offset, and
// returns milliseconds since 1970.
func parseDatetime(s string) (int64, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || !validDate(s[:10]) {
		return 0, false
	}
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), true
		}
	}
	return 0, false
}

// parseTime reads HH:mm:ss[.SSS]Z.
func parseTime(s string) (string, bool) {
	clock, utc := strings.CutSuffix(s, "Z")
	t, err := time.Parse("15:04:05", clock) // fractions of a second are read too
	if err != nil || !utc {
		return "", false
	}
	return t.Format("15:04:05.000") + "Z", true
}

// stamp is how every date of the API looks: UTC, milliseconds, an offset
// without a colon.
const stamp = "2006-01-02T15:04:05.000-0700"

func datetimeText(ms int64) string { return time.UnixMilli(ms).UTC().Format(stamp) }

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// appendJavaDouble prints a number as Java prints a double: at least one place
// after the point, and an exponent from ten million up and below a thousandth.
// That is how Salesforce echoes and answers numbers.
func appendJavaDouble(dst []byte, v float64) []byte {
	abs := math.Abs(v)
	if v == 0 || abs >= 1e-3 && abs < 1e7 {
		start := len(dst)
		dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
		for _, c := range dst[start:] {
			if c == '.' {
				return dst
			}
		}
		return append(dst, ".0"...)
	}
	var buf [32]byte
	text := strconv.AppendFloat(buf[:0], v, 'e', -1, 64) // d.ddde+XX
	e := len(text) - 1
	for text[e] != 'e' {
		e--
	}
	mantissa, exponent := text[:e], text[e+1:]
	dst = append(dst, mantissa...)
	if len(mantissa) < 3 {
		dst = append(dst, ".0"...)
	}
	dst = append(dst, 'E')
	if exponent[0] == '-' {
		dst = append(dst, '-')
	}
	exponent = exponent[1:]
	for len(exponent) > 1 && exponent[0] == '0' {
		exponent = exponent[1:]
	}
	return append(dst, exponent...)
}
