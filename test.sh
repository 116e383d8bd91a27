#!/usr/bin/env bash
# Installs what the tests need and this machine lacks, runs all of them under
# the race detector, and says how many passed. Arguments go to go test:
#   ./test.sh -run TestScripts ./cmd/...
set -euo pipefail
cd "$(dirname "$0")"

# command → Debian package. On another system install these by its own means;
# the tests find them on PATH (or in /usr/sbin).
needs=(git:git ps:procps sshd:openssh-server chromium:chromium gcc:gcc xz:xz-utils unzip:unzip bzip2:bzip2 dockerd:docker.io iptables:iptables
  /usr/share/java/zookeeper.jar:zookeeper)

export PATH="$PATH:/usr/sbin:/sbin"
missing=()
for need in "${needs[@]}"; do
  command -v "${need%%:*}" >/dev/null || [ -e "${need%%:*}" ] || missing+=("${need#*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "test.sh: this machine is not Debian: install the equivalents of: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo)
  echo "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ $# -eq 0 ]; then set -- ./...; fi
go build -o /dev/null ./...
# gotestsum gives the counts to this command.
# shellcheck disable=SC2016
count='sh -c "echo $((TESTS_TOTAL - TESTS_FAILED - TESTS_SKIPPED)) of $TESTS_TOTAL tests passed, $TESTS_FAILED failed, $TESTS_SKIPPED skipped"'
exec go run gotest.tools/gotestsum@v1.13.0 --format pkgname --format-hide-empty-pkg --post-run-command "$count" -- -race -timeout 20m "$@"
