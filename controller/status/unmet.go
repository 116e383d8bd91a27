package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// Unmet is the first thing that keeps the syncs from being synced and healthy at a
// revision (empty: any), and the first failure that does not end by itself.
func (st Status) Unmet(revision string) (missing, failed string) {
	for _, y := range st.Syncs {
		m, f := st.unmetSync(y, revision)
		if missing == "" {
			missing = m
		}
		if f != "" {
			return missing, f
		}
	}
	return missing, ""
}

func (st Status) unmetSync(y Sync, revision string) (missing, failed string) {
	say := func(format string, args ...any) string { return y.Name + ": " + fmt.Sprintf(format, args...) }
	switch {
	case st.MarathonOf(y).Error != "":
		return say("Marathon cannot be read: %s", st.MarathonOf(y).Error), ""
	case y.Stale != nil:
		return say("unknown since %s: %s", y.Stale.Since.UTC().Format(time.RFC3339), y.Stale.Reason), ""
	case y.PlannedRevision == "" && y.Last != nil && y.Last.Error != "":
		return say("%s", y.Last.Error), ""
	case y.Planned.IsZero():
		return say("%s", cmp.Or(st.SourceWaits(y), "git and Marathon have not been compared yet")), ""
	case y.RolledBack != nil && !plan.IsRevision(y.PlannedRevision, revision):
		return say("it is rolled back to %s until it is released", plan.ShortRevision(y.RolledBack.ID)), ""
	case y.Hold != nil:
		return say("it is held at %s: %s", plan.ShortRevision(y.Hold.Revision), y.Hold.Reason), ""
	case y.PlannedRevision != inForce(y) || !plan.IsRevision(y.PlannedRevision, revision):
		return say("it is at %s", plan.ShortRevision(y.PlannedRevision)), ""
	case y.SourceError != "" && y.RolledBack == nil:
		missing = say("the source cannot be read: %s", y.SourceError)
	case y.StateLost != nil:
		missing = say("its state was lost at %s, and it only reports until pacer resume %s", y.StateLost.At.UTC().Format(time.RFC3339), y.Name)
	case y.Suspended:
		missing = say("it is suspended%s", y.Suspension.Words())
	}
	for _, a := range y.Apps {
		said := say("%s %s: %s", a.ID, strings.Join(a.Words(), ", "), a.Reason)
		if a.Condition == Failed || a.Condition == Broken {
			return missing, said
		}
		if missing == "" && !done(a) {
			missing = said
		}
	}
	if missing == "" && y.Running {
		// Only at its end is it in the history, and is what it did settled.
		missing = say("a reconciliation is in progress")
	}
	for _, p := range y.Problems {
		if p.Severity != manifests.SeverityWarning {
			return missing, say("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
		}
	}
	return missing, ""
}

// inForce is the revision that a sync is to be at.
func inForce(y Sync) string {
	if y.RolledBack != nil {
		return y.RolledBack.ID
	}
	return y.Revision.ID
}

// done reports whether an app is synced and healthy.
func done(a App) bool {
	return a.State == Synced && a.Condition == "" &&
		(a.Kind == manifests.KindGroup || a.Health == HealthHealthy || a.Health == HealthSuspended)
}

// Words are the state of an app in words: state, health, condition, and counts.
func (a App) Words() []string {
	words := []string{string(a.State)}
	if a.Health != "" {
		words = append(words, string(a.Health))
	}
	if a.Condition != "" {
		words = append(words, string(a.Condition))
	}
	if known := a.WasKnown(); known != "" {
		return append(slices.Compact(words), known)
	}
	if a.Kind == manifests.KindGroup {
		return words
	}
	return append(words, a.Counts())
}
