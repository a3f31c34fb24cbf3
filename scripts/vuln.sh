#!/bin/sh
# Looks for known vulnerabilities in what the module calls. The database is on the internet; where it cannot be reached,
# nothing is known, and that is said and is a failure: it must not be taken for a clean bill.
set -u
go="${GO:-go}"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
"$go" run "golang.org/x/vuln/cmd/govulncheck@$1" ./... 2>"$log"
code=$?
cat "$log" >&2
if [ "$code" -eq 0 ]; then
	echo "vuln: nothing known"
elif grep -q -e '^exit status 3$' "$log"; then
	echo "vuln: FAILED: known vulnerabilities are called, see above" >&2
	exit 1
elif grep -q -e 'fetching vulnerabilities' "$log"; then
	echo "vuln: NOT CHECKED: the vulnerability database (https://vuln.go.dev, or what GOVULNDB names) cannot be reached from here; run this where it can" >&2
	exit 2
else
	echo "vuln: NOT CHECKED: govulncheck did not run, see above; it is fetched through GOPROXY" >&2
	exit 2
fi
