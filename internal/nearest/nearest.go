// Package nearest finds the name that somebody most likely meant, for error
// messages that suggest it. It must never be used to act on the guess.
package nearest

import "strings"

// maxDistance bounds the edits between a name and its suggestion: beyond four,
// two names merely share letters.
const maxDistance = 4

// Name returns the candidate nearest to name, and whether it is near enough to
// be suggested. Letter case, spaces, underscores, hyphens and Salesforce's
// endings for custom names (__c, __r) weigh nothing, so that "first_name" finds
// "FirstName" and "Region" finds "Region__c". A third of the letters, four at
// most, may differ; neighbouring letters that swapped places count as one. Of
// equally near candidates the first one wins.
func Name(name string, candidates []string) (best string, ok bool) {
	folded := fold(name)
	limit := min(max(len(folded)/3, 1), maxDistance)
	if len(folded) <= 2 {
		limit = 0
	}
	for _, candidate := range candidates {
		d, near := distance(folded, fold(candidate), limit)
		if !near {
			continue
		}
		best, ok = candidate, true
		if d == 0 {
			break
		}
		limit = d - 1 // from here on, only something nearer will do
	}
	return best, ok
}

// fold reduces a name to the letters that people remember.
func fold(name string) []rune {
	name = strings.ToLower(name)
	name = strings.TrimSuffix(name, "__c")
	name = strings.TrimSuffix(name, "__r")
	return []rune(strings.NewReplacer("_", "", "-", "", " ", "").Replace(name))
}

// distance is the optimal string alignment distance of two names, as far as it
// is at most limit.
func distance(a, b []rune, limit int) (d int, near bool) {
	if limit < 0 || len(a)-len(b) > limit || len(b)-len(a) > limit {
		return 0, false
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i, letter := range a {
		row[0] = i + 1
		for j := range b {
			cost := 1
			if letter == b[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+cost)
			if i > 0 && j > 0 && letter == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)], last[len(b)] <= limit
}
