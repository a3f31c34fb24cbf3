package reconcile

import (
	"bytes"
	"strconv"
)

// appendCanonical appends v as Salesforce might give it back: it trims text, folds case, returns
// numbers in scientific notation (912260031 as 9.12260031E8) and times with or without their
// milliseconds. Two values with one canonical form may be the same value; they need not be.
func appendCanonical(dst, v []byte) []byte {
	v = bytes.TrimSpace(v)
	if len(v) == 0 || string(v) == "#N/A" {
		return dst
	}
	if out, ok := appendNumber(dst, v); ok {
		return out
	}
	if isTimestamp(v) {
		return appendTimestamp(dst, v)
	}
	return append(dst, bytes.ToLower(v)...)
}

// appendNumber writes a decimal number as its significant digits and a power of ten.
func appendNumber(dst, v []byte) ([]byte, bool) {
	mantissa, exponent := v, 0
	if i := bytes.IndexAny(v, "eE"); i >= 0 {
		n, err := strconv.Atoi(string(v[i+1:]))
		if err != nil || n < -1000 || n > 1000 {
			return dst, false
		}
		mantissa, exponent = v[:i], n
	}
	start := len(dst)
	negative := false
	switch mantissa = bytes.TrimPrefix(mantissa, []byte("+")); {
	case len(mantissa) > 0 && mantissa[0] == '-':
		negative, mantissa = true, mantissa[1:]
	}
	digits, point, seen := start, false, false
	if negative {
		dst = append(dst, '-')
		digits++
	}
	for _, c := range mantissa {
		switch {
		case c == '.' && !point:
			point = true
		case c >= '0' && c <= '9':
			seen = true
			if point {
				exponent--
			}
			if c != '0' || len(dst) > digits {
				dst = append(dst, c)
			}
		default:
			return dst[:start], false
		}
	}
	if !seen {
		return dst[:start], false
	}
	for len(dst) > digits && dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
		exponent++
	}
	if len(dst) == digits {
		return append(dst[:start], '0'), true
	}
	dst = append(dst, 'e')
	return strconv.AppendInt(dst, int64(exponent), 10), true
}

// isTimestamp recognises yyyy-MM-ddTHH:mm:ss with anything behind it.
func isTimestamp(v []byte) bool {
	const shape = "0000-00-00T00:00:00"
	if len(v) <= len(shape) {
		return false
	}
	for i := range len(shape) {
		if digit := v[i] >= '0' && v[i] <= '9'; digit != (shape[i] == '0') || !digit && v[i] != shape[i] {
			return false
		}
	}
	return true
}

// appendTimestamp drops a fraction of zeros and writes the zone UTC as Z.
func appendTimestamp(dst, v []byte) []byte {
	const seconds = len("0000-00-00T00:00:00")
	dst = append(dst, v[:seconds]...)
	rest := v[seconds:]
	if rest[0] == '.' {
		end := 1
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		if fraction := bytes.TrimRight(rest[:end], "0"); len(fraction) > 1 {
			dst = append(dst, fraction...)
		}
		rest = rest[end:]
	}
	switch string(rest) {
	case "", "Z", "z", "+0000", "+00:00", "-0000", "-00:00":
		return append(dst, 'Z')
	}
	return append(dst, rest...)
}
