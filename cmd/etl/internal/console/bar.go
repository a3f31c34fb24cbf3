package console

import (
	"fmt"
	"strings"
)

// Bar draws a share of the whole, 0 to 1, with its percentage; mark, if not 0, is
// a share that is marked in it.
func Bar(share, mark float64) string {
	const cells = 20
	full := min(int(share*cells), cells)
	bar := []rune(strings.Repeat("█", full) + strings.Repeat("░", cells-full))
	if mark > 0 && mark < 1 {
		bar[int(mark*cells)] = '|'
	}
	return fmt.Sprintf("%s %3d%%", string(bar), int(share*100))
}
