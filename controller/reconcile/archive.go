package reconcile

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/meter"
	"github.com/pacer-gitops/pacer/sources"
)

// MaxContents is how many different contents of revisions are kept for a sync.
// Several revisions may share one: most commits of a repository of many teams
// change nothing for one of them.
const MaxContents = 10

// archived is what a revision asked for, as it is kept: all that its manifests
// said, with what could not be read of them. The same bytes every time.
type archived struct {
	Format int `json:"format"`
	manifests.Desired
}

const archivedFormat = 1

// maxArchived is how many bytes what a revision asked for may have, expanded; what
// else is too much, see meter. A snapshot holds less.
const maxArchived = 256 << 20

// errNotKept is a content that cannot be had, or not as it was kept.
var errNotKept = errors.New("the stored revision is missing or damaged")

// Pack writes what is desired, compressed, and its checksum.
func Pack(d manifests.Desired) (content []byte, sum string, err error) {
	plain, err := json.Marshal(archived{archivedFormat, d})
	if err != nil {
		return nil, "", err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err = z.Write(plain)
	if err := errors.Join(err, z.Close()); err != nil {
		return nil, "", err
	}
	if err := meter.Check(plain, maxArchived, int64(b.Len())); err != nil {
		return nil, "", err // it could not be read again
	}
	hash := sha256.Sum256(plain)
	return b.Bytes(), hex.EncodeToString(hash[:]), nil
}

// unpack reads what pack wrote. Any other bytes are an error that wraps
// errNotKept: never a part of it.
func unpack(content []byte, sum string) (manifests.Desired, error) {
	fail := func(err error) (manifests.Desired, error) {
		return manifests.Desired{}, fmt.Errorf("%w: %w", errNotKept, err)
	}
	plain, err := meter.Expand(content, maxArchived)
	if err != nil {
		return fail(err)
	}
	if hash := sha256.Sum256(plain); hex.EncodeToString(hash[:]) != sum {
		return fail(errors.New("checksum mismatch"))
	}
	var a archived
	d := json.NewDecoder(bytes.NewReader(plain))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return fail(err)
	}
	if a.Format != archivedFormat {
		return fail(fmt.Errorf("format %d, this Pacer supports %d", a.Format, archivedFormat))
	}
	return a.Desired, nil
}

// recalled is content that was read from the archive.
type recalled struct {
	sum     string
	desired manifests.Desired
}

// recall reads what a revision asked for that the sync is rolled back to, or held
// at.
func (p *reconciliation) recall(ctx context.Context, k store.Kept) (manifests.Desired, error) {
	if r := p.r.pinned; r != nil && r.sum == k.Sum {
		return r.desired, nil
	}
	d, err := Recall(ctx, p.r.Archive, p.r.Sync, k)
	if err != nil && p.pin != nil {
		err = fmt.Errorf("this sync is rolled back to %s, so nothing is changed: %w: release it, or roll back to another revision", plan.ShortRevision(k.ID), err)
	}
	if err != nil {
		return d, err
	}
	p.r.pinned = &recalled{k.Sum, d}
	return d, nil
}

// Recall reads what a revision asked of a sync.
func Recall(ctx context.Context, archive store.Archive, spec Sync, k store.Kept) (manifests.Desired, error) {
	if archive == nil || k.Sum == "" {
		return manifests.Desired{}, errNotKept
	}
	if k.Scope != spec.Policy.Scope {
		return manifests.Desired{}, fmt.Errorf("it was rendered for the scope %s, and the sync now has %s", k.Scope, spec.Policy.Scope)
	}
	content, err := archive.Recall(ctx, spec.Name, k.Sum)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", errNotKept, err)
		}
		return manifests.Desired{}, err
	}
	return unpack(content, k.Sum)
}

// keepRevision keeps what the revision of a reconciliation asks for, so that it can be had
// again with the source away: as the newest one in any case, and to roll back to
// once it has come about. A failure costs the way back to it and nothing else.
func (p *reconciliation) keepRevision(ctx context.Context, end ending) {
	if p.r.Archive == nil || p.term == nil || p.pin != nil || !p.from.writes || superseded(ctx) {
		return
	}
	state := &p.r.record.state
	isKept := p.r.kept == p.revision.ID && slices.ContainsFunc(state.Kept, func(k store.Kept) bool { return k.ID == p.r.kept })
	cameAbout := !isKept && p.cameAbout(end) // another leader may have dropped it since
	if !cameAbout && !p.lacksContent() {
		return
	}
	if cameAbout {
		p.keepChange(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), SaveTimeout)
	defer cancel()
	sum, err := p.archive(ctx)
	if err != nil {
		p.r.Log.Warn("cannot store a revision, so there is no rollback to it", "sync", p.r.Sync.Name, "revision", p.revision.ID, "error", err)
		return
	}
	if p.isNewest() {
		state.Newest, p.r.record.dirty = withSum(*state.Newest, sum), true
	}
	if cameAbout {
		state.Kept = withKept(state.Kept, store.Kept{
			ID: p.revision.ID, Ref: p.revision.Ref, Author: p.revision.Author, Subject: p.revision.Subject, Time: p.revision.Time,
			Since: time.Now(), Scope: p.r.Sync.Policy.Scope, Sum: sum, Change: p.change,
		})
		p.r.record.dirty, p.r.kept = true, p.revision.ID
	}
	if err := p.save(ctx); err != nil {
		return // told when the reconciliation is finished; what is kept too much does no harm
	}
	if err := p.r.Archive.Retain(ctx, p.r.Sync.Name, sumsOf(state)); err != nil {
		p.r.Log.Warn("cannot remove revisions that are no longer needed", "sync", p.r.Sync.Name, "error", err)
	}
}

// archive stores what the reconciliation takes for desired, once, and returns its checksum.
func (p *reconciliation) archive(ctx context.Context) (string, error) {
	if p.archived != "" {
		return p.archived, nil
	}
	content, sum, err := Pack(p.desired)
	if err == nil {
		err = p.r.Archive.Keep(ctx, p.r.Sync.Name, sum, content)
	}
	if err == nil {
		p.archived = sum
	}
	return sum, err
}

// archiveBeside stores what the newest revision asks for while it is applied, so
// that another replica can go on with it though git is away by then. The first
// write does not wait for it: it is called before, and the work begins when
// answered is called, or archiveDelay is over. Wait returns when it is done.
func (p *reconciliation) archiveBeside(ctx context.Context, k *keeper) (answered, wait func()) {
	if p.r.Archive == nil || !p.isNewest() || !p.lacksContent() {
		return func() {}, func() {}
	}
	begin, ended, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var once, end sync.Once
	go func() {
		defer close(done)
		timer := time.NewTimer(archiveDelay)
		defer timer.Stop()
		select {
		case <-begin:
		case <-timer.C:
		case <-ended:
		}
		if superseded(ctx) {
			return // a newer one is about to take its place
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), SaveTimeout)
		defer cancel()
		sum, err := p.archive(ctx)
		if err != nil {
			return // tried again, and told, when the reconciliation is finished
		}
		k.change(func() bool {
			p.r.record.state.Newest = withSum(*p.r.record.state.Newest, sum)
			return true
		})
	}()
	return func() { once.Do(func() { close(begin) }) }, func() { end.Do(func() { close(ended) }); <-done }
}

// archiveDelay is how long after the beginning of an apply what it applies is
// stored though Marathon has not answered its first write.
const archiveDelay = time.Second

// isNewest reports whether the reconciliation works by the newest revision.
func (p *reconciliation) isNewest() bool {
	n := p.r.record.state.Newest
	return n != nil && n.ID == p.revision.ID
}

// lacksContent reports whether what the newest revision asks for is to be stored.
func (p *reconciliation) lacksContent() bool {
	return p.isNewest() && p.r.record.state.Newest.Sum == ""
}

// withSum is the newest revision with what it asks for.
func withSum(n store.Newest, sum string) *store.Newest {
	n.Sum = sum
	return &n
}

// sumsOf lists the contents that a state has use for.
func sumsOf(s *store.State) []string {
	var sums []string
	if s.Newest != nil && s.Newest.Sum != "" {
		sums = append(sums, s.Newest.Sum)
	}
	for _, k := range s.Kept {
		sums = append(sums, k.Sum)
	}
	return sums
}

// cameAbout reports whether live is what the revision asks for, but for what is
// blocked, and for what failed at an earlier one: that was no better before.
func (p *reconciliation) cameAbout(end ending) bool {
	state := &p.r.record.state
	if !p.r.record.loaded || state.Stopped() || p.read.IsZero() || len(state.Rollouts) > 0 {
		return false
	}
	for _, f := range state.Failed {
		if f.Revision == p.revision.ID {
			return false
		}
	}
	return end.result == status.ResultApplied || end.result == status.ResultUnchanged && p.plan.Pending() == 0 && len(state.Failed) == 0
}

// withKept puts a revision on top of those that are kept, and drops the oldest
// contents.
func withKept(kept []store.Kept, k store.Kept) []store.Kept {
	if i := slices.IndexFunc(kept, func(old store.Kept) bool { return old.ID == k.ID }); i >= 0 {
		k.Since = kept[i].Since
	}
	all := append([]store.Kept{k}, slices.DeleteFunc(slices.Clone(kept), func(old store.Kept) bool { return old.ID == k.ID })...)
	sums := map[string]bool{}
	for i, k := range all {
		if sums[k.Sum] = true; len(sums) > MaxContents || i >= store.MaxHistory {
			return all[:i]
		}
	}
	return all
}

// revisionOf is a kept revision as its source told of it.
func revisionOf(k store.Kept) sources.Revision {
	return sources.Revision{ID: k.ID, Ref: k.Ref, Author: k.Author, Subject: k.Subject, Time: k.Time}
}
