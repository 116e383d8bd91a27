package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/report/comment"
	"github.com/pacer-gitops/pacer/sources"
)

// result is what the source would be at if a pull request were merged now.
type result struct {
	base, head *sources.Snapshot
	how        comment.Merge
	// tree is that; nil: there are conflicts.
	tree      *sources.Snapshot
	conflicts []string // files
	// from is what tree is compared with to see what the pull request touches.
	from *sources.Snapshot
}

// fetch fetches the commits of a pull request and merges them:
//
//	the forge's merge ref is of the present base and head   it
//	the base has not moved since the head left it           the head
//	the commit that both share is known and can be fetched  merged here, or conflicts
//	otherwise                                                the head alone
//
// A merge ref that is of other commits lags behind, and says nothing.
func (w *worker) fetch(ctx context.Context, p forge.Pull) (*result, error) {
	branch := "refs/heads/" + p.Base
	wants := []string{branch, p.HeadCommit}
	for _, want := range []string{p.HeadRef, p.MergeRef, p.MergeBase} {
		if want != "" && !slices.Contains(wants, want) {
			wants = append(wants, want)
		}
	}
	got, err := w.source.Commits.Fetch(ctx, wants)
	if err != nil {
		return nil, err
	}
	r := &result{base: got[branch], head: got[p.HeadCommit]}
	if at := got[p.HeadRef]; r.head == nil && at != nil && at.Revision.ID == p.HeadCommit {
		r.head = at
	}
	switch {
	case r.base == nil:
		return nil, fmt.Errorf("branch %s, the base of pull request %d, is not at the server", p.Base, p.Number)
	case r.head == nil:
		return nil, fmt.Errorf("commit %s, the head of pull request %d, cannot be fetched yet", p.HeadCommit, p.Number)
	}
	r.from = r.base
	at := got[p.MergeRef]
	switch shared := got[p.MergeBase]; {
	case at != nil && slices.Contains(at.Revision.Parents, r.base.Revision.ID) && slices.Contains(at.Revision.Parents, r.head.Revision.ID):
		r.tree, r.how = at, comment.ByForge
	case p.MergeBase == r.base.Revision.ID:
		r.tree, r.how = r.head, comment.ByPacer
	case shared != nil:
		r.how = comment.ByPacer
		if r.tree, r.conflicts, err = w.source.Merge(shared, r.base, r.head); err != nil {
			return nil, fmt.Errorf("merge pull request %d: %w", p.Number, err)
		}
		if len(r.conflicts) > 0 {
			r.tree, r.from = nil, shared
		}
	default:
		r.tree, r.how = r.head, comment.HeadOnly
	}
	return r, nil
}

// touches reports whether a pull request changes what is at a path.
func (r *result) touches(path string) (bool, error) {
	tree := cmp.Or(r.tree, r.head)
	before, err := contentAt(r.from, path)
	if err != nil {
		return false, err
	}
	after, err := contentAt(tree, path)
	return before != after, err
}

// contentAt identifies what is at a path of a snapshot; empty: nothing is.
func contentAt(s *sources.Snapshot, path string) (string, error) {
	info, err := fs.Stat(s.FS, cmp.Or(path, "."))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	known, ok := info.(interface{ ContentID() string })
	if !ok {
		return "", fmt.Errorf("%s of revision %s has no content id", cmp.Or(path, "the root"), s.Revision.ID)
	}
	return known.ContentID(), nil
}
