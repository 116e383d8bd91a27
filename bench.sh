#!/usr/bin/env bash
# Measures what Pacer costs and how fast it answers at 10,000 apps of two tasks
# each, and prints a table with the goals and what is reached of them: on the
# local Marathon, and on one whose requests take what they took a real Marathon
# (testdata/conformance/README.md, costs). Arguments name the benchmarks of
# cmd/pacer/goals_test.go to run; none: all.
#   ./bench.sh                  everything, about 35 minutes
#   ./bench.sh ByHand Webhook   these two
#   PACER_BENCH_SAMPLES=100 PACER_BENCH_APPS=1000 ./bench.sh
# A machine with other work to do shows in the 99th percentile first.
set -euo pipefail
cd "$(dirname "$0")"

pattern="Goal($(IFS='|'; echo "$*"))"
out=$(mktemp); trap 'rm -f "$out"' EXIT

# Figure, unit, goal and what it is, by benchmark; a goal that begins with a name
# is a multiple of that other figure, and so much more.
goals='
AtRest|requests|0|steady state: requests in 40 s, without the stream and GET /ping
AtRest|pings|8|steady state: GET /ping in 40 s
AtRest|cpu-percent|1|steady state: percent of a core
AtRest|resident-MB|200|steady state: MB resident
ByHand|put-p50-ms|100|scaled by hand, until the healing PUT: median, ms
ByHand|put-p99-ms|100|scaled by hand, until the healing PUT: 99th percentile, ms
Webhook|put-p50-ms|300|webhook for one file of all, until the PUT: median, ms
Webhook|put-p99-ms|300|webhook for one file of all, until the PUT: 99th percentile, ms
Burst|lists|1|burst of 5,000 events in 10 s: full lists
Burst|pass-max-ms|1000|burst of 5,000 events in 10 s: longest reconciliation, ms
Burst|more-MB|20|burst of 5,000 events in 10 s: MB more than before
Plan|plan-p50-ms|least-p50-ms*2|pacer plan cold, no change: median, ms (goal: 2 x list and files)
Plan|plan-p99-ms|least-p99-ms*2|pacer plan cold, no change: 99th percentile, ms
Restore|restore-p50-ms|least-p50-ms*1.5|restore into an empty Marathon, until all run: median, ms (goal: 1.5 x one array)
Restore|restore-p99-ms|least-p99-ms*1.5|restore into an empty Marathon, until all run: 99th percentile, ms
Restore|command-p50-ms|least-p50-ms*1.5+5000|pacer apply of it until it ends: median, ms (goal: the same + the settling time)
Restore|command-p99-ms|least-p99-ms*1.5+5000|pacer apply of it until it ends: 99th percentile, ms
ManySyncs/well|put-p50-ms|100|100 syncs of 100 apps, scaled by hand: median, ms
ManySyncs/well|put-p99-ms|100|100 syncs of 100 apps, scaled by hand: 99th percentile, ms
ManySyncs/broken|put-p50-ms|ManySyncs/well:put-p50-ms*1.2|the same, one sync broken: median, ms (goal: unchanged)
ManySyncs/broken|put-p99-ms|ManySyncs/well:put-p99-ms*1.2|the same, one sync broken: 99th percentile, ms
'

for costs in "" 1; do
  echo
  if [ -z "$costs" ]; then echo "On the local Marathon:"; else echo "With a real Marathon's costs:"; fi
  command="go test ./cmd/pacer -run '^\$' -bench '$pattern' -benchtime 1x -timeout 60m"
  echo "  ${costs:+PACER_BENCH_COSTS=1 }$command"
  PACER_BENCH_COSTS=$costs go test ./cmd/pacer -run '^$' -bench "$pattern" -benchtime 1x -timeout 60m | tee "$out" | grep -E '^(---|FAIL|panic)|goals_test' || true
  printf '\n| %-82s | %10s | %10s | %6s |\n|%s|%s|%s|%s|\n' what measured goal ratio "$(printf -- '-%.0s' {1..84})" ------------ ------------ --------
  awk -v goals="$goals" '
    /^BenchmarkGoal/ {
      name = $1; sub(/^BenchmarkGoal/, "", name); sub(/-[0-9]+$/, "", name)
      for (i = 3; i < NF; i += 2) figure[name ":" $(i + 1)] = $i
    }
    END {
      n = split(goals, line, "\n")
      for (i = 1; i <= n; i++) {
        if (split(line[i], f, "|") < 4) continue
        key = f[1] ":" f[2]
        if (!(key in figure)) continue
        goal = f[3]
        if (split(goal, g, /[*+]/) > 1) {
          other = (index(g[1], ":") ? g[1] : f[1] ":" g[1])
          if (!(other in figure)) continue
          goal = figure[other] * g[2] + g[3]
        }
        ratio = (goal > 0 ? sprintf("%.2f", figure[key] / goal) : (figure[key] == 0 ? "met" : "missed"))
        printf "| %-82s | %10.1f | %10.1f | %6s |\n", f[4], figure[key], goal, ratio
      }
    }' "$out"
done
