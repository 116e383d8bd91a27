package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/pacer-gitops/pacer/controller/store"
)

// After a known loss of its state a sync only reports: it shows what differs,
// adopts what is equal, and changes nothing until it is resumed. Whether it was
// suspended, or rolled back, nobody knows any more.

// exclusiveAfterLoss is how long an exclusive sync deletes nothing that it never
// applied once it was resumed after a loss, in which a person may yet see what
// it would delete.
const exclusiveAfterLoss = 10 * time.Minute

// noteLossFor is how long a loss is told that the configuration had resumed at once.
const noteLossFor = 24 * time.Hour

// isLoss reports whether an error of the store says that state is lost.
func isLoss(err error) bool {
	return errors.Is(err, store.ErrLost) || errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNewer)
}

// lose is the state that a reconciliation works with after a loss: what is there, less what
// could let something be deleted or changed. The reconciliation saves it before it changes
// anything, and until then the loss is found again.
func (p *reconciliation) lose(ctx context.Context, state store.State, loss error) (store.State, error) {
	if p.term == nil && !errors.Is(loss, store.ErrLost) {
		return state, loss // to set it aside is the leader's to do
	}
	err := loss
	if !errors.Is(loss, store.ErrLost) {
		state, err = p.r.Store.Load(ctx, p.r.Sync.Name) // it was set aside
	}
	if lost, ok := errors.AsType[*store.LostError](err); ok {
		state.Replace(lost.Was...)
	} else if err != nil {
		return state, err
	}
	p.r.kept = "" // what was kept is lost, too
	was := state.ID
	state.Inventory, state.Approved, state.ID = nil, nil, ""
	state.Replace(was)
	state.Loss = &store.Loss{At: time.Now(), Why: loss.Error()}
	if p.term != nil {
		follows := "it only reports until it is resumed"
		if p.r.Sync.ResumeAfterLoss {
			follows = "it resumes at once, by onStateLoss: resume"
		}
		p.r.Log.Error("state of a sync is lost: "+follows, "sync", p.r.Sync.Name, "error", loss)
	}
	return state, nil
}

// claimer is a store that other replicas share, and in which they say what they
// know to be lost.
type claimer interface {
	Claimed(ctx context.Context, sync string) (bool, error)
}

// claimTimeout bounds the question whether there is a claim: nothing is written
// without a save, which is refused after one.
const claimTimeout = time.Second

// claimed reports whether another replica says that the state that was loaded is
// not what it was.
func (p *reconciliation) claimed(ctx context.Context) bool {
	s, shared := p.r.Store.(claimer)
	if !shared {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	is, err := s.Claimed(ctx, p.r.Sync.Name)
	return err == nil && is
}

// own makes what was loaded the leader's: a record of its own, resumed where the
// configuration says so. It reports whether that is to be saved.
func (p *reconciliation) own(state *store.State) bool {
	news := false
	if state.ID == "" { // a first start, after a loss, or of an older Pacer
		state.ID, news = uuid.NewString(), state.Inventory != nil || state.Loss != nil
	}
	if p.r.Sync.ResumeAfterLoss && state.Loss.Reports() {
		state.Loss, news = state.Loss.Resume(time.Now()), true
	}
	return news
}

// lossNotes tells of a loss for as long as a person should know.
func (p *reconciliation) lossNotes() []string {
	loss := p.r.record.state.Loss
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case loss == nil:
		return nil
	case loss.Reports():
		return []string{fmt.Sprintf("State was lost at %s, so nothing is created, changed or deleted until the sync is resumed: see what differs by pacer diff %s, then pacer resume %s. %s",
			at(loss.At), p.r.Sync.Name, p.r.Sync.Name, loss.Why)}
	case time.Since(loss.Resumed) < noteLossFor:
		return []string{fmt.Sprintf("State was lost at %s, and the sync resumed at %s: what git dropped before then no longer counts as its own. %s",
			at(loss.At), at(loss.Resumed), loss.Why)}
	}
	return nil
}

// lossHold says why an exclusive sync deletes nothing that it never applied;
// empty: it may.
func (p *reconciliation) lossHold() string {
	loss := p.r.record.state.Loss
	if loss == nil || !loss.Reports() && time.Since(loss.Resumed) >= exclusiveAfterLoss {
		return ""
	}
	why := "state was lost at " + loss.At.UTC().Format(time.RFC3339)
	if !loss.Reports() {
		why += " and the sync resumed at " + loss.Resumed.UTC().Format(time.RFC3339) + ", which holds until " + loss.Resumed.Add(exclusiveAfterLoss).UTC().Format(time.RFC3339)
	}
	return why
}
