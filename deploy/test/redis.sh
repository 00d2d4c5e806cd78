#!/usr/bin/env bash
# A Redis server for tests; lib.sh says what it understands. It keeps nothing on disk, so every new start is an empty one; it wants a password.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
server_user=nobody

boot() {
  local dir=$1 port password
  command -v redis-server >/dev/null || fail "Redis is not here: run deploy/test/tools.sh"
  port=$(kept "$dir/port" free_port)
  password=$(kept "$dir/password" random_password)
  hand_over "$dir/run"
  rm -f "$dir/run/pid"
  # From standard input, so that neither a command line nor a readable file has the password.
  (
    cd "$dir/run"
    as_server redis-server - >>"$dir/log" 2>&1 <<CONF
bind 127.0.0.1
port $port
requirepass $password
save ""
appendonly no
dir $dir/run
pidfile $dir/run/pid
logfile $dir/run/log
daemonize yes
CONF
  ) || { cat "$dir/log" >&2; fail "Redis does not start"; }
  # The process that was started ends once the server runs on its own; the server then writes its id.
  local turn=0
  until [ -s "$dir/run/pid" ]; do
    turn=$((turn + 1))
    [ $turn -le 1200 ] || { tail -n 40 "$dir/run/log" >&2; fail "Redis does not start"; }
    sleep 0.1
  done
  note_pid "$dir" "$(cat "$dir/run/pid")"
  answers "$dir" 120 ping "$dir"
}

ping() {
  [ "$(REDISCLI_AUTH=$(cat "$1/password") redis-cli -h 127.0.0.1 -p "$(cat "$1/port")" ping)" = PONG ]
}

halt() {
  signal "$1" TERM
}

crash() {
  signal "$1" KILL
}

forget() {
  rm -rf "$1/run"
}

address() {
  echo "redis://default:$(cat "$1/password")@127.0.0.1:$(cat "$1/port")/0"
}

main "$@"
