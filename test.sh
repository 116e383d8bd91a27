#!/usr/bin/env bash
# Installs what the tests need and this machine lacks, runs all of them under
# the race detector, and says how many passed. Arguments go to go test:
#   ./test.sh -run TestScripts ./cmd/...
set -euo pipefail
cd "$(dirname "$0")"

# command → Debian package. On another system install these by its own means;
# the tests find them on PATH (or in /usr/sbin). What go test skips where it is
# missing is in internal/testenv.
needs=(git:git bash:bash curl:curl jq:jq ps:procps sshd:openssh-server chromium:chromium gcc:gcc xz:xz-utils unzip:unzip bzip2:bzip2 dockerd:docker.io iptables:iptables
  java:default-jre-headless /usr/share/java/zookeeper.jar:zookeeper)

export PATH="$PATH:/usr/sbin:/sbin"
# A test that this machine cannot run fails: what it needs is installed here. Who
# cannot be root may say 0.
export PACER_TEST_NO_SKIP="${PACER_TEST_NO_SKIP:-1}"
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

# A real Gitea, for the tests of pull requests: some minutes, once.
./forge.sh build

go build -o /dev/null ./...

# Tests of what something costs (memory, size) or computes, in one goroutine: there is
# nothing in them for the race detector to find, and it distorts memory and takes ten to
# forty times the time. Only these run without it; where go test is given arguments, all
# run with it.
plain='TestBombs|TestOrdinaryFilesAreNoBombs|TestProblemsDoNotMultiply|TestManyFilesOfTooManyIds|TestIgnoreFileIsBounded'
plain+='|TestSubstitutionIsBounded|TestSourceOfTooManyDefinitions|TestSourceOfTooManyValues|TestSourceOfLongTextsForShortOnes'
plain+='|TestOrderOfReadingChangesNothing|TestReaderHoldsWhatFilesSay|TestReadAgainAfterAFlood|TestEqualIDsAreNotKept'
plain+='|TestExportProperties|TestReadsMarathonsAnswers|TestExpressionsOverManyApps|TestHostile|TestReasonsDoNotMultiply'
plain+='|TestLargeFilesAreNotKept|TestPackOfDeltasThatMakesGigabytes|TestTextsOfACommitAreCut|TestFileThatBuildsOnALargeOne'
plain+='|TestPackOfTooManyObjects|TestChainOfDeltasThatIsTooLong|TestSSHKeyWithPassphrase|TestRandomPacks'
plain+='|TestBranchingDeltasHoldFewObjects|TestTenThousandAppsAndAllTheirHistoryAreSaved|TestLinesDoNotPileUp'
plain+='|TestWhatIsSavedCanBeRead|TestPageBoundsWhatItLists|TestWhatIsTooMuch|TestEventBombs|TestAsManyAppsAsAnybodyHas|TestKeptBombs'
export plain

# The race detector would let each process sleep for a second at its end.
export GORACE="${GORACE:-atexit_sleep_ms=100}"

# tests runs go test for gotestsum: on everything; or with arguments, which are ours;
# or, where those end with -test.run=^TestName$ PACKAGE, a test once more. Four packages
# run at a time, on two processors too: mostly they wait for processes.
tests() {
  local code=0 packages=./... rerun=${*: -2:1} race=-race
  if [ $# -eq 0 ]; then
    # shellcheck disable=SC2046
    go test -json -p 4 -timeout 20m -run "^($plain)\$" $(grep -lrE --include='*_test.go' "^func ($plain)\(" . | xargs -n1 dirname | sort -u) || code=$?
    go test -json -p 4 -timeout 20m -race -skip "^($plain)\$" ./... || code=$?
    echo $code >"$first"
    return $code
  fi
  if [[ $rerun = -test.run=^* ]]; then
    [[ $rerun =~ ^-test.run=\^($plain)\$(/|$) ]] && race=
    # shellcheck disable=SC2086
    go test -json -p 4 -timeout 20m $race "${@: -2}"
    return
  fi
  case " $*" in *" ./"* | *" . "* | *"github.com/pacer-gitops"*) packages= ;; esac
  # shellcheck disable=SC2086
  go test -json -p 4 -timeout 20m -race "$@" $packages
}
export -f tests

# Real processes take part in some of 4,700 tests, and one may be unlucky without
# anything being broken. Up to three tests that fail are run once more, and are named
# below: such a test is flaky and is to be mended. More than three, a data race, a panic
# or a time-out fail at once.
rerun=$(mktemp) first=$(mktemp)
export rerun first
trap 'rm -f "$rerun" "$first"' EXIT

# count says how many tests passed. gotestsum gives it the counts, in which a second
# run counts again, and a file with a line of each test that was rerun:
# NAME: 2 runs, 1 failures.
count() {
  awk -v total="$TESTS_TOTAL" -v failed="$TESTS_FAILED" -v skipped="$TESTS_SKIPPED" '
    NR == 1 { failed = 0; print "run a second time (flaky if it has passed now: to be mended):" }
    { print "  " $0; runs = $(NF - 3); failures = $(NF - 1) }
    runs > 1 { total -= runs - 1 }
    failures >= runs { failed++ }
    END { printf "%d of %d tests passed, %d failed, %d skipped\n", total - failed - skipped, total, failed, skipped }' "$rerun"
}
export -f count

go run gotest.tools/gotestsum@v1.13.0 --format pkgname --format-hide-empty-pkg \
  --rerun-fails=1 --rerun-fails-max-failures=3 --rerun-fails-abort-on-data-race --rerun-fails-report="$rerun" \
  --post-run-command "bash -c count" --raw-command -- bash -c 'tests "$@"' tests "$@"

# A package that fails without a failing test has nothing that could be run once more.
if grep -qv '^0$' "$first" && ! [ -s "$rerun" ]; then
  echo "test.sh: a package failed, though none of its tests did"
  exit 1
fi
