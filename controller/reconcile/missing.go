package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// Witness is a Marathon that can be asked about what its State lacks.
// *cache.Cache is one.
type Witness interface {
	marathon.Singles
	// SecondIDs lists what is there by another URL; false: there is none.
	SecondIDs(ctx context.Context) (ids map[string]bool, asked bool, err error)
	// Distrust has everything read again before the next State.
	Distrust()
}

// lackingError: Marathon has what its list lacks, so that the list is not believed.
type lackingError struct{ ids []string }

func (e *lackingError) Error() string {
	return fmt.Sprintf("Marathon's list lacks apps or pods that Marathon has (%s): the list is incomplete, so nothing is changed, and it is read again", Listed(e.ids))
}

func isLacking(err error) bool {
	_, is := errors.AsType[*lackingError](err)
	return is
}

// goneIDs are ids of the inventory that Marathon is known not to have, as the kind
// that they were.
type goneIDs map[string]manifests.Kind

// mostDropped is how many ids that git has not, and that live lacks, a reconciliation reads
// alone.
const mostDropped = 200

// missingSample is how many of many missing ids are read alone: one that is there
// proves that the list is not whole.
const missingSample = 20

// examine asks about the apps and pods of the inventory that live lacks, before
// anything is planned on that:
//
//	git has it  how many                    gone where                                              else
//	no          at most 200 at once  a read of it answers 404                                doubted: it stays in the inventory
//	yes         at most MostMissing         a read of it answers 404
//	yes         more                        20 reads answer 404, and a list of another URL agrees   doubted: it is created after an approval
//
// An id that a read or the other list shows ends the reconciliation: the list is not whole,
// and what is not known is not taken for gone. What is once known to be gone is not
// asked about again while live lacks it.
func (p *reconciliation) examine(ctx context.Context) error {
	p.doubted = nil
	desired, dropped := p.missing()
	w := p.r.Live.Witness()
	if w == nil || p.term == nil || len(desired)+len(dropped) == 0 {
		return nil
	}
	p.doubted = map[string]bool{}
	if n := len(dropped); n > mostDropped {
		p.doubt(dropped[mostDropped:])
		dropped = dropped[:mostDropped]
	}
	if err := p.present(ctx, w, dropped, mostDropped); err != nil {
		return err
	}
	p.settle(dropped)
	if len(desired) <= p.r.Sync.Policy.MostMissing(len(p.r.record.state.Inventory)) {
		err := p.present(ctx, w, desired, len(desired))
		if err == nil {
			p.settle(desired)
		}
		return err
	}
	return p.examineMany(ctx, w, desired)
}

// examineMany is examine for more than is created again unasked.
func (p *reconciliation) examineMany(ctx context.Context, w Witness, refs []marathon.Ref) error {
	if err := p.present(ctx, w, refs, missingSample); err != nil {
		return err
	}
	ids, asked, err := w.SecondIDs(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		p.r.Log.Debug("no other URL of Marathon answers", "sync", p.r.Sync.Name, "error", err)
	case asked:
		var there []string
		for _, ref := range refs {
			if ids[ref.ID] {
				there = append(there, ref.ID)
			}
		}
		if len(there) > 0 {
			w.Distrust()
			return &lackingError{there}
		}
		p.settle(refs)
		return nil
	}
	p.doubt(refs)
	return nil
}

// missing lists what live lacks of the inventory and is not known to be gone: what
// git has, and what it has not. What this sync is deleting, or may create by an
// approval, is in neither.
func (p *reconciliation) missing() (desired, dropped []marathon.Ref) {
	state := &p.r.record.state
	isLive := func(id string, kind manifests.Kind) bool {
		if kind == manifests.KindPod {
			_, there := p.state.Pods[id]
			return there
		}
		_, there := p.state.Apps[id]
		return there
	}
	maps.DeleteFunc(p.r.gone, func(id string, kind manifests.Kind) bool { return isLive(id, kind) })
	approved := approved(state.Approved, p.revision.ID)
	var refs []marathon.Ref
	for id, o := range state.Inventory {
		if o.Kind == manifests.KindGroup || isLive(id, o.Kind) || p.r.gone[id] == o.Kind || approved[id] || state.Rollouts[id].Action == plan.Delete {
			continue
		}
		refs = append(refs, marathon.Ref{ID: id, Kind: o.Kind})
	}
	if len(refs) == 0 {
		return nil, nil
	}
	slices.SortFunc(refs, func(a, b marathon.Ref) int { return cmp.Compare(a.ID, b.ID) })
	inGit := map[string]bool{}
	for i := range p.desired.Items {
		inGit[p.desired.Items[i].ID] = true
	}
	for _, ref := range refs {
		if inGit[ref.ID] {
			desired = append(desired, ref)
		} else {
			dropped = append(dropped, ref)
		}
	}
	return desired, dropped
}

// present is an error where at least one of the refs is there, of which so many are
// read.
func (p *reconciliation) present(ctx context.Context, w Witness, refs []marathon.Ref, most int) error {
	there, err := marathon.Present(ctx, w, refs, most)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("cannot read the apps missing from Marathon's list, so nothing is changed: %w", err)
	case len(there) > 0:
		w.Distrust()
		return &lackingError{there}
	}
	return nil
}

// settle notes what is known to be gone.
func (p *reconciliation) settle(refs []marathon.Ref) {
	for _, ref := range refs {
		p.r.gone[ref.ID] = ref.Kind
	}
}

func (p *reconciliation) doubt(refs []marathon.Ref) {
	for _, ref := range refs {
		p.doubted[ref.ID] = true
	}
}
