#!/usr/bin/env bash
# A real SMTP server for tests: aiosmtpd, which writes every message that it takes into a folder.
#
#   deploy/test/smtp.sh DIR [--tls] [--auth USER:PASSWORD]
#
# Prints its port as the first line of standard output, and runs until it is killed: the process that was started is the server.
# DIR gets <n>.eml and <n>.json (headers and decoded parts, as Python's e-mail library reads them). --tls offers STARTTLS with a certificate
# whose authority it leaves in DIR/ca.pem. What DIR/answer says is answered to DATA in place of taking the message
# ("451 4.3.0 try later"); "drop" takes it and cuts the connection before the answer.
# The virtual environment is made once, outside the tree: in ANDON_TEST_CACHE, else in the user's cache folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: smtp.sh DIR [--tls] [--auth USER:PASSWORD]}
shift
mkdir -p "$dir"

cache=${ANDON_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/andon-test}
venv=$cache/smtp-aiosmtpd-1.4.6
mkdir -p "$cache"
(
  # Tests run side by side: one makes it, the others wait.
  flock 9
  if [ ! -e "$venv/ready" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check aiosmtpd==1.4.6
    touch "$venv/ready"
  fi
) 9>"$cache/smtp.lock" >&2

case " $* " in *" --tls "*)
  if [ ! -e "$dir/server.pem" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=Andon test authority" \
      -keyout "$dir/ca.key" -out "$dir/ca.pem" 2>>"$dir/openssl.log"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" \
      -keyout "$dir/server.key" -out "$dir/server.csr" 2>>"$dir/openssl.log"
    openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 -out "$dir/server.pem" \
      -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n') 2>>"$dir/openssl.log"
  fi
esac
exec "$venv/bin/python" "$here/smtp_sink.py" "$dir" "$@"
