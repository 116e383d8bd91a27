package sources

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Git is a source that is a git repository.
//
// A look asks the remote for its refs alone; what is wanted is fetched when it
// moved, one commit without history where the server can, and of that only what
// the commits before did not bring. The clone that it goes to survives restarts;
// see GitOptions.Dir.
type Git struct {
	fetcher

	// historyTurn is held by who fetches history.
	historyTurn chan struct{}

	last *Snapshot   // guarded by turn, as from
	from *generation // of last
}

var _ Source = (*Git)(nil)

// NewGit takes the folder of the clone. It does not ask the network: a server
// that is down is an error of Snapshot.
func NewGit(o GitOptions) (*Git, error) {
	g := &Git{historyTurn: make(chan struct{}, 1)}
	if err := g.open(o); err != nil {
		return nil, err
	}
	return g, nil
}

// Changed is nil: a remote tells nothing by itself.
func (g *Git) Changed() <-chan struct{} { return nil }

// Snapshot looks at the remote and fetches what is wanted if it is not here.
func (g *Git) Snapshot(ctx context.Context) (*Snapshot, error) {
	return attempt(ctx, "git source "+g.String(), g.turn, g.wanted.Log, func() (*Snapshot, error) {
		if g.closed {
			return nil, fmt.Errorf("git source %s: %w", g, ErrClosed)
		}
		s, err := g.lookOnce(ctx)
		if err != nil && g.dropDamaged() {
			s, err = g.lookOnce(ctx)
		}
		return s, err
	})
}

func (g *Git) lookOnce(ctx context.Context) (*Snapshot, error) {
	pinned := target{hash: plumbing.NewHash(g.wanted.Commit)}
	if g.wanted.Commit != "" && g.has(pinned.hash) {
		return g.snapshot(pinned) // a commit never changes: there is nothing to ask
	}
	var found target
	err := g.converse(ctx, func(ctx context.Context, r remote, extend func()) (err error) {
		found, err = g.lookAndFetch(ctx, r, extend)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("git source %w", err)
	}
	return g.snapshot(found)
}

func (g *Git) lookAndFetch(ctx context.Context, r remote, extend func()) (target, error) {
	advert, err := r.look(ctx)
	if err != nil {
		return target{}, err
	}
	if g.wanted.Commit != "" {
		extend()
		return g.fetchCommit(ctx, r, advert)
	}
	found, err := g.wanted.choose(advert)
	if err != nil {
		return target{}, err
	}
	if g.has(found.hash) {
		return found, nil
	}
	extend()
	return found, g.fetch(ctx, r, request{wants: []plumbing.Hash{found.hash}})
}

// fetchCommit fetches a commit by its hash, where the server allows to ask for
// one; else all branches and tags with their history, in which it should be.
func (g *Git) fetchCommit(ctx context.Context, r remote, a *advert) (target, error) {
	found := target{hash: plumbing.NewHash(g.wanted.Commit)}
	hashes := slices.Collect(maps.Values(a.refs))
	if a.byHash || slices.Contains(hashes, found.hash) {
		err := g.fetch(ctx, r, request{wants: []plumbing.Hash{found.hash}})
		if isRefused(err) {
			err = fmt.Errorf("commit %s is %w: %w", found.hash, ErrNoRef, err)
		}
		return found, err
	}
	var wants []plumbing.Hash
	for name, hash := range a.refs {
		if strings.HasPrefix(name, branchPrefix) || strings.HasPrefix(name, tagPrefix) {
			wants = append(wants, hash)
		}
	}
	plumbing.HashesSort(wants)
	wants = slices.Compact(wants)
	if len(wants) == 0 {
		return target{}, fmt.Errorf("commit %s is %w, which has no branches and no tags", found.hash, ErrNoRef)
	}
	g.clone.current = nil // shallow commits would hide what is behind them
	if err := g.fetch(ctx, r, request{wants: wants, history: true}); err != nil {
		return target{}, err
	}
	if !g.has(found.hash) {
		return target{}, fmt.Errorf("commit %s is %w: no branch or tag contains it", found.hash, ErrNoRef)
	}
	return found, nil
}

// snapshot is what stands at a commit that is here.
func (g *Git) snapshot(t target) (*Snapshot, error) {
	at := g.clone.current
	commit, err := at.commit(t.hash)
	if err != nil {
		return nil, fmt.Errorf("git source %s: %w", g, err)
	}
	if g.last != nil && g.from == at && g.last.Revision.ID == commit.Hash.String() && g.last.Revision.Ref == shown(t.ref) {
		return g.last, nil
	}
	s, err := g.snapshotOf(at, commit, t.ref)
	if err != nil {
		return nil, err
	}
	s.LastChange = (&history{git: g, at: at, head: commit}).lastChange
	g.last, g.from = s, at
	return s, nil
}
