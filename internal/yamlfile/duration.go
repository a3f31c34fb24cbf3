package yamlfile

import (
	"strconv"
	"strings"
	"time"
)

// Duration returns a length of time such as 90s, 10m, 24h or 2d, which must lie
// within the bounds, and missing where there is none.
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
		v.Problem("must be from %s to %s", inWords(least), inWords(most))
		return missing
	}
	return t
}

// inWords writes a bound the way people write it in the file.
func inWords(d time.Duration) string {
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
