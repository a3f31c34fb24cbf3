package spool

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Runs lists the runs that have a folder here, in no order.
func (s *Spool) Runs() ([]int64, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	var runs []int64
	for _, entry := range entries {
		digits, ok := strings.CutPrefix(entry.Name(), runPrefix)
		if id, err := strconv.ParseInt(digits, 10, 64); ok && err == nil {
			runs = append(runs, id)
		}
	}
	return runs, nil
}
