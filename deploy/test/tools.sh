#!/usr/bin/env bash
# Installs what the tests need and the machine has not: Chromium for the browser tests, Python's venv for the SMTP server, and the three
# servers. On Debian and its kin, as root or by sudo. Elsewhere it says what to install.
# What a package installs is not started.
set -euo pipefail

missing=()
[ -x /usr/bin/chromium ] || [ -n "${CHROMIUM:-}" ] || missing+=(chromium)
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
command -v openssl >/dev/null || missing+=(openssl)
command -v curl >/dev/null || missing+=(curl)
# Also where ANDON_TEST_…_URL names servers for the Rust tests: the fault tests stop, freeze and empty servers of their own.
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing+=(postgresql)
command -v psql >/dev/null || missing+=(postgresql-client)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v mvn >/dev/null || missing+=(maven)
[ -n "${ANDON_TEST_JAVA_HOME:-}${JAVA_HOME_17_X64:-}${JAVA_HOME_21_X64:-}" ] ||
  compgen -G '/usr/lib/jvm/*-17-*/bin/javac' >/dev/null || compgen -G '/usr/lib/jvm/*-21-*/bin/javac' >/dev/null ||
  missing+=(openjdk-17-jdk-headless)
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "the tests need, in the names of Debian's packages: ${missing[*]}." >&2
  echo "For another browser set CHROMIUM to its path, for another JDK 17 or 21 ANDON_TEST_JAVA_HOME." >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "the tests need ${missing[*]}: install them as root (there is no sudo here)" >&2; exit 1; }
  as_root=(sudo)
fi

# While this file is there, Debian's packages start no service when they are installed. One that somebody else put there stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap '"${as_root[@]}" rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
  "${as_root[@]}" chmod 755 $policy
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
