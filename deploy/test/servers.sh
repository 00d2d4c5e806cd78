#!/usr/bin/env bash
# PostgreSQL, Redis and Elasticsearch for tests, side by side, each on a free port with its data in a temporary folder.
#
#   servers.sh -- COMMAND…         runs the command with them, stops them, gives its exit code
#   eval "$(servers.sh start)"     starts them for this shell; `servers.sh stop` ends them
#
# The command finds ANDON_TEST_POSTGRES_URL, ANDON_TEST_REDIS_URL and ANDON_TEST_ELASTICSEARCH_URL. One that is set already is left as it
# is, and no server is started for it. ANDON_TEST_SERVERS is the folder of those that were started.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)

# Starts what is missing into $1, all at once, and prints the exports.
start() {
  local dir=$1 kind name failed=0 jobs=()
  for kind in elasticsearch postgres redis; do
    name=ANDON_TEST_${kind^^}_URL
    [ -z "${!name:-}" ] || continue
    # What the server's programs keep open of ours would hold the caller's pipe open.
    "$scripts/$kind.sh" start "$dir/$kind" >"$dir/$kind.url" 2>"$dir/$kind.error" </dev/null &
    jobs+=("$!:$kind")
  done
  for job in "${jobs[@]}"; do
    kind=${job#*:}
    wait "${job%%:*}" || { failed=1; echo "servers.sh: no $kind: $(cat "$dir/$kind.error")" >&2; }
  done
  if [ $failed -ne 0 ]; then
    stop "$dir"
    return 1
  fi
  echo "export ANDON_TEST_SERVERS='$dir'"
  for job in "${jobs[@]}"; do
    kind=${job#*:}
    echo "export ANDON_TEST_${kind^^}_URL='$(cat "$dir/$kind.url")'"
  done
}

stop() {
  local dir=$1 kind
  for kind in elasticsearch postgres redis; do
    [ ! -d "$dir/$kind" ] || "$scripts/$kind.sh" stop "$dir/$kind" &
  done
  wait
  rm -rf "$dir"
}

new_folder() {
  local dir
  dir=$(mktemp -d "${TMPDIR:-/tmp}/andon-test.XXXXXX")
  # The servers run as other users when this one is root. The files with passwords have their own mode.
  chmod 711 "$dir"
  echo "$dir"
}

case "${1:-}" in
--)
  shift
  [ $# -gt 0 ] || { echo "usage: servers.sh -- COMMAND…" >&2; exit 2; }
  folder=$(new_folder)
  trap 'stop "$folder"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  exports=$(start "$folder")
  eval "$exports"
  code=0
  "$@" || code=$?
  exit $code
  ;;
start)
  start "$(new_folder)"
  ;;
stop)
  folder=${2:-${ANDON_TEST_SERVERS:-}}
  [ -n "$folder" ] || { echo "servers.sh: no servers were started here (ANDON_TEST_SERVERS is not set)" >&2; exit 2; }
  [ -d "$folder" ] || exit 0
  stop "$folder"
  ;;
*)
  echo "usage: servers.sh -- COMMAND… | start | stop" >&2
  exit 2
  ;;
esac
