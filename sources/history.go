package sources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/pacer-gitops/pacer/sources/gitpack"
)

// Commit is a commit, for people.
type Commit struct {
	ID      string    `json:"id"`
	Author  string    `json:"author,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Time    time.Time `json:"time,omitzero"` // as of Revision
}

// ErrNoHistory: it is not known which commit changed a path last, as what is behind
// the revision is not here and cannot be had, or goes further back than is read.
var ErrNoHistory = errors.New("not known from history")

const (
	// maxHistory is how many commits behind a revision are read, to find the one that
	// changed a path.
	maxHistory = 100
	// maxHistoryBytes is the largest pack of them: commits and folders alone, where the
	// server can leave files out.
	maxHistoryBytes = 32 << 20
)

// history is what is behind a commit.
//
// The clone holds each commit that was fetched without what is behind it. So one
// that was pushed alone is compared with the one fetched before it, for nothing; of
// several, or of a merge, the commits and folders between are fetched when somebody
// asks, and forgotten when the next is asked for.
type history struct {
	git  *Git
	at   *generation
	head *object.Commit

	more opener // guarded by git.historyTurn; nil: nothing was fetched
}

// lastChange finds the newest commit that changed a path, as Snapshot.LastChange.
func (h *history) lastChange(ctx context.Context, path string) (c Commit, err error) {
	name := "git source " + h.git.String()
	err = recovered(name, h.git.wanted.Log, func() error {
		found, err := newestChange(ctx, h.head, path, h.at.open, h.git.wanted.Limits.ObjectBytes)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			found, err = h.fetchedChange(ctx, path)
		}
		if err == nil {
			c = Commit{ID: found.Hash.String(), Author: shown(found.Author.Name), Subject: subject(found), Time: commitTime(found.Committer.When)}
		}
		return err
	})
	if err != nil {
		return Commit{}, fmt.Errorf("%s: which commit changed %q last is %w: %w", name, path, ErrNoHistory, err)
	}
	return c, nil
}

// fetchedChange is lastChange by what is fetched for it.
func (h *history) fetchedChange(ctx context.Context, path string) (*object.Commit, error) {
	select {
	case h.git.historyTurn <- struct{}{}:
		defer func() { <-h.git.historyTurn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if h.more == nil {
		more, err := h.fetch(ctx)
		if err != nil {
			return nil, err
		}
		h.more = more
	}
	return newestChange(ctx, h.head, path, h.more, h.git.wanted.Limits.ObjectBytes)
}

// historyFolder is where in the folder of a clone the pack is that was fetched last.
const historyFolder = "history"

// fetch fetches the commits and folders behind the head.
func (h *history) fetch(ctx context.Context) (opener, error) {
	r, secrets, err := dial(ctx, h.git.url, h.git.wanted.Auth)
	if err != nil {
		return nil, scrub(err, secrets)
	}
	defer r.close() //nolint:errcheck // as of converse
	open, err := h.fetchFrom(ctx, r)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, scrub(r.describe(err), secrets)
	}
	return open, nil
}

func (h *history) fetchFrom(ctx context.Context, r remote) (opener, error) {
	if _, err := r.look(ctx); err != nil {
		return nil, err
	}
	folder := filepath.Join(h.git.clone.dir, historyFolder)
	if err := removeFolder(folder); err != nil {
		return nil, err
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	limits := h.git.wanted.Limits
	limits.FetchBytes = min(limits.FetchBytes, maxHistoryBytes)
	want := request{
		wants: []plumbing.Hash{h.head.Hash}, haves: []plumbing.Hash{h.head.Hash}, shallow: []plumbing.Hash{h.head.Hash},
		behind: maxHistory, limits: limits, stall: h.git.stall,
	}
	var stored gitpack.Stored
	open, err := r.past(ctx, want, func(body io.Reader) (err error) {
		stored, err = gitpack.Receive(ctx, folder, body, limits.ofPacks(), h.at.base)
		return err
	})
	if err != nil || open != nil {
		return open, err
	}
	pack, err := gitpack.Open(filepath.Join(folder, stored.Name), newBases())
	if err != nil {
		return nil, err
	}
	return func(hash plumbing.Hash, limit int64) (*gitpack.Object, error) {
		at, found, err := pack.Find(hash)
		switch {
		case err != nil:
			return nil, err
		case !found:
			return h.at.open(hash, limit)
		}
		return pack.Read(at, limit, gitpack.MaxChain)
	}, nil
}

// walk goes back in history along what is at a path.
type walk struct {
	path  string
	open  opener
	limit int64                           // of one folder
	left  int64                           // bytes of folders that may still be read
	known map[plumbing.Hash]plumbing.Hash // root folder → what is at the path
}

// maxWalked is how many bytes of folders are read on a way back: a hundred commits of
// a folder of ten thousand files, several times.
const maxWalked = 256 << 20

// newestChange walks back from a commit to the newest one that changed what is at a
// path, as git log -1 -- PATH does: from a commit that has the same there as one of
// its parents, to that parent. The error is plumbing.ErrObjectNotFound where it
// comes to what cannot be opened.
func newestChange(ctx context.Context, at *object.Commit, path string, open opener, limit int64) (*object.Commit, error) {
	w := &walk{path: path, open: open, limit: limit, left: maxWalked, known: map[plumbing.Hash]plumbing.Hash{}}
	for range maxHistory {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		is, err := w.content(at.TreeHash)
		if err != nil {
			return nil, err
		}
		same, err := w.sameParent(at, is)
		switch {
		case err != nil:
			return nil, err
		case same == nil && is.IsZero() && len(at.ParentHashes) == 0:
			return nil, errors.New("no commit has anything there")
		case same == nil:
			return at, nil
		}
		at = same
	}
	return nil, fmt.Errorf("it is more than %d commits back", maxHistory)
}

// sameParent is the first parent of a commit that has the same at the path; nil: none
// has. A parent that cannot be opened is an error, unless another one has it.
func (w *walk) sameParent(c *object.Commit, is plumbing.Hash) (*object.Commit, error) {
	var missing error
	for _, hash := range c.ParentHashes[:min(len(c.ParentHashes), maxParents)] {
		parent, err := peel(hash, w.open)
		var was plumbing.Hash
		if err == nil {
			was, err = w.content(parent.TreeHash)
		}
		switch {
		case errors.Is(err, plumbing.ErrObjectNotFound):
			missing = err
		case err != nil:
			return nil, err
		case was == is:
			return parent, nil
		}
	}
	return nil, missing
}

// content names what is at the path of a root folder; the zero hash: nothing is.
func (w *walk) content(root plumbing.Hash) (plumbing.Hash, error) {
	if w.path == "" {
		return root, nil
	}
	at, known := w.known[root]
	if known {
		return at, nil
	}
	at = root
	for _, name := range strings.Split(w.path, "/") {
		kind, content, err := readWhole(at, w.limit, w.open)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		if w.left -= int64(len(content)); w.left < 0 {
			return plumbing.ZeroHash, fmt.Errorf("%w: the folders on the way back have more than %d bytes together", ErrLimit, int64(maxWalked))
		}
		if at = plumbing.ZeroHash; kind == plumbing.TreeObject {
			if at, err = entryOf(content, name); err != nil {
				return plumbing.ZeroHash, err
			}
		}
		if at.IsZero() {
			break
		}
	}
	w.known[root] = at
	return at, nil
}

// entryOf is the entry of a folder with a name; the zero hash: there is none.
func entryOf(folder []byte, name string) (plumbing.Hash, error) {
	for e, err := range treeEntries(folder) {
		if err != nil {
			return plumbing.ZeroHash, err
		}
		if e.name == name {
			return e.hash, nil
		}
	}
	return plumbing.ZeroHash, nil
}
