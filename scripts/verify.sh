#!/bin/sh
# Checks that the modules in the cache are what go.sum says, and that go.mod lists what is used. The second
# takes modules that no build needs, such as the tests of libraries; where they cannot be had, that is said
# and is a failure of its own kind (2).
set -u
go="${GO:-go}"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
if ! "$go" mod verify; then
	echo "verify: FAILED: a module is not what go.sum says, or cannot be had" >&2
	exit 1
fi
if change="$("$go" mod tidy -diff 2>"$log")"; then
	echo "verify: go.mod and go.sum list what is used, and nothing else"
	exit 0
fi
if [ -n "$change" ]; then
	echo "$change"
	echo "verify: FAILED: go.mod or go.sum is not up to date: run \"go mod tidy\"" >&2
	exit 1
fi
cat "$log" >&2
echo "verify: NOT CHECKED whether go.mod lists what is used: the modules above cannot be had from here; run this where GOPROXY can be reached" >&2
exit 2
