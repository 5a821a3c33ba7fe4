# shellcheck shell=bash disable=SC2034
# What both databases need; source this file with DATA_FOLDER PORT.
#
#   DATABASE_PASSWORD                       of the user `flyte`, who owns the database `flyte`
#   DATABASE_TLS_CERT, DATABASE_TLS_KEY     two PEM files: TLS is offered, and a client that wants none is served too
#
# DATA_FOLDER is initialised the first time and must be no link; durability is off: the data is gone with the test.
# The password goes by files and pipes, never by a command line.
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
[ $# = 2 ] || die "usage: DATABASE_PASSWORD=… $0 DATA_FOLDER PORT"
[ -n "${DATABASE_PASSWORD-}" ] || die "DATABASE_PASSWORD is empty"
[[ $DATABASE_PASSWORD != *$'\n'* ]] || die "DATABASE_PASSWORD has more than one line"
folder=$1 port=$2
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
data=$folder/data certificate= key=
umask 077
# Neither server runs as root. What runs instead may look past folders' modes, for access(2) too: the cache may be in
# root's home.
as=()
if [ "$(id -u)" = 0 ]; then
  as=(setpriv --reuid=65534 --regid=65534 --clear-groups --securebits=+no_setuid_fixup
    --inh-caps=+dac_override --ambient-caps=+dac_override)
fi
if [ -n "${DATABASE_TLS_CERT-}" ]; then
  mkdir -p "$folder/tls"
  certificate=$folder/tls/tls.crt key=$folder/tls/tls.key
  cp "$DATABASE_TLS_CERT" "$certificate"
  cp "${DATABASE_TLS_KEY:?}" "$key"
fi
[ "$(id -u)" != 0 ] || chown -R 65534:65534 "$folder"
