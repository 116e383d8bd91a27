#!/usr/bin/env bash
# Runs the stories of pull requests, from opening one to its merge and revert, against a
# real Gitea on this machine, which it builds first, once. Arguments go to go test:
#   ./forge.sh -run TestGitea ./controller/forge/...
#   ./forge.sh build      only builds Gitea
set -euo pipefail
cd "$(dirname "$0")"

# Gitea's module builds with plain Go and a C compiler. Its pages' scripts and styles,
# which need Node, are left out: nothing here looks at them.
version=v1.26.0

# Where testenv.Gitea looks for it. Gitea runs as nobody where the tests are run by root,
# whose own folders nobody else may read.
cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}
[ "$(id -u)" != 0 ] || cache=/var/cache
folder=$cache/pacer-test/gitea-$version

# build makes the folder. It gets its name when everything is in it, so that a build that
# was killed is not taken for one. Of two at a time the second waits.
build() {
  [ ! -e "$folder" ] || return 0
  mkdir -p "${folder%/*}"
  exec 9>"$folder.lock"
  flock 9
  [ ! -e "$folder" ] || return 0
  echo "building Gitea $version, once, into $folder"
  rm -rf "$folder".part
  mkdir "$folder".part
  local module
  module=$(cd "$folder".part && go mod download -json "code.gitea.io/gitea@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  cp -r "$module" "$folder".part/source
  chmod -R u+w,a+rX "$folder".part
  # Nothing is optimised, which saves nearly half of the time of the build: the tests wait
  # for little that Gitea computes.
  (cd "$folder".part/source && CGO_ENABLED=1 CGO_CFLAGS=-O0 nice go build -trimpath -gcflags='all=-N -l' \
    -ldflags="-s -w -X main.Version=${version#v}" -tags 'sqlite sqlite_unlock_notify' -o ../gitea .)
  for part in templates options public; do
    mv "$folder".part/source/$part "$folder".part/
  done
  rm -rf "$folder".part/source
  mv "$folder".part "$folder"
}

build
[ "${1:-}" != build ] || exit 0

export PACER_TEST_NO_SKIP="${PACER_TEST_NO_SKIP:-1}"
[ $# -gt 0 ] || set -- -run 'Gitea|Story' ./controller/forge/... ./controller/report/...
exec go test -race -timeout 20m "$@"
