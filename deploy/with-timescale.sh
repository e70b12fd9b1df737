#!/usr/bin/env bash
# usage: deploy/with-timescale.sh FOLDER COMMAND...
# Runs COMMAND with HEARTHWATCH_TEST_DATABASE naming a fresh TimescaleDB server from FOLDER (see timescale-here.sh),
# and ends the server afterwards.
set -euo pipefail

bin=$(ls -d "$(cd "$1" && pwd)"/usr/lib/postgresql/*/bin)
shift
data=$(mktemp -d)
as=()
if [ "$(id -u)" = 0 ]; then # PostgreSQL refuses to run as root
    chown nobody "$data"
    as=(setpriv --reuid=nobody --clear-groups --)
fi
stop() { "${as[@]}" "$bin/pg_ctl" -D "$data/pg" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$data"; }
trap stop EXIT

"${as[@]}" "$bin/initdb" -D "$data/pg" -U postgres -A trust -E UTF8 --locale=C >"$data.log" 2>&1 || { cat "$data.log"; exit 1; }
"${as[@]}" "$bin/postgres" -D "$data/pg" -c listen_addresses= -k "$data" -c shared_preload_libraries=timescaledb \
    -c timescaledb.telemetry_level=off -c max_connections=200 -c fsync=off >"$data.log" 2>&1 &
for _ in $(seq 100); do
    [ -S "$data/.s.PGSQL.5432" ] && "${as[@]}" "$bin/psql" -h "$data" -U postgres -qc 'SELECT 1' >/dev/null 2>&1 && break
    sleep 0.1
done
"${as[@]}" "$bin/psql" -h "$data" -U postgres -qc 'SELECT 1' >/dev/null || { cat "$data.log"; exit 1; }
HEARTHWATCH_TEST_DATABASE="host=$data user=postgres dbname=postgres" "$@"
