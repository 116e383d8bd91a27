package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// deletes drafts a change for each app and pod that git no longer has and that
// the sync may count as its own.
func (w *work) deletes() []*draft {
	var drafts []*draft
	for id, o := range w.in.Inventory {
		if o.Kind != manifests.KindGroup && w.isLive(id, o.Kind) && w.gone(id) {
			reason := "no longer defined in git"
			if o.File != "" {
				reason += ", applied last from " + o.File
			}
			drafts = append(drafts, w.delete(id, o.Kind, o.File, reason))
		}
	}
	if w.exclusive() {
		drafts = append(drafts, w.foreignDeletes()...)
	}
	slices.SortFunc(drafts, func(a, b *draft) int { return cmpString(a.ID, b.ID) })
	return drafts
}

// exclusive reports whether the scope holds nothing but what git describes. All
// of Marathon belongs to no sync.
func (w *work) exclusive() bool {
	p := w.in.Policy
	return p.Exclusive && p.Scope != "/" && (p.Prune == PruneOn || p.Prune == PruneConfirm)
}

// foreignDeletes drafts a change for what the scope of an exclusive sync holds
// that the sync has never applied.
func (w *work) foreignDeletes() []*draft {
	var drafts []*draft
	add := func(id string, kind manifests.Kind) {
		if !w.owns(id, kind) && w.gone(id) {
			drafts = append(drafts, w.delete(id, kind, "", "not defined in git, and with exclusive: true the scope "+w.in.Policy.Scope+" contains nothing else"))
		}
	}
	for id := range w.in.Live.Apps {
		add(id, manifests.KindApp)
	}
	for id := range w.in.Live.Pods {
		add(id, manifests.KindPod)
	}
	return drafts
}

// gone reports whether git surely describes an id no more. While a file cannot
// be read that is not sure, but worth being shown: holdUnreadable blocks it.
func (w *work) gone(id string) bool {
	return w.inScope(id) && w.wanted[id] == "" && !w.brokenAbove(id)
}

// owns reports whether the sync has applied an id as this kind.
func (w *work) owns(id string, kind manifests.Kind) bool {
	o, mine := w.in.Inventory[id]
	return mine && o.Kind == kind
}

func (w *work) delete(id string, kind manifests.Kind, file, reason string) *draft {
	d := &draft{live: true, mine: w.owns(id, kind), persistent: w.persistent(id, kind)}
	d.Change = Change{ID: id, Kind: kind, Action: Delete, File: file, Fields: []manifests.FieldDiff{}, Reason: reason}
	return d
}

// persistent reports whether data is lost with an app or a pod.
func (w *work) persistent(id string, kind manifests.Kind) bool {
	var volumes []manifests.Volume
	if app := w.in.Live.Apps[id]; kind == manifests.KindApp && app.Container != nil {
		volumes = app.Container.Volumes
	} else if kind == manifests.KindPod {
		volumes = w.in.Live.Pods[id].Volumes
	}
	return slices.ContainsFunc(volumes, func(v manifests.Volume) bool { return v.Persistent != nil })
}

// emptiedGroups drafts the deletes of the groups below the scope of which
// nothing is left after the other deletes. Deleting a group deletes what is in
// it: one with anything in it that this plan does not delete stays, and so does
// one to which somebody else gave dependencies or a role. One that an apply of
// before was to delete, and did not come to, is among them.
func (w *work) emptiedGroups(drafts []*draft) []*draft {
	deleted, emptied := map[string]bool{}, w.leftGroups()
	for _, d := range drafts {
		if d.Action != Delete || d.Blocked != nil {
			continue
		}
		deleted[d.ID] = true
		for g := manifests.ParentID(d.ID); g != w.in.Policy.Scope && g != "/" && w.inScope(g); g = manifests.ParentID(g) {
			emptied[g] = w.in.Live.Groups[g] != nil
		}
	}
	if len(emptied) == 0 {
		return nil
	}
	w.keepFilled(emptied, deleted)
	var groups []*draft
	for g, empty := range emptied {
		if empty {
			d := &draft{live: true, Change: Change{ID: g, Kind: manifests.KindGroup, Action: Delete, Fields: []manifests.FieldDiff{}}}
			d.Reason = "it is empty"
			_, d.mine = w.in.Inventory[g]
			w.owned[g] = cmp.Or(w.in.Inventory[g], Emptied)
			groups = append(groups, d)
		}
	}
	return groups
}

// leftGroups are those that the inventory has only because they were to be
// deleted: see Emptied.
func (w *work) leftGroups() map[string]bool {
	left := map[string]bool{}
	for id, o := range w.in.Inventory {
		if o == Emptied && len(w.in.Desired.Unreadable) == 0 && len(w.in.Doubted) == 0 && w.inScope(id) && id != w.in.Policy.Scope {
			left[id] = w.in.Live.Groups[id] != nil
			delete(w.owned, id)
		}
	}
	return left
}

// keepFilled takes out of emptied each group in which something stays.
func (w *work) keepFilled(emptied, deleted map[string]bool) {
	stays := func(id string) {
		for g := id; ; g = manifests.ParentID(g) {
			if emptied[g] {
				emptied[g] = false
			}
			if g == "/" {
				return
			}
		}
	}
	for id := range w.in.Live.Apps {
		if !deleted[id] {
			stays(id)
		}
	}
	for id := range w.in.Live.Pods {
		if !deleted[id] {
			stays(id)
		}
	}
	for id := range w.wanted {
		stays(id)
	}
	for id := range w.in.Desired.Broken {
		stays(id)
	}
	for id, g := range w.in.Live.Groups {
		o, mine := w.in.Inventory[id]
		mine = mine && o != Emptied
		settings := g != nil && (len(g.Dependencies) > 0 || g.EnforceRole != nil && *g.EnforceRole)
		if _, candidate := emptied[id]; !candidate || settings && !mine {
			stays(id)
		}
	}
}

// order sorts: groups to be set, from the outside in; creates and changes, what
// others depend on first; deletes, what depends on others first; emptied groups,
// from the inside out. Within that by id.
func (w *work) order(drafts []*draft) {
	if len(drafts) < 2 {
		return
	}
	dependencies := w.dependencies()
	type key struct{ phase, depth int }
	keys := make(map[*draft]key, len(drafts))
	for _, d := range drafts {
		group, nesting := d.Kind == manifests.KindGroup, strings.Count(d.ID, "/")
		switch {
		case group && d.Action != Delete:
			keys[d] = key{0, nesting}
		case d.Action != Delete:
			keys[d] = key{1, dependencies.Depth(d.ID)}
		case !group:
			keys[d] = key{2, -dependencies.Depth(d.ID)}
		default:
			keys[d] = key{3, -nesting}
		}
	}
	slices.SortFunc(drafts, func(a, b *draft) int {
		x, y := keys[a], keys[b]
		return cmp.Or(cmp.Compare(x.phase, y.phase), cmp.Compare(x.depth, y.depth), cmpString(a.ID, b.ID), cmpString(string(a.Kind), string(b.Kind)))
	})
}

func cmpString(a, b string) int { return strings.Compare(a, b) }

// sortedKeys lists the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
