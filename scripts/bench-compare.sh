#!/bin/sh
# Runs the Go benchmarks here and at another commit, in turn, and lets benchstat compare them. What is compared is the
# working tree, uncommitted changes included. The other commit gets a worktree of its own, which is removed.
set -eu
ref="$1" pattern="$2" count="$3"
go="${GO:-go}"
[ -n "$ref" ] || { echo "bench-compare: say which commit to compare with: make bench-compare REF=main" >&2; exit 2; }
commit="$(git rev-parse --verify --quiet "$ref^{commit}")" || { echo "bench-compare: there is no commit $ref" >&2; exit 2; }
work="$(mktemp -d)"
trap 'git worktree remove --force "$work/tree" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
git worktree add --quiet --detach "$work/tree" "$commit"

# measure FOLDER OUT: packages without benchmarks are left out, so that only these are built.
measure() (
	cd "$1"
	packages="$(grep -rl --include='*_test.go' '^func Benchmark' internal cmd | xargs -n 1 dirname | sort -u | sed 's|^|./|')"
	# shellcheck disable=SC2086 # several words
	$go test -run '^$' -bench "$pattern" -benchmem -benchtime 1s $packages >>"$2" 2>&1 || { tail -n 20 "$2" >&2; exit 1; }
)

round=1
while [ "$round" -le "$count" ]; do
	echo "round $round of $count" >&2
	measure "$work/tree" "$work/before.txt"
	measure "$PWD" "$work/after.txt"
	round=$((round + 1))
done
"$BENCHSTAT" "$ref=$work/before.txt" "now=$work/after.txt"
