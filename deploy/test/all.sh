#!/usr/bin/env bash
# All tests. The web app, the servers that the tests need and the Rust workspace are made ready side by side; then the Rust tests run on
# the servers, and the browser, crash and fault tests against the real program. A part that fails keeps none of the others from running;
# those that failed are listed at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
. deploy/test/parts.sh

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

# What follows the installation depends on nothing else.
web() {
  cd web
  part "web: install" npm ci --no-audit --no-fund
  for check in build lint format:check codegen:check test; do
    part "web: $check" npm run "$check"
  done
}

make_rust() {
  make --no-print-directory "$1"
}

deploy/test/servers.sh start >"$scratch/servers" 2>"$scratch/servers.log" &
servers=$!
web >"$scratch/web.log" 2>&1 &
web=$!

part "Rust: format" make_rust format
part "Rust: clippy" make_rust clippy
part "Rust: build" make_rust rust-build

if wait "$servers"; then
  eval "$(cat "$scratch/servers")"
  part "Rust: tests" make_rust rust-test
  deploy/test/servers.sh stop
else
  cat "$scratch/servers.log" >&2
  failed_part "Rust: tests (not run: the servers that they need did not start)"
fi

wait "$web" || failed_part "web (it ended early)"
cat "$scratch/web.log"

# It starts servers of its own, which it can stop and empty.
before=$(wc -l <"$ANDON_TEST_FAILED")
deploy/test/e2e.sh || [ "$(wc -l <"$ANDON_TEST_FAILED")" -gt "$before" ] || failed_part "end to end (it ended early)"
parts_done
