package sources

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Git is a source that is a git repository.
//
// A look asks the remote for its refs alone; what is wanted is fetched when it
// moved, one commit without history where the server can, and of that only what
// the commits before did not bring. The clone that it goes to survives restarts;
// see GitOptions.Dir.
type Git struct {
	wanted wanted
	url    *url.URL
	clone  *clone

	stall time.Duration
	// historyTurn is held by who fetches history.
	historyTurn chan struct{}

	turn   chan struct{} // held by whoever looks; a channel, so that waiting for it ends with the context
	last   *Snapshot     // guarded by turn, as all below
	from   *generation   // of last
	closed bool
}

var _ Source = (*Git)(nil)

// NewGit takes the folder of the clone. It does not ask the network: a server
// that is down is an error of Snapshot.
func NewGit(o GitOptions) (*Git, error) {
	w, u, err := o.prepare()
	if err != nil {
		return nil, err
	}
	g := &Git{wanted: w, url: u, stall: maxStall, turn: make(chan struct{}, 1), historyTurn: make(chan struct{}, 1)}
	var damage error
	if g.clone, damage, err = openClone(w.Dir, g.key()); err != nil {
		return nil, fmt.Errorf("git source %s: %w", g, err)
	}
	if damage != nil {
		w.Log.Warn("local clone cannot be used; fetching it again", "source", g.String(), "folder", g.clone.dir, "error", damage)
	}
	if w.Auth.InsecureSkipVerify {
		w.Log.Warn("server is NOT verified: anyone in between can decide what is deployed", "source", g.String())
	}
	if u.Scheme == schemeHTTP && w.Auth.Password.IsSet() {
		w.Log.Warn("password is sent over http, readable by anyone in between", "source", g.String())
	}
	return g, nil
}

func (g *Git) key() cloneKey {
	return cloneKey{URL: g.url.String(), FileBytes: g.wanted.Limits.FileBytes}
}

// String is the URL and what is asked for in it.
func (g *Git) String() string {
	out := g.url.Redacted()
	for _, part := range g.wanted.selection() {
		out += "?" + part
	}
	return out
}

// Changed is nil: a remote tells nothing by itself.
func (g *Git) Changed() <-chan struct{} { return nil }

// Close releases the folder of the clone. A fetch that does not end soon, as on a
// disk that does not answer, keeps it, and is the error.
func (g *Git) Close() error {
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-time.After(closeGrace):
		return fmt.Errorf("git source %s: close: a fetch has not ended after %s", g, closeGrace)
	}
	if g.closed {
		return nil
	}
	g.closed = true
	return g.clone.close()
}

// closeGrace is how long Close waits for a fetch whose context has ended.
const closeGrace = 5 * time.Second

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
	found, err := g.converse(ctx)
	if err != nil {
		return nil, fmt.Errorf("git source %w", err)
	}
	return g.snapshot(found)
}

// has says whether a commit, or a tag of one, is here in a clone that can be read.
func (g *Git) has(hash plumbing.Hash) bool {
	g.dropDamaged()
	if g.clone.current == nil {
		return false
	}
	_, err := g.clone.current.commit(hash)
	g.dropDamaged()
	return err == nil
}

// dropDamaged forgets a generation that was found damaged, and says whether it was.
func (g *Git) dropDamaged() bool {
	if g.clone.current == nil {
		return false
	}
	err := g.clone.current.damaged()
	if err != nil {
		g.wanted.Log.Warn("local clone is no longer usable; fetching it again", "source", g.String(), "folder", g.clone.dir, "error", err)
		g.clone.current = nil
	}
	return err != nil
}

// converse looks, and fetches if need be, each within the deadline.
func (g *Git) converse(ctx context.Context) (_ target, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	deadline := time.AfterFunc(g.wanted.Timeout, func() {
		cancel(fmt.Errorf("%w after %s", context.DeadlineExceeded, g.wanted.Timeout))
	})
	defer deadline.Stop()
	r, secrets, err := dial(ctx, g.url, g.wanted.Auth)
	if err != nil {
		return target{}, scrub(err, secrets)
	}
	// What the server was sent to end the conversation no longer matters to it.
	defer r.close() //nolint:errcheck
	found, err := g.lookAndFetch(ctx, r, func() { deadline.Reset(g.wanted.Timeout) })
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause // else it is told as a connection that broke
		}
		return target{}, scrub(r.describe(err), secrets)
	}
	return found, nil
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
		if err != nil && (errors.Is(err, plumbing.ErrObjectNotFound) || strings.Contains(err.Error(), "not our ref")) {
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

// fetch adds to the current generation, or makes a new one.
func (g *Git) fetch(ctx context.Context, r remote, want request) error {
	want.limits, want.stall = g.wanted.Limits, g.stall
	at := g.clone.current
	if at != nil && !at.full() {
		want.haves = at.state.haves()
		want.shallow = at.state.Shallow
		return at.fetch(ctx, r, want)
	}
	if at != nil {
		at.failed = 0 // should this fail too, adding is tried again
	}
	fresh, err := g.clone.begin(g.key())
	if err != nil {
		return err
	}
	if err := fresh.fetch(ctx, r, want); err != nil {
		return errors.Join(err, removeFolder(fresh.path))
	}
	return g.clone.finish(fresh)
}

// snapshot is what stands at a commit that is here.
func (g *Git) snapshot(t target) (*Snapshot, error) {
	at := g.clone.current
	commit, err := at.commit(t.hash)
	if err != nil {
		return nil, fmt.Errorf("git source %s: %w", g, err)
	}
	id := commit.Hash.String()
	if g.last != nil && g.from == at && g.last.Revision.ID == id && g.last.Revision.Ref == shown(t.ref) {
		return g.last, nil
	}
	objects := &gitObjects{generation: at, limits: g.wanted.Limits, folders: map[string]*folder{}}
	root := commit.TreeHash.String()
	if _, err := objects.folder(root); err != nil {
		return nil, fmt.Errorf("git source %s: commit %s: %w", g, id, err)
	}
	g.from = at
	made := commitTime(commit.Committer.When)
	g.last = &Snapshot{
		Revision: Revision{
			ID: id, Ref: shown(t.ref), Author: shown(commit.Author.Name), Subject: subject(commit), Time: made, Parents: parents(commit),
		},
		FS:         newTreeFS(objects, root, made, g.wanted.Limits),
		LastChange: (&history{git: g, at: at, head: commit}).lastChange,
	}
	return g.last, nil
}
