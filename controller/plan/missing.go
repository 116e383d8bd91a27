package plan

import "fmt"

// mostMissing is how many ids of the inventory may be missing from Marathon's list
// at once, where maxDeletes sets no bound, and how many are read alone at most.
const (
	mostMissing      = 20
	mostMissingReads = 200
)

// MostMissing is how many apps and pods that git has, of so many in the inventory,
// may be missing from Marathon's list at once: at most so many are created again
// without more proof than a read of each. It is what maxDeletes allows, at least 1
// and at most 200, and 20 where that sets no bound.
func (p Policy) MostMissing(owned int) int {
	limit := p.MaxDeletes.limit(owned)
	if limit < 0 {
		limit = mostMissing
	}
	return min(max(limit, 1), mostMissingReads)
}

// holdDoubted: a list that lacks so much may be of another Marathon, of one that
// lost its state, or only a part of the truth.
func holdDoubted(w *work, d *draft) string {
	if d.Action != Create || !w.in.Doubted[d.ID] {
		return ""
	}
	return fmt.Sprintf("%d apps and pods that this sync applied are missing from Marathon's list at once, and at most %d are recreated without approval: "+
		"run pacer approve if they are really gone, or add another address of this Marathon to marathon.url, whose list is then compared",
		len(w.in.Doubted), w.in.Policy.MostMissing(len(w.in.Inventory)))
}

// holdDoubtedDeletes: a list that may lack apps is no ground to delete any.
func holdDoubtedDeletes(w *work, d *draft) string {
	if d.Action != Delete || len(w.in.Doubted) == 0 {
		return ""
	}
	return fmt.Sprintf("%d apps and pods that this sync applied are missing from Marathon's list at once: "+
		"nothing is deleted based on that list until they are listed again, approved, or known to be gone", len(w.in.Doubted))
}
