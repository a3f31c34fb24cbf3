package yamlfile

import (
	"math"
	"strconv"
	"strings"
	"time"

	"bulkhead/internal/nearest"
)

// Share is a part of the whole, more than 0 and at most 1: 5% or 0.05.
func (v Value) Share() float64 {
	if !v.Exists() {
		return 0
	}
	text, kind, ok := v.Scalar()
	part, whole := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
	if !ok || err != nil || kind == "str" && !whole {
		v.Problem("must be a share such as 5%% or 0.05")
		return 0
	}
	if whole {
		n /= 100
	}
	if math.IsNaN(n) || n <= 0 || n > 1 {
		v.Problem("must be more than 0%% and at most 100%%, such as 5%% or 0.05")
		return 0
	}
	return n
}

// Duration is a length of time within bounds, such as 90s, 10m, 24h or 2d; missing
// where there is none.
func (v Value) Duration(missing, least, most time.Duration) time.Duration {
	if !v.Exists() {
		return missing
	}
	text, kind, ok := v.Scalar()
	t, err := time.ParseDuration(text)
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		var n int64
		n, err = strconv.ParseInt(days, 10, 16)
		t = time.Duration(n) * 24 * time.Hour
	}
	if !ok || kind != "str" || err != nil {
		v.Problem("must be a length of time with its unit, such as 90s, 10m, 24h or 2d")
		return missing
	}
	if t < least || t > most {
		v.Problem("must be from %s to %s", InWords(least), InWords(most))
		return missing
	}
	return t
}

// InWords writes a length of time the way people write it in a file.
func InWords(d time.Duration) string {
	switch {
	case d == 0:
		return "0s"
	case d%(24*time.Hour) == 0:
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	}
	if minutes, ok := strings.CutSuffix(d.String(), "m0s"); ok {
		return minutes + "m"
	}
	return d.String()
}

// OneOf is a word of a closed list.
func OneOf[T ~string](v Value, words ...T) T {
	text := v.NonEmpty()
	if text == "" {
		return ""
	}
	known := make([]string, len(words))
	for i, word := range words {
		if text == string(word) {
			return word
		}
		known[i] = string(word)
	}
	last := len(known) - 1
	choice := strings.Join(known[:last], ", ") + " or " + known[last]
	if near, ok := nearest.Name(text, known); ok {
		v.Problem("%q is not known; did you mean %q? It may be %s", text, near, choice)
	} else {
		v.Problem("%q is not known: it may be %s", text, choice)
	}
	return ""
}
