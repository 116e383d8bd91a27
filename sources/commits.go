package sources

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Commits fetches commits of a repository in addition to the one that a source
// follows, such as those of pull requests: with that source's rights and limits, and
// into a clone of its own. Its methods may be called from several goroutines.
//
// What was fetched before is not fetched again, and of the rest only what differs from
// it. The clone survives restarts, and is bounded as that of a Git: see clone.
type Commits struct {
	fetcher
	tips map[string]plumbing.Hash // the commit of a ref when it was fetched last; guarded by turn
}

// OpenCommits takes the folder of the clone, which is not that of a source. The options
// select nothing of the repository. It does not ask the network.
func OpenCommits(o GitOptions, e Environment) (*Commits, error) {
	o.Dir, o.Log = e.Clone, e.Log
	c := &Commits{tips: map[string]plumbing.Hash{}}
	if err := c.open(o); err != nil {
		return nil, err
	}
	if selected := c.wanted.selection(); len(selected) > 0 {
		return nil, errors.Join(fmt.Errorf("git source %s: commits are fetched of the whole repository: remove %s", c, strings.Join(selected, ", ")), c.Close())
	}
	return c, nil
}

// maxWants is how many commits one Fetch returns: those of a pull request are four.
const maxWants = 100

// fullRef is a ref by its full name, without what git itself refuses in names.
var fullRef = regexp.MustCompile(`^refs/[^\x00-\x20~^:?*\[\\\x7f]{1,500}$`)

// Fetch returns the snapshots of commits, by what is asked for: full names of refs, such
// as refs/heads/main or refs/pull/7/merge, and hashes of 40 digits. What the server has
// not, or does not give by its hash, is absent from the answer. Hashes that are here
// already are not asked for.
//
// An error is one of the server, of the clone, or of a want that is neither: then
// nothing is known of any.
func (c *Commits) Fetch(ctx context.Context, wants []string) (map[string]*Snapshot, error) {
	if len(wants) > maxWants {
		return nil, fmt.Errorf("git source %s: %w: %d commits at once, at most %d", c, ErrLimit, len(wants), maxWants)
	}
	for _, want := range wants {
		if !fullCommit.MatchString(want) && !fullRef.MatchString(want) {
			return nil, fmt.Errorf("git source %s: %q is neither a full ref (refs/…) nor a commit of 40 digits", c, shown(want))
		}
	}
	return attempt(ctx, "git source "+c.String(), c.turn, c.wanted.Log, func() (map[string]*Snapshot, error) {
		if c.closed {
			return nil, fmt.Errorf("git source %s: %w", c, ErrClosed)
		}
		got, err := c.fetchOnce(ctx, wants)
		if err != nil && c.dropDamaged() {
			got, err = c.fetchOnce(ctx, wants)
		}
		return got, err
	})
}

func (c *Commits) fetchOnce(ctx context.Context, wants []string) (map[string]*Snapshot, error) {
	f := &fetching{commits: c, found: map[string]plumbing.Hash{}, refused: map[plumbing.Hash]bool{}}
	c.dropDamaged()
	f.before = c.clone.current
	for again := true; again; {
		again = false
		if f.known(wants) {
			break
		}
		err := c.converse(ctx, func(ctx context.Context, r remote, extend func()) (err error) {
			again, err = f.talk(ctx, r, extend, wants)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("git source %w", err)
		}
	}
	return f.snapshots()
}

// fetching is one Fetch.
type fetching struct {
	commits *Commits
	before  *generation              // the current one when it began
	found   map[string]plumbing.Hash // want → what it is at the server, or here
	refused map[plumbing.Hash]bool   // which the server does not give by its hash
	alone   bool                     // hashes are asked for one by one: the server does not say which it refuses
}

// known reports whether all that is wanted is a hash that is here.
func (f *fetching) known(wants []string) bool {
	for _, want := range wants {
		hash := plumbing.NewHash(want)
		if !fullCommit.MatchString(want) || !f.commits.has(hash) {
			return false
		}
		f.found[want] = hash
	}
	return true
}

// talk finds out where the refs are and fetches what is not here. Again: the server
// refused a hash, with which it ended the conversation, and there is more to ask for.
func (f *fetching) talk(ctx context.Context, r remote, extend func(), wants []string) (again bool, err error) {
	a, err := r.look(ctx)
	if err != nil {
		return false, err
	}
	extend()
	sure, unsure := f.choose(a, wants)
	ask := slices.Concat(sure, unsure)
	if f.alone && len(unsure) > 0 {
		if ask = sure; len(sure) == 0 {
			ask = unsure[:1]
		}
	}
	if len(ask) == 0 {
		return false, nil
	}
	err = f.commits.fetch(ctx, r, request{wants: ask, haves: f.haves()})
	switch {
	case err == nil:
		f.commits.keepTips(a, f.found)
		return len(ask) < len(sure)+len(unsure), nil
	case !isRefused(err) || len(unsure) == 0 || ctx.Err() != nil:
		return false, err
	}
	f.refuse(err, unsure)
	return true, nil
}

// refuse notes which hash the server refused. Where it does not say, they are asked for
// one by one.
func (f *fetching) refuse(err error, unsure []plumbing.Hash) {
	for _, hash := range unsure {
		if strings.Contains(err.Error(), hash.String()) {
			f.refused[hash] = true
			return
		}
	}
	if f.alone {
		f.refused[unsure[0]] = true
	}
	f.alone = true
}

// choose finds what is wanted and not here: what the server surely gives, and what it
// may refuse. Where the current generation is full another one is made, of all that
// is wanted.
func (f *fetching) choose(a *advert, wants []string) (sure, unsure []plumbing.Hash) {
	tips := map[plumbing.Hash]bool{}
	for _, hash := range a.refs {
		tips[hash] = true
	}
	at := f.commits.clone.current
	anew := at != nil && at == f.before && at.full()
	for _, want := range wants {
		hash, isTip := a.refs[want]
		if fullCommit.MatchString(want) {
			hash = plumbing.NewHash(want)
			isTip = tips[hash]
		} else if !isTip {
			delete(f.found, want)
			continue
		}
		here := f.commits.has(hash)
		if here || isTip || a.byHash {
			f.found[want] = hash
		}
		switch {
		case here && !anew || f.refused[hash] || slices.Contains(sure, hash) || slices.Contains(unsure, hash):
		case isTip:
			sure = append(sure, hash)
		case a.byHash:
			unsure = append(unsure, hash)
		}
	}
	if anew && !slices.ContainsFunc(slices.Concat(sure, unsure), func(h plumbing.Hash) bool { return !f.commits.has(h) }) {
		return nil, nil // all is here
	}
	return sure, unsure
}

// maxHaves is how many commits a server is told of: it reads the folders of each.
const maxHaves = 6

// haves are the commits that are likely to have most in common with what is wanted:
// those that are wanted and here, and where the wanted refs were before.
func (f *fetching) haves() []plumbing.Hash {
	var haves []plumbing.Hash
	add := func(hash plumbing.Hash) {
		if len(haves) < maxHaves && !slices.Contains(haves, hash) && f.commits.has(hash) {
			haves = append(haves, hash)
		}
	}
	for _, want := range slices.Sorted(maps.Keys(f.found)) {
		if add(f.found[want]); !f.commits.tips[want].IsZero() {
			add(f.commits.tips[want])
		}
	}
	if at := f.commits.clone.current; at != nil {
		for _, hash := range at.state.haves() {
			add(hash)
		}
	}
	return haves
}

// keepTips notes where the refs are that were fetched, and forgets those that are gone.
func (c *Commits) keepTips(a *advert, found map[string]plumbing.Hash) {
	for want, hash := range found {
		if _, isRef := a.refs[want]; isRef && c.has(hash) {
			c.tips[want] = hash
		}
	}
	maps.DeleteFunc(c.tips, func(ref string, _ plumbing.Hash) bool { _, is := a.refs[ref]; return !is })
}

// snapshots are those of what was found and is here.
func (f *fetching) snapshots() (map[string]*Snapshot, error) {
	got := map[string]*Snapshot{}
	for want, hash := range f.found {
		for _, at := range []*generation{f.commits.clone.current, f.before} {
			if at == nil {
				continue
			}
			commit, err := at.commit(hash)
			if errors.Is(err, plumbing.ErrObjectNotFound) {
				continue
			}
			ref := ""
			if !fullCommit.MatchString(want) {
				ref = shortName(want)
			}
			if err == nil {
				got[want], err = f.commits.snapshotOf(at, commit, ref)
			}
			if err != nil {
				return nil, fmt.Errorf("git source %s: %w", f.commits, err)
			}
			break
		}
	}
	return got, nil
}
