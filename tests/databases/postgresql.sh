#!/usr/bin/env bash
# Runs PostgreSQL in the foreground on 127.0.0.1:PORT; start.sh says what it takes. It may be asked when its output has the
# words `ready to accept connections`, and not when the port is open.
#
#   DATABASE_PASSWORD=… postgresql.sh DATA_FOLDER PORT
set -euo pipefail
. "$(dirname "$0")/start.sh"
export LD_LIBRARY_PATH=$postgresql/lib LC_ALL=C
programs=$postgresql/programs
[ -x "$programs/postgres" ] || die "PostgreSQL is missing: tests/install.sh"

if [ ! -e "$data/initialised" ]; then
  rm -rf "$data"
  echo "$DATABASE_PASSWORD" >"$folder/password"
  [ "$(id -u)" != 0 ] || chown 65534:65534 "$folder/password"
  "${as[@]}" "$programs/initdb" --pgdata="$data" --username=flyte --pwfile="$folder/password" --auth=scram-sha-256 \
    --encoding=UTF8 --no-locale --no-sync --wal-segsize=1 >"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" >&2; exit 1; }
  rm "$folder/password"
  echo 'CREATE DATABASE flyte' |
    "${as[@]}" "$programs/postgres" --single -F -j -c jit=off -D "$data" postgres >>"$folder/initdb.log" 2>&1
  "${as[@]}" touch "$data/initialised"
fi
unset DATABASE_PASSWORD

tls=()
[ -z "$certificate" ] || tls=(-c ssl=on -c ssl_cert_file="$certificate" -c ssl_key_file="$key")
exec "${as[@]}" "$programs/postgres" -D "$data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
  -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c jit=off -c shared_buffers=16MB -c max_connections=20 \
  -c autovacuum=off -c timezone=GMT -c log_timezone=GMT "${tls[@]}"
