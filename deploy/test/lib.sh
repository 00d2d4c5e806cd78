# What the scripts of the test servers share. Sourced, never run.
#
# Each of postgres.sh, redis.sh and elasticsearch.sh keeps one server in a folder of its own, and takes the same commands:
#
#   start DIR     starts it, with the data that DIR has or else empty, on the port that it had or else a free one; prints its URL once it answers
#   stop DIR      ends it as its makers mean it to be ended, and waits until it is gone
#   kill DIR      ends it without notice (as a power cut would, but for what the kernel still writes)
#   restart DIR   stop, start
#   freeze DIR    SIGSTOP: connections stay open, nothing answers
#   thaw DIR      SIGCONT
#   wipe DIR      stop, and throw its data away; port, password and URL stay, so that `start` gives an empty server in the same place
#   url DIR       prints its URL
#
# DIR holds data, log, port, password and pid. As root the server runs as a user without rights, so DIR must lie where that user may go.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# What is fetched or built once: outside the tree, and for root where an unprivileged server can read it.
if [ -n "${ANDON_TEST_CACHE:-}" ]; then
  cache=$ANDON_TEST_CACHE
elif [ "$(id -u)" -eq 0 ]; then
  cache=/var/cache/andon-test
else
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/andon-test
fi

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# The command as the user that the server runs as: this one, or for root $server_user.
as_server() {
  if [ "$(id -u)" -eq 0 ]; then
    setpriv --reuid="$server_user" --regid="$(id -g "$server_user")" --clear-groups -- "$@"
  else
    "$@"
  fi
}

# Gives a folder to the server, and says so when it could not get there.
hand_over() {
  mkdir -p "$1"
  [ "$(id -u)" -ne 0 ] || chown -R "$server_user" "$1"
  as_server test -w "$1" -a -x "$1" ||
    fail "the user $server_user cannot reach $1: choose a folder whose parents all let others through (chmod a+x)"
}

# A port that nothing listens on. Below the kernel's range for outgoing connections: a server that is stopped for a while gets it back.
free_port() {
  python3 - <<'PY'
import random, socket
while True:
    port = random.randrange(17000, 32000)
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
PY
}

# Reads a value of this server, or makes it with the command and keeps it.
kept() {
  local file=$1
  shift
  [ -s "$file" ] || (umask 077 && "$@" >"$file")
  cat "$file"
}

random_password() {
  od -An -N16 -tx1 /dev/urandom | tr -d ' \n'
}

# When a process began, in ticks since boot: with its id it names one process for ever, however often ids are used again.
began() {
  [ -r "/proc/$1/stat" ] || return 1
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  stat=${stat##*) }
  set -- $stat
  [ "$1" != Z ] && echo "${20}"
}

# Notes in DIR/pid which process the server is.
note_pid() {
  local time
  time=$(began "$2") || fail "the server ended as soon as it had started"
  echo "$2 $time" >"$1/pid"
}

# Prints the server's process id; fails when it does not run (or another process has its id now).
running() {
  local pid time
  [ -s "$1/pid" ] || return 1
  read -r pid time <"$1/pid"
  [ "$(began "$pid")" = "$time" ] && echo "$pid"
}

# Sends a signal to the server and what it started, parents first.
signal() {
  local dir=$1 name=$2 pid
  pid=$(running "$dir") || fail "no server runs in $dir"
  signal_tree "$pid" "$name"
}

signal_tree() {
  local child
  kill -s "$2" "$1" 2>/dev/null || return 0
  for child in $(ps -o pid= --ppid "$1"); do
    signal_tree "$child" "$2"
  done
}

# Waits until the server is gone; after the seconds given ends it without notice.
gone() {
  local dir=$1 seconds=$2 pid turn=0
  while pid=$(running "$dir"); do
    turn=$((turn + 1))
    [ $turn -le $((seconds * 20)) ] || signal_tree "$pid" KILL
    sleep 0.05
  done
  rm -f "$dir/pid"
}

# Waits until the command succeeds while the server runs; shows the log when it does not.
answers() {
  local dir=$1 seconds=$2 turn=0
  shift 2
  until "$@" >/dev/null 2>&1; do
    turn=$((turn + 1))
    if ! running "$dir" >/dev/null; then
      tail -n 40 "$dir/log" >&2 || true
      fail "the server ended while it started"
    fi
    if [ $turn -gt $((seconds * 10)) ]; then
      tail -n 40 "$dir/log" >&2 || true
      fail "the server does not answer after $seconds s"
    fi
    sleep 0.1
  done
}

# The command line of all three: they define boot, halt, crash, forget and address.
main() {
  local usage="usage: ${0##*/} start|stop|kill|restart|freeze|thaw|wipe|url DIR"
  [ $# -eq 2 ] || { echo "$usage" >&2; exit 2; }
  local command=$1 dir
  dir=$(realpath -m "$2")
  # Others may pass through, so that an unprivileged server gets to its data; what is secret in it has its own mode.
  [ -d "$dir" ] || mkdir -p -m 755 "$dir"
  case $command in
  start)
    running "$dir" >/dev/null || boot "$dir" >&2
    address "$dir"
    ;;
  stop) end "$dir" ;;
  kill)
    ! running "$dir" >/dev/null || crash "$dir"
    gone "$dir" 30
    ;;
  restart)
    end "$dir"
    boot "$dir" >&2
    address "$dir"
    ;;
  freeze) signal "$dir" STOP ;;
  thaw) signal "$dir" CONT ;;
  wipe)
    end "$dir"
    forget "$dir"
    ;;
  url) address "$dir" ;;
  *)
    echo "$usage" >&2
    exit 2
    ;;
  esac
}

end() {
  if running "$1" >/dev/null; then
    # One that is frozen would not hear it.
    signal "$1" CONT
    halt "$1"
  fi
  gone "$1" 30
}
