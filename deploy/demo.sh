#!/usr/bin/env bash
# The demo: builds the web app and the release binary, starts Andon with its embedded stores, streams the simulated plant into it.
# Ports are free ones unless ANDON_INGEST and ANDON_DASHBOARD say otherwise. Data stays in the folder given; `make demo-reset` clears it.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-demo-data}
rate=${RATE:-200}

mkdir -p "$data"
log="$data/build-web.log"
make --no-print-directory web >"$log" 2>&1 &
web=$!
cargo build --release --locked -p andon -p andon-load
if ! wait "$web"; then
  cat "$log" >&2
  exit 1
fi

target=${CARGO_TARGET_DIR:-target}/release
"$target/andon-load" configuration >"$data/plant.toml"
"$target/andon" up --data-dir "$data" --config "$data/plant.toml" --web-dir web/dist \
  --ingest "${ANDON_INGEST:-127.0.0.1:0}" --dashboard "${ANDON_DASHBOARD:-127.0.0.1:0}" \
  --alert-to shift-lead@example.com --json >"$data/andon.log" 2>"$data/andon.err.log" &
server=$!
plant=""
stop() {
  trap - EXIT INT TERM
  [ -z "$plant" ] || kill "$plant" 2>/dev/null || true
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
}
trap stop EXIT
trap 'stop; exit 0' INT TERM

for _ in $(seq 600); do
  grep -q '"event":"ready"' "$data/andon.log" && break
  kill -0 "$server" 2>/dev/null || { cat "$data/andon.log" "$data/andon.err.log" >&2; exit 1; }
  sleep 0.1
done
field() { sed -n "/\"event\":\"ready\"/s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$data/andon.log" | head -1; }
ingest=$(field ingest)
dashboard=$(field dashboard)
[ -n "$ingest" ] && [ -n "$dashboard" ] || { cat "$data/andon.log" "$data/andon.err.log" >&2; exit 1; }
key=$("$target/andon" key create --data-dir "$data" --name demo --scope ingest --scope read --json | sed -n 's/.*"key":"\([^"]*\)".*/\1/p')

"$target/andon-load" plant --url "$ingest" --key "$key" --rate "$rate" --seed 1 >"$data/plant.log" 2>&1 &
plant=$!

cat <<TEXT

  Andon is running on simulated data.

    Open      $dashboard
    Send to   $ingest/v1/records
    Key       $key
    E-mails   $data/outbox

  Ctrl-C stops it. The data stays in $data; \`make demo-reset\` clears it.

TEXT
# For scripts: end after this many seconds instead of running until Ctrl-C.
if [ -n "${DEMO_SECONDS:-}" ]; then
  sleep "$DEMO_SECONDS" &
  wait $!
else
  wait "$server"
fi
