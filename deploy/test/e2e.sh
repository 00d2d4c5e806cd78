#!/usr/bin/env bash
# End to end with the real program: a browser on a running Andon, the scenarios with their known truth, kill -9 under load on the embedded
# and on the real stores, and faults of the stores. ROUNDS sets how often the crash test kills (50 for a full run, 5 by default), FAULTS
# and FAULT_SECONDS which faults and for how long ("all" and 60 for a full run). Builds nothing but what is missing. A part that fails
# keeps none of the others from running; those that failed are listed at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
. deploy/test/parts.sh

target=${CARGO_TARGET_DIR:-target}
andon="$target/debug/andon"
load="$target/debug/andon-load"
[ -x "$andon" ] && [ -x "$load" ] || cargo build --workspace --bins --locked
[ -f web/dist/index.html ] || make --no-print-directory web

data=$(mktemp -d)
started=""
stop() {
  if [ -n "$started" ]; then
    kill "$started" 2>/dev/null || true
    wait "$started" 2>/dev/null || true
    started=""
  fi
}
trap 'rm -rf "$data"' EXIT

# Starts Andon in a data folder, with further options, on free ports with an outbox folder for e-mails; sets ingest, dashboard and key.
# It ends with the part that started it.
start() {
  local dir=$1
  shift
  trap stop EXIT
  mkdir -p "$dir"
  "$andon" up --data-dir "$dir" --ingest 127.0.0.1:0 --dashboard 127.0.0.1:0 --web-dir web/dist \
    --alert-to lead@example.com --json "$@" >"$dir/out.log" 2>"$dir/err.log" &
  started=$!
  # As long as it takes: it says itself when it cannot.
  until grep -q '"event":"ready"' "$dir/out.log"; do
    kill -0 "$started" 2>/dev/null || { cat "$dir/out.log" "$dir/err.log" >&2; exit 1; }
    sleep 0.1
  done
  field() { sed -n "/\"event\":\"ready\"/s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$dir/out.log" | head -1; }
  ingest=$(field ingest)
  dashboard=$(field dashboard)
  [ -n "$ingest" ] && [ -n "$dashboard" ] || { cat "$dir/out.log" "$dir/err.log" >&2; exit 1; }
  key=$("$andon" key create --data-dir "$dir" --name tests --scope ingest --scope read --scope admin --json |
    sed -n 's/.*"key":"\([^"]*\)".*/\1/p')
}

browser() {
  start "$data/browser" --config web/e2e/plant.toml
  cd web
  ANDON_CHROMIUM="${CHROMIUM:-/usr/bin/chromium}" ANDON_DASHBOARD_URL="$dashboard" ANDON_INGEST_URL="$ingest" ANDON_KEY="$key" ANDON_OUTBOX="$data/browser/outbox" npm run e2e
}

scenario() {
  start "$data/$1"
  "$load" run "$1" --url "$ingest" --key "$key" --dashboard "$dashboard" --outbox "$data/$1/outbox"
}

crash_embedded() {
  "$load" crash --binary "$andon" --rounds "${ROUNDS:-5}" --seed "${SEED:-1}"
}

# Stores of its own: the oracle wants them empty.
crash_on_servers() {
  env -u ANDON_TEST_POSTGRES_URL -u ANDON_TEST_REDIS_URL -u ANDON_TEST_ELASTICSEARCH_URL deploy/test/servers.sh -- \
    bash -c '"$0" crash --binary "$1" --rounds "$2" --seed "$3" "--$4" --postgres-url "$ANDON_TEST_POSTGRES_URL" \
      --redis-url "$ANDON_TEST_REDIS_URL" --elasticsearch-url "$ANDON_TEST_ELASTICSEARCH_URL"' \
    "$load" "$andon" "${ROUNDS:-5}" "${SEED:-1}" "$1"
}

store_faults() {
  # One of each kind, spread over the stores.
  local faults chosen
  faults=${FAULTS:-postgres-stopped,postgres-cut,postgres-read-only,redis-emptied,redis-frozen,elasticsearch-frozen,elasticsearch-emptied,elasticsearch-429-items,journal-disk-full}
  [ "$(id -u)" -eq 0 ] || faults=${faults/journal-disk-full/journal-quota-full} # a small disk needs root
  [ "$faults" = all ] && chosen=() || chosen=(--only "$faults")
  "$load" faults --binary "$andon" --seconds "${FAULT_SECONDS:-4}" --form "${FORM:-up}" "${chosen[@]}" ${WRITE:+--write "$WRITE"}
}

part "browser" browser
for name in SIM9 SIM10 SIM11 SIM15 SIM16 SIM17; do
  part "scenario $name" scenario "$name"
done
part "kill -9" crash_embedded
for form in two-services three-services; do
  part "kill -9 on PostgreSQL, Redis and Elasticsearch, $form" crash_on_servers "$form"
done
part "faults of the stores" store_faults
parts_done
