package sources

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// lacks says what of a commit is not here, if anything.
func (g *generation) lacks(ctx context.Context, commit, before *object.Commit, l Limits, partial bool) error {
	c := &comparison{
		ctx:     ctx,
		objects: &gitObjects{generation: g, limits: l, folders: map[string]*folder{}},
		partial: partial,
		seen:    map[string]bool{},
	}
	return c.folder(commit.TreeHash.String(), before.TreeHash.String(), 0)
}

// comparison finds out whether all that can be read of a commit is here, given
// that another commit is here whole: what stands in both need not be looked for.
type comparison struct {
	ctx     context.Context
	objects *gitObjects
	// partial: files were left out for their size, so that one which is not here may
	// be one of these.
	partial bool
	seen    map[string]bool
}

// folder looks for what stands in a folder and not in the one before it.
func (c *comparison) folder(id, before string, depth int) error {
	if id == before || c.seen[id] || depth > c.objects.limits.Depth {
		return nil // deeper than that nothing is read
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	c.seen[id] = true
	now, err := c.read(id)
	if err != nil {
		return err
	}
	old, err := c.read(before)
	if err != nil {
		return err
	}
	rest := old.entries
	for _, e := range now.entries {
		for len(rest) > 0 && rest[0].name < e.name {
			rest = rest[1:]
		}
		var was entry
		if len(rest) > 0 && rest[0].name == e.name {
			was = rest[0]
		}
		if err := c.entry(e, was, depth); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) entry(e, was entry, depth int) error {
	if e.dir == was.dir && e.id == was.id {
		return nil
	}
	if !e.dir {
		return c.file(e)
	}
	before := ""
	if was.dir {
		before = was.id
	}
	return c.folder(e.id, before, depth+1)
}

// read returns an empty folder for one that was pushed malformed: its reader tells.
func (c *comparison) read(id string) (*folder, error) {
	if id == "" {
		return &folder{}, nil
	}
	f, err := c.objects.folder(id)
	if err != nil && c.objects.generation.damaged() == nil {
		return &folder{}, nil
	}
	return f, err
}

func (c *comparison) file(e entry) error {
	if c.partial {
		return nil
	}
	if _, _, err := c.objects.generation.find(plumbing.NewHash(e.id)); err != nil {
		return fmt.Errorf("file %s (%s) is missing: %w", e.id, shown(e.name), err)
	}
	return nil
}
