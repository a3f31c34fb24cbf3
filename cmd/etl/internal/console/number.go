package console

import (
	"fmt"
	"strconv"
	"time"
)

// Count writes a number with commas between its thousands: 1,234,567.
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Plural writes a number with its noun: 1 row, 2 rows, 3 batches.
func Plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	switch last := noun[len(noun)-1]; last {
	case 's', 'h', 'x':
		return Count(n) + " " + noun + "es"
	}
	return Count(n) + " " + noun + "s"
}

// Bytes writes a size in powers of a thousand, as disks and Salesforce count:
// 98.4 MB.
func Bytes(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/1000, 0
	for size >= 999.95 && unit < len(units)-1 {
		size /= 1000
		unit++
	}
	return fmt.Sprintf("%.1f %cB", size, units[unit])
}

// Duration writes a time as a person would say it: 0.4s, 12s, 3m 05s, 2h 10m,
// 3d 4h.
func Duration(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	if d < 10*time.Second {
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	}
	d = d.Round(time.Second)
	hours, minutes, seconds := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", seconds)
	case d < time.Hour:
		return fmt.Sprintf("%dm %02ds", minutes, seconds)
	case hours < 48:
		return fmt.Sprintf("%dh %02dm", hours, minutes)
	}
	return fmt.Sprintf("%dd %dh", hours/24, hours%24)
}

// Time writes a moment in the local time zone; nil is empty.
func Time(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
