package sources

import (
	"context"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Selects says what of the repository is followed: "git branch=main". It is the
// same for every mirror of one repository, which String is not.
func (g *Git) Selects() string {
	return strings.Join(append([]string{"git"}, g.wanted.selection()...), " ")
}

// selection names what is asked for, as name=value.
func (w wanted) selection() []string {
	var parts []string
	for _, part := range [...]struct{ name, value string }{
		{"branch", w.Branch}, {"tag", w.Tag}, {"commit", w.Commit}, {"semver", w.Semver}, {"ref", w.Ref},
	} {
		if part.value != "" {
			parts = append(parts, part.name+"="+part.value)
		}
	}
	return parts
}

// Had reports whether a commit is in the clone: this source has shown it, also
// in a process before. It waits for a fetch under way, and says no where ctx ends
// before that.
func (g *Git) Had(ctx context.Context, id string) bool {
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return false
	}
	return !g.closed && plumbing.IsHash(id) && g.has(plumbing.NewHash(id))
}

// Selects says that a directory is followed: all of it.
func (d *Directory) Selects() string { return "directory" }
