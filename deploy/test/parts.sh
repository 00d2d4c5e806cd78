# How the test scripts run their parts: all of them, whatever becomes of each, and at the end the names of those that failed. Sourced, never run.
#
# The names are in the file $ANDON_TEST_FAILED. A script that is run by another one adds to the file of that one, which lists them.

if [ -n "${ANDON_TEST_FAILED:-}" ]; then
  parts_listed_by_caller=1
else
  parts_listed_by_caller=0
  ANDON_TEST_FAILED=$(mktemp)
  export ANDON_TEST_FAILED
fi
# Those of the script that runs this one are not its own.
parts_failed_before=$(wc -l <"$ANDON_TEST_FAILED")

# part NAME COMMAND…: a function may be the command; it ends at its first failure.
part() {
  local name=$1 code
  shift
  echo "== $name =="
  # In a condition the shell would go on after a failure inside of the function.
  set +e
  (
    set -e
    "$@"
  )
  code=$?
  set -e
  [ $code -eq 0 ] || failed_part "$name (exit code $code)"
}

failed_part() {
  echo "FAILED: $1" >&2
  echo "$1" >>"$ANDON_TEST_FAILED"
}

# The end of a script: lists what failed, if nobody else does, and gives the exit code.
parts_done() {
  local failed=0
  [ "$(wc -l <"$ANDON_TEST_FAILED")" -le "$parts_failed_before" ] || failed=1
  [ $parts_listed_by_caller -eq 0 ] || return $failed
  if [ $failed -eq 0 ]; then
    echo "== every part passed =="
  else
    echo "== failed ==" >&2
    sed 's/^/  /' "$ANDON_TEST_FAILED" >&2
  fi
  rm -f "$ANDON_TEST_FAILED"
  return $failed
}
