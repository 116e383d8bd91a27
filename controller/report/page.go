package report

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/plan"
)

// PullPath is where the plan of a pull request is shown.
func PullPath(source string, number int) string {
	return "/pulls/" + url.PathEscape(source) + "/" + strconv.Itoa(number)
}

// PullPlan is what a pull request would change.
type PullPlan struct {
	Source string    `json:"source"`
	Number int       `json:"number"`
	Title  string    `json:"title"`
	Author string    `json:"author"`
	URL    string    `json:"url"` // of its page at the forge
	At     time.Time `json:"at"`  // when it was planned

	Base       string `json:"base"`
	BaseCommit string `json:"baseCommit"`
	Head       string `json:"head"`
	HeadCommit string `json:"headCommit"`
	// Merge is how its commits were merged: forge, here, or head: not at all.
	Merge     string   `json:"merge,omitempty"`
	Conflicts []string `json:"conflicts,omitempty"` // files; there are no plans then
	Waits     string   `json:"waits,omitempty"`     // what for, so there are no plans
	// Syncs are those that it touches.
	Syncs []SyncPlan `json:"syncs"`
}

// SyncPlan is what a pull request would change in one sync.
type SyncPlan struct {
	Sync  string     `json:"sync"`
	Error string     `json:"error,omitempty"` // why there is no plan
	Plan  *plan.Plan `json:"plan,omitempty"`
}

// slim is a plan without what only a reconciliation needs of it.
func slim(p plan.Plan) plan.Plan {
	p.Owned, p.Adopted, p.Held, p.Known = nil, nil, nil, plan.Known{}
	return p
}

// maxKept is how many changes the plans have that are kept to be shown. What is not kept
// is planned again when it is asked for.
const maxKept = 100_000

// kept are plans of pull requests, the newest last.
type kept struct {
	all  []PullPlan
	next chan struct{} // closed when the next one is kept; nil: nobody waits for it
}

// keep keeps the plan of a pull request to be shown.
func (w *worker) keep(p *pull) {
	c := &p.draft.comment
	kept := PullPlan{
		Source: w.name, Number: p.at.Number, Title: p.at.Title, Author: p.at.Author, URL: p.at.URL, At: time.Now(),
		Base: c.Base.Branch, BaseCommit: c.Base.Commit, Head: c.Head.Branch, HeadCommit: c.Head.Commit,
		Merge: string(c.Merge), Conflicts: c.Conflicts, Waits: c.Waits, Syncs: []SyncPlan{},
	}
	for _, part := range c.Parts {
		s := SyncPlan{Sync: part.Sync, Error: part.Error}
		if part.Error == "" && c.Waits == "" && len(c.Conflicts) == 0 {
			s.Plan = &part.Plan
		}
		kept.Syncs = append(kept.Syncs, s)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	k := &w.pulls.kept
	k.all = append(slices.DeleteFunc(k.all, func(one PullPlan) bool { return one.Number == p.at.Number }), kept)
	k.bound()
	if k.next != nil {
		close(k.next)
		k.next = nil
	}
}

// bound forgets the oldest plans where all of them are too large, but not the newest.
func (k *kept) bound() {
	changes := 0
	for i := len(k.all) - 1; i >= 0; i-- {
		changes += k.all[i].size()
		if changes > maxKept && i < len(k.all)-1 {
			k.all = slices.Delete(k.all, 0, i+1)
			return
		}
	}
}

func (p *PullPlan) size() int {
	n := 1
	for _, s := range p.Syncs {
		if s.Plan != nil {
			n += len(s.Plan.Changes) + len(s.Plan.Problems) + len(s.Plan.NotManaged)
		}
	}
	return n
}

// PullPlan is the plan of a pull request, whole: the one that its comment says, or a new
// one. Errors: ErrNotLeading, controller.ErrNoSource for a source without a forge,
// ErrNoPull.
func (r *Reporter) PullPlan(ctx context.Context, source string, number int) (PullPlan, error) {
	r.mu.Lock()
	w, leads := r.workers[source], r.ctx != nil
	r.mu.Unlock()
	switch {
	case !leads:
		return PullPlan{}, ErrNotLeading
	case w == nil:
		return PullPlan{}, fmt.Errorf("%w with a forge: %s", controller.ErrNoSource, source)
	}
	for asked := false; ; asked = true {
		found, next := w.keptPlan(number)
		if found != nil {
			return *found, nil
		}
		if next == nil {
			return PullPlan{}, fmt.Errorf("%w: %d is not open, or not found yet", ErrNoPull, number)
		}
		if !asked {
			w.replan(number)
		}
		select {
		case <-next:
		case <-ctx.Done():
			return PullPlan{}, fmt.Errorf("%w: it is still being made: try again", ErrNoPull)
		}
	}
}

// keptPlan is the plan of a pull request, or what is closed when the next one of any is
// kept; neither: it is not open.
func (w *worker) keptPlan(number int) (*PullPlan, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := &w.pulls.kept
	for i := range k.all {
		if k.all[i].Number == number {
			found := k.all[i]
			return &found, nil
		}
	}
	if w.pulls.all[number] == nil {
		return nil, nil
	}
	if k.next == nil {
		k.next = make(chan struct{})
	}
	return nil, k.next
}

// replan has a pull request planned again.
func (w *worker) replan(number int) {
	w.mu.Lock()
	if p := w.pulls.all[number]; p != nil {
		p.replan = true
	}
	w.mu.Unlock()
	w.add(key{kind: kindPull, number: number})
}
