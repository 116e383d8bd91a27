#!/usr/bin/env bash
# Plays random freezes and partitions of the leader of three replicas with a real
# ZooKeeper ensemble, each by a seed, and says whether a write ever came after one
# of a later term. Arguments: how many (200), and the seed of the first (1).
set -euo pipefail
cd "$(dirname "$0")"
exec go test ./cmd/pacer -run '^TestSoak$' -v -timeout 0 -args -soak "${1:-200}" -soak-seed "${2:-1}"
