package sources

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/pacer-gitops/pacer/sources/gitpack"
	"github.com/pacer-gitops/pacer/visible"
)

// maxCommit is how much is read of a commit or a tag: its tree, author and subject
// come first, and signatures of a few kilobytes before the subject. A message can
// be as long as its author likes.
const maxCommit = 256 << 10

// opener opens an object by its hash, or is plumbing.ErrObjectNotFound. One that is
// stored as a delta is ErrLimit where it has more than limit bytes.
type opener func(hash plumbing.Hash, limit int64) (*gitpack.Object, error)

// maxTags is how many tags may point to each other: a tag of a tag is allowed, if
// seldom wise.
const maxTags = 10

var errTags = fmt.Errorf("a chain of more than %d tags", maxTags)

// peel finds the commit that a hash is, or that an annotated tag points to.
func peel(hash plumbing.Hash, open opener) (*object.Commit, error) {
	for range maxTags {
		start, err := openedStart(hash, open)
		if err != nil {
			return nil, fmt.Errorf("commit %s: %w", hash, err)
		}
		commit, target, err := decode(hash, start)
		if err != nil {
			return nil, fmt.Errorf("commit %s: %w", hash, err)
		}
		if commit != nil {
			return commit, nil
		}
		hash = target
	}
	return nil, fmt.Errorf("commit %s: %w", hash, errTags)
}

// decode reads a commit, or a tag and what it points to.
func decode(hash plumbing.Hash, start plumbing.EncodedObject) (_ *object.Commit, target plumbing.Hash, _ error) {
	switch start.Type() {
	case plumbing.TagObject:
		tag, err := object.DecodeTag(nil, start)
		if err != nil {
			return nil, target, err
		}
		return nil, tag.Target, nil
	case plumbing.CommitObject:
		commit, err := object.DecodeCommit(nil, start)
		if err != nil {
			return nil, target, err
		}
		commit.Hash = hash // that of all, where the beginning alone was read
		return commit, target, nil
	}
	return nil, target, fmt.Errorf("%w: it is a %s", plumbing.ErrObjectNotFound, start.Type())
}

// openedStart reads the beginning of an object. One that is read whole is held to
// its hash.
func openedStart(hash plumbing.Hash, open opener) (plumbing.EncodedObject, error) {
	o, err := open(hash, gitpack.MaxChain)
	if err != nil {
		return nil, err
	}
	defer o.Close() //nolint:errcheck // only read
	content := make([]byte, min(o.Size, maxCommit))
	if _, err := io.ReadFull(o, content); err != nil {
		return nil, err
	}
	if int64(len(content)) == o.Size && plumbing.ComputeHash(o.Kind, content) != hash {
		return nil, errDamaged
	}
	start := &plumbing.MemoryObject{}
	start.SetType(o.Kind)
	_, err = start.Write(content)
	return start, err
}

// commitTime is a commit's time as others can write it down: its author may claim
// any year and any time zone, of which RFC 3339 and JSON know only some.
func commitTime(t time.Time) time.Time {
	first, last := time.Unix(0, 0).UTC(), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	switch t = t.UTC(); {
	case t.Before(first):
		return first
	case t.After(last):
		return last
	}
	return t
}

// maxParents is how many parents of a commit are told: of a merge there are two,
// seldom some more.
const maxParents = 16

func parents(c *object.Commit) []string {
	var ids []string
	for _, hash := range c.ParentHashes[:min(len(c.ParentHashes), maxParents)] {
		ids = append(ids, hash.String())
	}
	return ids
}

// subject is the first line of a commit's message.
func subject(c *object.Commit) string {
	line, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	return shown(strings.TrimSpace(line))
}

// maxMessage is how much of a commit's message is kept, which is of any length: a
// revert names what it reverts in its second paragraph.
const maxMessage = 16 << 10

func message(c *object.Commit) string { return visible.Cut(c.Message, maxMessage) }

// maxShown is how many bytes are shown of a text from outside: an author, a
// subject, the name of a branch. Forges cut subjects at fewer.
const maxShown = 250

// shown is a text from outside that is fit to be shown to people.
func shown(text string) string { return visible.Line(visible.Cut(text, maxShown)) }
