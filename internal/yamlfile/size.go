package yamlfile

import (
	"strconv"
	"strings"
)

// Bytes returns a size such as 90000000, 90MB (millions) or 64MiB, which must
// lie within the bounds.
func (v Value) Bytes(least, most int64) int64 {
	if !v.Exists() {
		return 0
	}
	text, kind, ok := v.Scalar()
	if !ok || kind != "str" && kind != "int" {
		v.wrongKind("a size such as 90MB, 64MiB or 90000000")
		return 0
	}
	digits := strings.TrimRight(text, "BbKkMmGgi ")
	n, err := strconv.ParseInt(strings.ReplaceAll(digits, "_", ""), 10, 64)
	unit, known := units()[strings.ToLower(strings.TrimSpace(text[len(digits):]))]
	if err != nil || !known {
		v.Problem("%q is no size: write it such as 90MB, 64MiB or 90000000", shorten(text))
		return 0
	}
	if n < 0 || n > most/unit || n*unit < least {
		v.Problem("must be from %s to %s, and %s is not", size(least), size(most), text)
		return 0
	}
	return n * unit
}

// units are the bytes of each unit, in lower case.
func units() map[string]int64 {
	return map[string]int64{
		"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
	}
}

// size writes a bound in the largest unit that divides it.
func size(n int64) string {
	for _, unit := range []string{"GB", "MB", "KB"} {
		if bytes := units()[strings.ToLower(unit)]; n > 0 && n%bytes == 0 {
			return strconv.FormatInt(n/bytes, 10) + unit
		}
	}
	return strconv.FormatInt(n, 10)
}
