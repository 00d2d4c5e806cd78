#!/usr/bin/env bash
# All tests. The web app, the servers that the tests need and the Rust workspace are made ready side by side; then the Rust tests run on
# the servers, and the browser, crash and fault tests against the real program.
set -euo pipefail
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d)
cleanup() {
  # What still starts is waited for: only then is it known what to stop.
  wait
  if [ -s "$scratch/servers" ]; then
    eval "$(cat "$scratch/servers")"
    deploy/test/servers.sh stop
  fi
  rm -rf "$scratch"
}
trap cleanup EXIT

deploy/test/servers.sh start >"$scratch/servers" 2>"$scratch/servers.log" &
servers=$!

(
  set -e
  cd web
  npm ci --no-audit --no-fund
  npm run build
  npm run lint
  npm run format:check
  npm run codegen:check
  npm test
) >"$scratch/web.log" 2>&1 &
web=$!

rust_failed=0
make --no-print-directory lint rust-build || rust_failed=1

if wait "$servers"; then
  eval "$(cat "$scratch/servers")"
  [ $rust_failed -ne 0 ] || make --no-print-directory rust-test || rust_failed=1
else
  cat "$scratch/servers.log" >&2
  rust_failed=1
fi

web_failed=0
wait "$web" || web_failed=1
echo "== web =="
cat "$scratch/web.log"

[ $rust_failed -eq 0 ] || { echo "the Rust checks failed" >&2; exit 1; }
[ $web_failed -eq 0 ] || { echo "the web checks failed" >&2; exit 1; }

# What follows starts servers of its own, which it can stop and empty.
deploy/test/servers.sh stop
deploy/test/e2e.sh
