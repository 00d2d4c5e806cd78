#!/usr/bin/env bash
# A PostgreSQL server for tests; lib.sh says what it understands. Its data is safe against a crash (fsync on), its user `tester` is a
# superuser with a password, its database is `andon`. The user has another name than Andon's schema, so that nothing finds a table there by chance.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
server_user=postgres

# The newest of those installed: Debian keeps them out of PATH.
programs() {
  local found
  found=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
  if [ -z "$found" ]; then
    found=$(command -v initdb) || fail "PostgreSQL is not here: run deploy/test/tools.sh"
    found=${found%/*}
  fi
  echo "$found"
}

boot() {
  local dir=$1 bin port password
  bin=$(programs)
  port=$(kept "$dir/port" free_port)
  password=$(kept "$dir/password" random_password)
  hand_over "$dir/run"
  if [ ! -s "$dir/run/data/PG_VERSION" ]; then
    # From a file that only the server's user reads, never from a command line.
    (umask 077 && as_server tee "$dir/run/password" <<<"$password" >/dev/null)
    as_server "$bin/initdb" --pgdata "$dir/run/data" --username tester --pwfile "$dir/run/password" --auth scram-sha-256 \
      --encoding UTF8 --locale C.UTF-8 --no-instructions >"$dir/log" 2>&1 ||
      { cat "$dir/log" >&2; fail "initdb failed"; }
    as_server tee -a "$dir/run/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
max_connections = 300
superuser_reserved_connections = 3
fsync = on
log_min_messages = warning
CONF
  fi
  # A cut in an earlier life leaves a lock file whose process is gone; the server sees to that itself.
  as_server "$bin/pg_ctl" start --pgdata "$dir/run/data" --log "$dir/run/log" --wait --timeout 240 --silent ||
    { tail -n 40 "$dir/run/log" >&2; fail "PostgreSQL does not start"; }
  note_pid "$dir" "$(head -1 "$dir/run/data/postmaster.pid")"
  if [ "$(sql "$dir" postgres "SELECT count(*) FROM pg_database WHERE datname = 'andon'")" = 0 ]; then
    sql "$dir" postgres "CREATE DATABASE andon"
  fi
}

sql() {
  PGPASSWORD=$(cat "$1/password") psql --host 127.0.0.1 --port "$(cat "$1/port")" --username tester --dbname "$2" \
    --no-psqlrc --quiet --tuples-only --no-align --command "$3"
}

halt() {
  as_server "$(programs)/pg_ctl" stop --pgdata "$1/run/data" --mode fast --wait --timeout 30 --silent || true
}

crash() {
  signal "$1" CONT
  as_server "$(programs)/pg_ctl" stop --pgdata "$1/run/data" --mode immediate --wait --timeout 30 --silent || true
}

forget() {
  rm -rf "$1/run"
}

address() {
  echo "postgres://tester:$(cat "$1/password")@127.0.0.1:$(cat "$1/port")/andon"
}

main "$@"
