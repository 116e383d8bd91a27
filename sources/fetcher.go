package sources

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// fetcher fetches commits of one repository into its clone. Who holds turn uses it.
type fetcher struct {
	wanted wanted
	url    *url.URL
	clone  *clone
	stall  time.Duration

	turn   chan struct{} // a channel, so that waiting for it ends with the context
	closed bool          // guarded by turn
}

// open takes the folder of the clone.
func (f *fetcher) open(o GitOptions) error {
	w, u, err := o.prepare()
	if err != nil {
		return err
	}
	*f = fetcher{wanted: w, url: u, stall: maxStall, turn: make(chan struct{}, 1)}
	var damage error
	if f.clone, damage, err = openClone(w.Dir, f.key()); err != nil {
		return fmt.Errorf("git source %s: %w", f, err)
	}
	if damage != nil {
		w.Log.Warn("local clone cannot be used; fetching it again", "source", f.String(), "folder", f.clone.dir, "error", damage)
	}
	if w.Auth.InsecureSkipVerify {
		w.Log.Warn("server is NOT verified: anyone in between can decide what is deployed", "source", f.String())
	}
	if u.Scheme == schemeHTTP && w.Auth.Password.IsSet() {
		w.Log.Warn("password is sent over http, readable by anyone in between", "source", f.String())
	}
	return nil
}

func (f *fetcher) key() cloneKey {
	return cloneKey{URL: f.url.String(), FileBytes: f.wanted.Limits.FileBytes}
}

// String is the URL and what is asked for in it.
func (f *fetcher) String() string {
	out := f.url.Redacted()
	for _, part := range f.wanted.selection() {
		out += "?" + part
	}
	return out
}

// Close releases the folder of the clone. A fetch that does not end soon, as on a
// disk that does not answer, keeps it, and is the error.
func (f *fetcher) Close() error {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-time.After(closeGrace):
		return fmt.Errorf("git source %s: close: a fetch has not ended after %s", f, closeGrace)
	}
	if f.closed {
		return nil
	}
	f.closed = true
	return f.clone.close()
}

// closeGrace is how long Close waits for a fetch whose context has ended.
const closeGrace = 5 * time.Second

// has says whether a commit, or a tag of one, is here in a clone that can be read.
func (f *fetcher) has(hash plumbing.Hash) bool {
	f.dropDamaged()
	if f.clone.current == nil {
		return false
	}
	_, err := f.clone.current.commit(hash)
	f.dropDamaged()
	return err == nil
}

// dropDamaged forgets a generation that was found damaged, and says whether it was.
func (f *fetcher) dropDamaged() bool {
	if f.clone.current == nil {
		return false
	}
	err := f.clone.current.damaged()
	if err != nil {
		f.wanted.Log.Warn("local clone is no longer usable; fetching it again", "source", f.String(), "folder", f.clone.dir, "error", err)
		f.clone.current = nil
	}
	return err != nil
}

// converse talks with the remote: a look, then a fetch, each within the deadline,
// which extend begins again in between.
func (f *fetcher) converse(ctx context.Context, talk func(ctx context.Context, r remote, extend func()) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	deadline := time.AfterFunc(f.wanted.Timeout, func() {
		cancel(fmt.Errorf("%w after %s", context.DeadlineExceeded, f.wanted.Timeout))
	})
	defer deadline.Stop()
	r, secrets, err := dial(ctx, f.url, f.wanted.Auth)
	if err != nil {
		return scrub(err, secrets)
	}
	// What the server was sent to end the conversation no longer matters to it.
	defer r.close() //nolint:errcheck
	if err := talk(ctx, r, func() { deadline.Reset(f.wanted.Timeout) }); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause // else it is told as a connection that broke
		}
		return scrub(r.describe(err), secrets)
	}
	return nil
}

// fetch adds to the current generation, or makes a new one.
func (f *fetcher) fetch(ctx context.Context, r remote, want request) error {
	want.limits, want.stall = f.wanted.Limits, f.stall
	at := f.clone.current
	if at != nil && !at.full() {
		if want.haves == nil {
			want.haves = at.state.haves()
		}
		want.shallow = at.state.Shallow
		return at.fetch(ctx, r, want)
	}
	if at != nil {
		at.failed = 0 // should this fail too, adding is tried again
	}
	want.haves = nil
	fresh, err := f.clone.begin(f.key())
	if err != nil {
		return err
	}
	if err := fresh.fetch(ctx, r, want); err != nil {
		return errors.Join(err, removeFolder(fresh.path))
	}
	return f.clone.finish(fresh)
}

// isRefused reports whether a fetch failed since the server does not give what it was
// asked for by its hash. What came and is not whole is none: the clone is at fault.
func isRefused(err error) bool {
	return err != nil && !errors.Is(err, errUnfit) &&
		(errors.Is(err, plumbing.ErrObjectNotFound) || strings.Contains(err.Error(), "not our ref"))
}

// snapshotOf is what stands at a commit of a generation, without what is behind it.
func (f *fetcher) snapshotOf(at *generation, commit *object.Commit, ref string) (*Snapshot, error) {
	objects := &gitObjects{generation: at, limits: f.wanted.Limits, folders: map[string]*folder{}}
	root := commit.TreeHash.String()
	if _, err := objects.folder(root); err != nil {
		return nil, fmt.Errorf("git source %s: commit %s: %w", f, commit.Hash, err)
	}
	made := commitTime(commit.Committer.When)
	return &Snapshot{
		Revision: Revision{
			ID: commit.Hash.String(), Ref: shown(ref), Author: shown(commit.Author.Name), Subject: subject(commit), Time: made,
			Parents: parents(commit), Message: message(commit),
		},
		FS: newTreeFS(objects, root, made, f.wanted.Limits),
	}, nil
}
