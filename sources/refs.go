package sources

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"
)

// advert is what a remote says it has.
type advert struct {
	refs map[string]plumbing.Hash // by full name; an annotated tag's hash is the tag's own
	head string                   // full name of the branch that HEAD points to; empty if unknown
	// byHash: any commit can be asked for by its hash, not the tips of refs alone.
	byHash bool
}

// target is what to fetch.
type target struct {
	hash plumbing.Hash // a commit, or an annotated tag of one
	ref  string        // short name of the branch or tag; empty for a commit
}

const (
	branchPrefix = "refs/heads/"
	tagPrefix    = "refs/tags/"
)

// choose finds what is wanted among what the remote has.
func (w wanted) choose(a *advert) (target, error) {
	switch {
	case w.Branch != "":
		return a.named(branchPrefix+w.Branch, "branch "+w.Branch)
	case w.Tag != "":
		return a.named(tagPrefix+w.Tag, "tag "+w.Tag)
	case w.Semver != "":
		return a.version(w.constraint, w.Semver)
	case strings.HasPrefix(w.Ref, "refs/"):
		return a.named(w.Ref, "ref "+w.Ref)
	case w.Ref != "":
		return a.either(w.Ref)
	case a.head == "":
		return target{}, fmt.Errorf("the server does not name its default branch: set branch: %w", ErrNoRef)
	}
	return a.named(a.head, "default branch "+shortName(a.head))
}

func shortName(ref string) string {
	return strings.TrimPrefix(strings.TrimPrefix(ref, branchPrefix), tagPrefix)
}

func (a *advert) named(full, what string) (target, error) {
	hash, found := a.refs[full]
	if !found {
		return target{}, fmt.Errorf("%s is %w: it was deleted, renamed or never pushed", what, ErrNoRef)
	}
	return target{hash: hash, ref: shortName(full)}, nil
}

// either is a branch or a tag of the name. Git itself would silently take one.
func (a *advert) either(name string) (target, error) {
	branch, isBranch := a.refs[branchPrefix+name]
	tag, isTag := a.refs[tagPrefix+name]
	switch {
	case isBranch && isTag && branch != tag:
		return target{}, fmt.Errorf("%q is both a branch and a tag: write refs/heads/%s or refs/tags/%s", name, name, name)
	case isTag:
		return target{hash: tag, ref: name}, nil
	}
	what := "branch or tag " + name
	if shortCommit.MatchString(name) {
		what += " (a commit needs all its 40 digits)"
	}
	return a.named(branchPrefix+name, what)
}

var shortCommit = regexp.MustCompile(`^[0-9a-f]{7,39}$`)

// version is the tag with the highest version in the range.
func (a *advert) version(constraint *semver.Constraints, wanted string) (target, error) {
	var best *semver.Version
	var chosen target
	versions := 0
	for name, hash := range a.refs {
		tag, isTag := strings.CutPrefix(name, tagPrefix)
		if !isTag {
			continue
		}
		v, err := semver.NewVersion(tag)
		if err != nil {
			continue // tags that are no versions are nobody's mistake
		}
		versions++
		// Two tags of one version (v1.0.0, 1.0.0) must not alternate.
		if constraint.Check(v) && (best == nil || v.GreaterThan(best) || v.Equal(best) && tag > chosen.ref) {
			best, chosen = v, target{hash: hash, ref: tag}
		}
	}
	if best == nil {
		return target{}, fmt.Errorf("none of the %d version tags is in the range %q: %w", versions, wanted, ErrNoRef)
	}
	return chosen, nil
}
