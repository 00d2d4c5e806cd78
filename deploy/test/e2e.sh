#!/usr/bin/env bash
# End to end with the real program: a browser on a running Andon, the scenarios with their known truth, and kill -9 under load.
# ROUNDS sets how often the crash test kills (50 for a full run, 5 by default). Builds nothing but what is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

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
cleanup() {
  stop
  rm -rf "$data"
}
trap cleanup EXIT

# Starts Andon on free ports with an outbox folder for e-mails; sets ingest, dashboard and key.
start() {
  local dir=$1
  mkdir -p "$dir"
  "$andon" up --data-dir "$dir" --ingest 127.0.0.1:0 --dashboard 127.0.0.1:0 --web-dir web/dist \
    --alert-to lead@example.com --json >"$dir/out.log" 2>"$dir/err.log" &
  started=$!
  for _ in $(seq 300); do
    grep -q '"event":"ready"' "$dir/out.log" && break
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

echo "== browser =="
start "$data/browser"
(
  cd web
  ANDON_CHROMIUM="${CHROMIUM:-/usr/bin/chromium}" ANDON_DASHBOARD_URL="$dashboard" ANDON_INGEST_URL="$ingest" ANDON_KEY="$key" ANDON_OUTBOX="$data/browser/outbox" npm run e2e
)
stop

echo "== scenarios =="
for scenario in SIM9 SIM10 SIM11 SIM15 SIM16 SIM17; do
  start "$data/$scenario"
  "$load" run "$scenario" --url "$ingest" --key "$key" --dashboard "$dashboard" --outbox "$data/$scenario/outbox"
  stop
done

echo "== kill -9 =="
"$load" crash --binary "$andon" --rounds "${ROUNDS:-5}" --seed "${SEED:-1}"
