#!/usr/bin/env bash
# An Elasticsearch node for tests; lib.sh says what it understands. Security is off, the heap is ANDON_TEST_ELASTICSEARCH_HEAP (512m).
# The program comes once from Maven Central (Elastic's own distribution for tests, without the modules that Andon does not need) and
# stays in the cache folder; `elasticsearch.sh fetch` only does that.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
server_user=nobody
heap=${ANDON_TEST_ELASTICSEARCH_HEAP:-512m}
version=8.19.21
sha256=215d5f3dbf0609a149f6218a9e47b6ae2df34ebbff3c5754e35f15a5e5393c8a
home=$cache/elasticsearch-$version

# A JDK that this version knows; what ANDON_TEST_JAVA_HOME names goes first.
jdk() {
  local dir
  for dir in "${ANDON_TEST_JAVA_HOME:-}" /usr/lib/jvm/java-17-openjdk-* /usr/lib/jvm/java-21-openjdk-* \
    "${JAVA_HOME_17_X64:-}" "${JAVA_HOME_21_X64:-}" /usr/lib/jvm/temurin-17-* /usr/lib/jvm/temurin-21-*; do
    if [ -n "$dir" ] && [ -x "$dir/bin/javac" ]; then
      echo "$dir"
      return
    fi
  done
  fail "there is no JDK 17 or 21: run deploy/test/tools.sh, or name one in ANDON_TEST_JAVA_HOME"
}

# Download, checksum, unpack, build the plugin: all into a folder beside, which gets its name when it is whole.
fetch() {
  [ -e "$home/whole" ] && return
  mkdir -p "$cache"
  (
    # Tests run side by side: one fetches, the others wait.
    flock 9
    [ -e "$home/whole" ] && exit
    command -v mvn >/dev/null || fail "Maven is not here: run deploy/test/tools.sh"
    java=$(jdk)
    new=$home.new
    rm -rf "$new" "$home"
    mkdir -p "$new"
    JAVA_HOME=$java mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
      -Dartifact="org.elasticsearch.distribution.integ-test-zip:elasticsearch:$version:zip" -DoutputDirectory="$new"
    zip=$new/elasticsearch-$version.zip
    sha256sum --check --quiet <<<"$sha256  $zip" || fail "Maven Central gave another file than the one that this script knows: $zip"
    (cd "$new" && "$java/bin/jar" xf "$zip" && mv "elasticsearch-$version"/* . && rmdir "elasticsearch-$version")
    rm "$zip"
    plugin=$new/plugins/root-answer
    mkdir -p "$new/classes" "$plugin"
    "$java/bin/javac" --release 17 -cp "$new/lib/*" -d "$new/classes" "$here/elasticsearch/RootAnswer.java"
    "$java/bin/jar" cf "$plugin/root-answer.jar" -C "$new/classes" .
    sed "s/@VERSION@/$version/" "$here/elasticsearch/plugin-descriptor.properties" >"$plugin/plugin-descriptor.properties"
    chmod -R a+rX "$new"
    chmod a+rx "$new"/bin/*
    touch "$new/whole"
    mv "$new" "$home"
  ) 9>"$cache/elasticsearch.lock"
}

boot() {
  local dir=$1 port java
  java=$(jdk)
  fetch
  [ "$(id -u)" -ne 0 ] || as_server test -r "$home/lib" ||
    fail "the user $server_user cannot reach $home: let ANDON_TEST_CACHE name a folder that others may enter"
  port=$(kept "$dir/port" free_port)
  mkdir -p "$dir/run"/{config,data,logs,tmp}
  cp "$home/config/jvm.options" "$home/config/log4j2.properties" "$dir/run/config/"
  chmod a+r "$dir/run/config/"*
  cat >"$dir/run/config/elasticsearch.yml" <<CONF
cluster.name: andon-test
node.name: andon-test-1
discovery.type: single-node
network.host: 127.0.0.1
http.port: $port
transport.port: 0
path.data: $dir/run/data
path.logs: $dir/run/logs
xpack.security.enabled: false
# A full disk of the developer's is no reason to refuse.
cluster.routing.allocation.disk.threshold_enabled: false
CONF
  hand_over "$dir/run"
  rm -f "$dir/run/pid"
  # Comes back when the node answers, and leaves it to run on its own.
  as_server env ES_JAVA_HOME="$java" ES_PATH_CONF="$dir/run/config" ES_TMPDIR="$dir/run/tmp" ES_JAVA_OPTS="-Xms$heap -Xmx$heap" \
    "$home/bin/elasticsearch" --daemonize --pidfile "$dir/run/pid" </dev/null >"$dir/log" 2>&1 ||
    { tail -n 40 "$dir/log" >&2; fail "Elasticsearch does not start"; }
  note_pid "$dir" "$(cat "$dir/run/pid")"
  answers "$dir" 240 curl --silent --fail "http://127.0.0.1:$port/_cluster/health?wait_for_status=yellow&timeout=1s"
}

halt() {
  signal "$1" TERM
}

crash() {
  signal "$1" KILL
}

forget() {
  rm -rf "$1/run"
}

address() {
  echo "http://127.0.0.1:$(cat "$1/port")"
}

if [ "${1:-}" = fetch ]; then
  fetch
else
  main "$@"
fi
