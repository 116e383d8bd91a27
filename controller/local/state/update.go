package state

import (
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/pacer-gitops/pacer/manifests"
)

// GroupUpdate is the body of a group write, read and checked, with absolute
// ids. Where Apps or Groups were not given, what is there is kept.
type GroupUpdate struct {
	ID           string
	Apps         []*manifests.App
	Groups       []*GroupUpdate
	Dependencies []string
	EnforceRole  *bool

	HasID, HasApps, HasGroups, HasDependencies bool
}

func (u *GroupUpdate) hasServices() bool {
	return len(u.Apps) > 0 || slices.ContainsFunc(u.Groups, (*GroupUpdate).hasServices)
}

// TopGroup is the top-level group that an id lies in, or is.
func TopGroup(id string) string {
	if i := strings.IndexByte(id[1:], '/'); i >= 0 {
		return id[:i+1]
	}
	return id
}

// PutGroup lays an update over the tree. Source: Marathon's GroupConversion, and
// testdata/conformance/api/groups.json.
func (d *Draft) PutGroup(u *GroupUpdate) error { return d.putGroup(u, true) }

func (d *Draft) putGroup(u *GroupUpdate, top bool) error {
	if err := d.putGroupItself(u, top); err != nil {
		return err
	}
	if u.HasApps {
		for id, s := range d.Specs {
			if s.App != nil && manifests.ParentID(id) == u.ID && !slices.ContainsFunc(u.Apps, func(a *manifests.App) bool { return a.ID == id }) {
				d.Drop(id)
			}
		}
		d.PutApps(u.Apps)
	}
	if u.HasGroups {
		for id := range d.Groups {
			if id != "/" && manifests.ParentID(id) == u.ID && !slices.ContainsFunc(u.Groups, func(s *GroupUpdate) bool { return s.ID == id }) {
				d.DropGroup(id)
			}
		}
	}
	for _, s := range u.Groups {
		if err := d.putGroup(s, false); err != nil {
			return err
		}
	}
	return nil
}

// putGroupItself makes or changes the group without its members.
func (d *Draft) putGroupItself(u *GroupUpdate, top bool) error {
	was, g := d.Groups[u.ID], Group{}
	if was != nil {
		g = *was
	}
	if u.HasDependencies {
		g.Dependencies = u.Dependencies
	}
	if u.ID != "/" && manifests.ParentID(u.ID) == "/" {
		enforce := ptr.Deref(u.EnforceRole, d.cluster.NewGroupEnforceRole)
		if was != nil && u.HasID && top && u.hasServices() && ptr.Deref(was.EnforceRole, false) != enforce {
			return InvalidAt("/enforceRole", "enforceRole cannot be modified in a request that adds, removes or modifies services. "+
				"The updates to enforceRole and services must be performed in separate requests.")
		}
		g.EnforceRole, d.cluster.EnforceRole[u.ID] = &enforce, enforce
	}
	d.addGroups(u.ID)
	d.Groups[u.ID] = &g
	return nil
}

// DryRun is the plan of an update as Marathon words it: its target is not
// versioned, so each app that the update addresses seems to be restarted.
func (d *Draft) DryRun(u *GroupUpdate) ([]Step, error) {
	if err := d.PutGroup(u); err != nil {
		return nil, err
	}
	d.address(u)
	for _, p := range d.puts {
		d.restarted[p.ID] = true
	}
	if err := d.Finish(); err != nil {
		return nil, err
	}
	return d.Steps(), nil
}

// address puts again what lies directly in the groups of an update.
func (d *Draft) address(u *GroupUpdate) {
	for id, s := range d.Specs {
		if u.ID != "/" && manifests.ParentID(id) == u.ID && s.App != nil && !slices.ContainsFunc(d.puts, func(p *RunSpec) bool { return p.ID == id }) {
			d.puts = append(d.puts, &RunSpec{ID: id, App: s.App})
		}
	}
	for _, s := range u.Groups {
		d.address(s)
	}
}
