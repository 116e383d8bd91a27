package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/visible"
)

// printer prints what changes in a status, one line an event.
type printer struct {
	out   io.Writer
	hints bool
	repo  string
}

// watchEvery is the time between two looks at the status: short enough to seem at once.
const watchEvery = 100 * time.Millisecond

func (p printer) watch(ctx context.Context, status func() status.Status) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var revision string
	last, problems := map[string]printedApp{}, map[string]bool{}
	hinted := !p.hints
	for {
		for _, s := range status().Syncs {
			revision = p.printRevision(s, revision)
			p.printApps(s, last)
			problems = p.printProblems(s, problems)
			if !hinted && healthy(s) > 1 {
				hinted = true
				p.hint()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// healthy counts the apps that run.
func healthy(s status.Sync) int {
	n := 0
	for _, a := range s.Apps {
		if a.Condition == "" && a.Health == status.HealthHealthy {
			n++
		}
	}
	return n
}

func (p printer) line(format string, args ...any) {
	fmt.Fprintf(p.out, "%s  %s\n", time.Now().Format("15:04:05"), visible.Line(fmt.Sprintf(format, args...)))
}

func (p printer) printRevision(s status.Sync, last string) string {
	if s.Revision.ID != last && s.Revision.ID != "" {
		p.line("● %s  %s", plan.ShortRevision(s.Revision.ID), s.Revision.Subject)
	}
	return s.Revision.ID
}

// printedApp is what was printed of an app.
type printedApp struct {
	said  string
	lived bool // Marathon had it
}

func (p printer) printApps(s status.Sync, last map[string]printedApp) {
	now := map[string]bool{}
	for _, a := range s.Apps {
		now[a.ID] = true
		said := fmt.Sprintf("%s %s  %s: %s", a.Mark(), a.ID, stateOf(a), explain(a))
		if last[a.ID].said != said {
			p.line("  %s", said)
		}
		last[a.ID] = printedApp{said, last[a.ID].lived || lives(a)}
	}
	for _, id := range slices.Sorted(maps.Keys(last)) {
		if now[id] {
			continue
		}
		if last[id].lived {
			p.line("  - %s  deleted", id)
		} else {
			p.line("  - %s  no longer defined; it was never created", id)
		}
		delete(last, id)
	}
}

// lives reports whether Marathon has an app or group.
func lives(a status.App) bool {
	if a.Kind == manifests.KindGroup {
		return a.Action != plan.Create
	}
	if a.LastKnown != nil {
		return a.LastKnown.Health != status.HealthMissing
	}
	return a.Health != "" && a.Health != status.HealthMissing
}

// printProblems prints the problems in manifests that are new, and returns all.
func (p printer) printProblems(s status.Sync, printed map[string]bool) map[string]bool {
	now := map[string]bool{}
	for _, problem := range s.Problems {
		said := problem.String()
		if !printed[said] {
			p.line("  ! %s", said)
		}
		now[said] = true
	}
	return now
}

// stateOf is the state of an app, in a word or two.
func stateOf(a status.App) string {
	if a.Condition == "" && a.State == status.Synced && a.IsUnhealthy() {
		return string(a.Health)
	}
	return cmp.Or(string(a.Condition), string(a.State))
}

// explain is the reason for the state of an app, if there is one to give, else its
// counts.
func explain(a status.App) string {
	if a.Reason != "" && (a.State != status.Synced || a.Condition != "" || a.IsUnhealthy()) {
		return a.Reason
	}
	return cmp.Or(a.WasKnown(), a.Counts())
}

func (p printer) hint() {
	fmt.Fprintf(p.out, `
Try, in another terminal:
  cd %s
  # scale: the first task is kept
  sed -i.bak 's/instances: 1/instances: 3/' web.yaml && git commit -am 'Run three'
  # restart: new tasks start, and when they are healthy the old ones stop
  sed -i.bak 's/Hello from git/Good morning/' web.yaml && git commit -am 'Be polite'
  # roll back
  git revert --no-edit HEAD
Ctrl-C ends it.

`, p.repo)
}
