package salesforce

import (
	"strconv"
	"strings"
)

// parseLimitInfo reads a Sforce-Limit-Info header: api-usage=72/100000, and perhaps per-app figures after it. REST API
// guide, "Limit Info Header".
func parseLimitInfo(header string) (used, limit int64, ok bool) {
	for part := range strings.SplitSeq(header, ",") {
		figures, found := strings.CutPrefix(strings.TrimSpace(part), "api-usage=")
		if !found {
			continue
		}
		u, m, _ := strings.Cut(figures, "/")
		used, err := strconv.ParseInt(u, 10, 64)
		if err != nil {
			return 0, 0, false
		}
		limit, err := strconv.ParseInt(m, 10, 64)
		return used, limit, err == nil
	}
	return 0, 0, false
}
