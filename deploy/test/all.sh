#!/usr/bin/env bash
# All tests. The web app and the Rust workspace build side by side; then the browser and the crash tests run against the real program.
set -euo pipefail
cd "$(dirname "$0")/../.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

(
  set -e
  cd web
  npm ci --no-audit --no-fund
  npm run build
  npm run lint
  npm run format:check
  npm run codegen:check
  npm test
) >"$log" 2>&1 &
web=$!

rust_failed=0
make --no-print-directory lint rust-test || rust_failed=1

web_failed=0
wait "$web" || web_failed=1
echo "== web =="
cat "$log"

[ $rust_failed -eq 0 ] || { echo "the Rust checks failed" >&2; exit 1; }
[ $web_failed -eq 0 ] || { echo "the web checks failed" >&2; exit 1; }

deploy/test/e2e.sh
