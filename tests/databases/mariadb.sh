#!/usr/bin/env bash
# Runs MariaDB in the foreground on 127.0.0.1:PORT; start.sh says what it takes. It may be asked when its output has the
# words `ready for connections`, and not when the port is open.
#
#   DATABASE_PASSWORD=… mariadb.sh DATA_FOLDER PORT
set -euo pipefail
. "$(dirname "$0")/start.sh"
export LD_LIBRARY_PATH=$mariadb/lib LC_ALL=C
[ -x "$mariadb/usr/sbin/mariadbd" ] || die "MariaDB is missing: tests/install.sh"
share=$mariadb/usr/share/mysql
server=("${as[@]}" "$mariadb/usr/sbin/mariadbd" --no-defaults --basedir="$mariadb/usr" --lc-messages-dir="$share"
  --character-sets-dir="$share/charsets" --plugin-dir="$mariadb/usr/lib/mysql/plugin" --datadir="$data" --tmpdir="$folder"
  --character-set-server=utf8mb4 --skip-log-bin --innodb-flush-log-at-trx-commit=0 --innodb-flush-method=nosync
  --innodb-buffer-pool-size=16M --innodb-log-file-size=4M --innodb-doublewrite=0 --aria-log-file-size=8M --key-buffer-size=1M)

# What mariadb-install-db does, without its anonymous accounts and its help tables; a statement a line.
bootstrap() {
  local quoted=${DATABASE_PASSWORD//\\/\\\\}
  printf '%s;\n' 'CREATE DATABASE mysql' 'USE mysql'
  cat "$share"/{mysql_system_tables,mysql_performance_tables,mysql_system_tables_data}.sql
  printf '%s;\n' 'FLUSH PRIVILEGES' 'CREATE DATABASE flyte' \
    "CREATE USER flyte@'127.0.0.1' IDENTIFIED BY '${quoted//\'/\'\'}'" "GRANT ALL ON *.* TO flyte@'127.0.0.1'"
}

if [ ! -e "$data/initialised" ]; then
  rm -rf "$data"
  "${as[@]}" mkdir "$data"
  bootstrap | "${server[@]}" --bootstrap --silent-startup >"$folder/bootstrap.log" 2>&1 || { cat "$folder/bootstrap.log" >&2; exit 1; }
  "${as[@]}" touch "$data/initialised"
fi
unset DATABASE_PASSWORD

tls=()
[ -z "$certificate" ] || tls=(--ssl-cert="$certificate" --ssl-key="$key")
exec "${server[@]}" --bind-address=127.0.0.1 --port="$port" --socket="$folder/socket" --skip-name-resolve --max-connections=20 "${tls[@]}"
