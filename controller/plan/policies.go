package plan

import (
	"fmt"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// policy holds changes of a finished plan back. It adds none and takes none
// away. The first that holds a change back says why.
type policy func(w *work, drafts []*draft)

// policies in the order of the table above Compute: those that no approval
// lifts come first, so that nobody approves in vain.
var policies = []policy{
	each(holdRefused),
	each(holdSelf),
	holdCycles,
	each(holdFailed),
	holdDependents,
	each(holdUnreadable),
	each(holdEmptySource),
	each(holdUnknownInventory),
	each(holdStateLost),
	each(holdDoubtedDeletes),
	each(holdPruneOff),
	unlessApproved(holdPersistent), // before what an approval lifts as well: who approves must know of the data
	holdReplaced,
	unlessApproved(holdDoubted),
	unlessApproved(holdAdoption),
	unlessApproved(holdDrift),
	unlessApproved(holdPruneConfirm),
	holdMaxDeletes,
	holdWaiting,
}

// each makes a policy of a function that says why one change is held back, or
// nothing.
func each(why func(w *work, d *draft) string) policy {
	return func(w *work, drafts []*draft) {
		for _, d := range drafts {
			d.hold(why(w, d))
		}
	}
}

// unlessApproved is each for policies that a person may overrule.
func unlessApproved(why func(w *work, d *draft) string) policy {
	return func(w *work, drafts []*draft) {
		for _, d := range drafts {
			if !w.in.Policy.Approved[d.ID] {
				d.ask(why(w, d))
			}
		}
	}
}

// holdRefused: what Marathon would answer is known before.
func holdRefused(w *work, d *draft) string {
	var words []string
	for _, v := range d.refused {
		words = append(words, violationWords(v))
	}
	if len(words) == 0 {
		return ""
	}
	return "Marathon would refuse this " + string(d.Action) + ": " + strings.Join(words, "; ")
}

func violationWords(v manifests.Violation) string {
	words := v.Answer
	switch {
	case words == "":
		words = v.Message
	case v.Message != "" && v.Message != words:
		words += " (" + v.Message + ")"
	}
	return v.Path + ": " + words
}

// holdSelf: without Pacer nobody would be there to undo it.
func holdSelf(w *work, d *draft) string {
	none := d.App != nil && d.App.Instances != nil && *d.App.Instances == 0
	if w.in.Policy.Self == "" || d.ID != w.in.Policy.Self || d.Action != Delete && !none {
		return ""
	}
	return "Pacer itself runs as this app: to stop it, do that in Marathon"
}

// holdFailed: a definition whose rollout failed is not tried until it changes.
// What is put back in its place is another one.
func holdFailed(w *work, d *draft) string {
	f, failed := w.in.Failed[d.ID]
	if !failed || d.Revert || d.Action == Delete || f.Hash != d.Hash {
		return ""
	}
	return "this definition failed: " + f.Words() + ": it is not retried until the definition changes"
}

// holdUnreadable: what stands in a file that cannot be read is not known.
func holdUnreadable(w *work, d *draft) string {
	files := w.in.Desired.Unreadable
	switch {
	case d.Action != Delete || len(files) == 0:
		return ""
	case len(files) == 1:
		return files[0] + " cannot be read and might define this: nothing is deleted until it is fixed"
	}
	return fmt.Sprintf("%s and %d more cannot be read and might define this: nothing is deleted until they are fixed", files[0], len(files)-1)
}

// holdEmptySource: that git has nothing at all any more is taken for a mistake.
func holdEmptySource(w *work, d *draft) string {
	if d.Action != Delete {
		return ""
	}
	for _, kind := range w.wanted {
		if kind != manifests.KindGroup {
			return ""
		}
	}
	return "git defines no apps or pods in " + w.in.Policy.Scope + ": an empty source deletes nothing; if intended, delete this in Marathon"
}

// holdUnknownInventory: nothing is deleted while it is not known what is ours.
func holdUnknownInventory(w *work, d *draft) string {
	if d.Action != Delete || w.in.Inventory != nil {
		return ""
	}
	return "the inventory of this sync is unknown: nothing is deleted until it is known"
}

// holdStateLost: after a loss of state, what is not in the inventory may well be
// what nobody but this sync has applied, and git is yet to describe.
func holdStateLost(w *work, d *draft) string {
	if d.Action != Delete || d.mine || d.Kind == manifests.KindGroup || w.in.StateLost == "" {
		return ""
	}
	return w.in.StateLost + ": apps that this sync has not applied are not deleted"
}

func holdPruneOff(w *work, d *draft) string {
	if d.Action != Delete || w.in.Policy.Prune == PruneConfirm || w.in.Policy.Prune == PruneOn {
		return ""
	}
	return "prune is off: set prune: confirm or on for this sync, or delete it in Marathon"
}

// holdAdoption: what somebody else put there is not changed unasked.
func holdAdoption(w *work, d *draft) string {
	if w.in.Policy.Adopt || d.mine || !d.live || d.Action == Delete {
		return ""
	}
	return "Marathon has this " + string(d.Kind) + " already, and this sync did not create it: run pacer approve, or set adopt: true"
}

func holdDrift(w *work, d *draft) string {
	if !w.in.Policy.ReportDrift || !d.Drift {
		return ""
	}
	return "drift is only reported: run pacer approve to heal it, or set drift: heal"
}

// intoGit says how a delete is averted.
func (d *draft) intoGit() string {
	if d.mine {
		return "add it to git again"
	}
	return "define it in git, where it never was: exclusive: true deletes everything else"
}

func holdPruneConfirm(w *work, d *draft) string {
	if d.Action != Delete || w.in.Policy.Prune != PruneConfirm {
		return ""
	}
	return "prune: confirm requires approval: run pacer approve, or " + d.intoGit()
}

// holdPersistent: data that is lost cannot be had back by a revert.
func holdPersistent(w *work, d *draft) string {
	if d.Action != Delete || !d.persistent {
		return ""
	}
	return "its persistent volumes and all their data are deleted, too: run pacer approve, or " + d.intoGit()
}

// holdMaxDeletes: many deletes at once are taken for a mistake. Approved ones
// count, too, but are let through. What was one of too many stays so, until it
// is approved, stands in git again or is gone: else the rest would pass unasked
// as soon as enough of them were approved and done.
func holdMaxDeletes(w *work, drafts []*draft) {
	owned, count := len(w.owned), 0
	for _, d := range drafts {
		if d.Action != Delete {
			continue
		}
		if _, is := w.owned[d.ID]; !is {
			owned++
		}
		if d.Blocked == nil {
			count++
		}
	}
	w.held = w.stillHeld()
	limit := w.in.Policy.MaxDeletes.limit(owned)
	for _, d := range drafts {
		batch := max(count, w.held[d.ID])
		if d.Action != Delete || limit < 0 || batch <= limit {
			continue
		}
		if d.Blocked == nil {
			w.held[d.ID] = batch
		}
		if !w.in.Policy.Approved[d.ID] {
			d.ask(fmt.Sprintf("%d deletions at once exceed the %d that maxDeletes allows: run pacer approve, or raise maxDeletes", batch, limit))
		}
	}
}

// stillHeld is what was one of too many deletes and might be deleted still,
// though perhaps not by this plan.
func (w *work) stillHeld() map[string]int {
	held := map[string]int{}
	for id, batch := range w.in.Held {
		if w.wanted[id] == "" && (w.in.Doubted[id] || w.isLive(id, manifests.KindApp) || w.isLive(id, manifests.KindPod)) {
			held[id] = batch
		}
	}
	return held
}

// limit is how many deletes are allowed where so many are owned; -1: any.
func (m MaxDeletes) limit(owned int) int {
	limit := -1
	if m.Count > 0 {
		limit = m.Count
	}
	if m.Percent > 0 {
		share := (owned*m.Percent + 99) / 100
		if limit < 0 || share < limit {
			limit = share
		}
	}
	return limit
}
