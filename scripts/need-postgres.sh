#!/bin/sh
# Makes sure that the programs of a Postgres server are installed. Nothing is started here.
set -eu

have() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1; }

if have || [ -n "${ETL_TEST_DATABASE_URL:-}" ]; then
	exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo "No Postgres server programs (initdb) were found. Install PostgreSQL 15 or newer, or set ETL_TEST_DATABASE_URL to a server that tests may create databases in." >&2
	exit 1
fi
sudo=""
[ "$(id -u)" -eq 0 ] || sudo="sudo"
echo "Installing the Postgres server's programs (apt-get install postgresql); no server is left running."
# Debian's package would start a cluster of its own; tests and demo use a throwaway one.
$sudo mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends postgresql >/dev/null
have || { echo "apt-get installed postgresql, but initdb is still not to be found" >&2; exit 1; }
