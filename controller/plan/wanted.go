package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/pacer-gitops/pacer/manifests"
)

// wantedChanges compares each definition of git with Marathon's.
func (w *work) wantedChanges() []*draft {
	var drafts []*draft
	for i := range w.in.Desired.Items {
		item := &w.in.Desired.Items[i]
		if w.wanted[item.ID] == "" {
			continue
		}
		if !w.knownEqual(item) {
			if d := w.compare(item); d != nil {
				drafts = append(drafts, d)
				continue
			}
			w.note(item)
		}
		w.none++
		w.keep(item)
	}
	return drafts
}

// keep notes in the inventory what is equal in git and Marathon.
func (w *work) keep(item *manifests.Item) {
	o, mine := w.owned[item.ID]
	if !mine {
		w.adopted = append(w.adopted, item.ID)
	}
	now := Owned{Kind: item.Kind, File: item.File, Revision: w.in.Revision, Hash: o.Hash}
	if now.Hash == "" {
		// Only once: hashing all of ten thousand apps in each pass is dear.
		now.Hash = w.hash(item)
	}
	if now != o {
		w.owned[item.ID] = now
	}
}

// compare returns the change that a definition asks for, nil if there is none.
func (w *work) compare(item *manifests.Item) *draft {
	switch item.Kind {
	case manifests.KindApp:
		return w.compareApp(item)
	case manifests.KindPod:
		return w.comparePod(item)
	}
	return w.compareGroup(item)
}

func (w *work) compareApp(item *manifests.Item) *draft {
	live := w.in.Live.Apps[item.ID]
	if live != nil {
		live = manifests.NormaliseApp(live, nil, &w.cluster)
	}
	kept := w.kept(item.ID)
	desired := kept.App(manifests.NormaliseApp(item.App, live, &w.cluster), live)
	if live == nil {
		d := w.create(item)
		d.App, d.Kept = desired, kept
		return d
	}
	if d := w.restoreApp(item, live); d != nil {
		return d
	}
	c := manifests.CompareApps(live, desired)
	if c.Effect == manifests.EffectNone && len(c.Refused) == 0 {
		return nil
	}
	d := w.change(item, c)
	d.App, d.Kept = desired, kept
	return d
}

func (w *work) comparePod(item *manifests.Item) *draft {
	live := w.in.Live.Pods[item.ID]
	if live != nil {
		live = manifests.NormalisePod(live, nil, &w.cluster)
	}
	kept := w.kept(item.ID)
	desired := kept.Pod(manifests.NormalisePod(item.Pod, live, &w.cluster), live)
	if live == nil {
		d := w.create(item)
		d.Pod, d.Kept = desired, kept
		return d
	}
	if d := w.restorePod(item, live); d != nil {
		return d
	}
	c := manifests.ComparePods(live, desired)
	if c.Effect == manifests.EffectNone && len(c.Refused) == 0 {
		return nil
	}
	d := w.change(item, c)
	d.Pod, d.Kept = desired, kept
	return d
}

// compareGroup compares what only a group has. A group that Marathon does not
// have equals one of which nothing is said: it comes with its first app. What git
// does not say of roles stays as it is.
func (w *work) compareGroup(item *manifests.Item) *draft {
	desired := groupAlone(item.Group, item.ID, &w.in.Cluster)
	live := w.in.Live.Groups[item.ID]
	exists := live != nil
	if !exists {
		live = &manifests.Group{}
	}
	live = groupAlone(live, item.ID, &w.in.Cluster)
	var fields []manifests.FieldDiff
	if !slices.Equal(live.Dependencies, desired.Dependencies) {
		fields = append(fields, manifests.FieldDiff{Path: "/dependencies", Live: listOrNil(live.Dependencies), Desired: listOrNil(desired.Dependencies)})
	}
	if before, after := valueOrNil(live.EnforceRole), valueOrNil(desired.EnforceRole); before != after {
		fields = append(fields, manifests.FieldDiff{Path: "/enforceRole", Live: before, Desired: after})
	}
	if len(fields) == 0 {
		return nil
	}
	d := w.create(item)
	if exists {
		d = w.change(item, manifests.Comparison{Effect: manifests.EffectMetadata})
		d.Reason = differ(fields) + ": no task restarts"
	}
	d.Fields = fields
	d.Group = desired
	return d
}

// groupAlone is a group without what is in it, its dependencies sorted and never
// nil: none at all has to be said, or Marathon keeps those that it has.
func groupAlone(g *manifests.Group, id string, c *manifests.Cluster) *manifests.Group {
	n := manifests.NormaliseGroup(&manifests.Group{ID: id, Dependencies: g.Dependencies, EnforceRole: g.EnforceRole}, c)
	dependencies := append([]string{}, n.Dependencies...)
	slices.Sort(dependencies)
	return &manifests.Group{ID: id, Dependencies: slices.Compact(dependencies), EnforceRole: n.EnforceRole}
}

func listOrNil(l []string) any {
	if len(l) == 0 {
		return nil
	}
	return l
}

func valueOrNil[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// create drafts a change for what Marathon does not have.
func (w *work) create(item *manifests.Item) *draft {
	d := w.draft(item)
	d.Action = Create
	d.Reason = "a new " + string(item.Kind)
	if d.Drift {
		d.Reason = "applied before, and missing from Marathon since"
	}
	d.Fields = masked(written(item))
	for kind, there := range map[manifests.Kind]bool{
		manifests.KindApp:   w.in.Live.Apps[item.ID] != nil,
		manifests.KindPod:   w.in.Live.Pods[item.ID] != nil,
		manifests.KindGroup: w.in.Live.Groups[item.ID] != nil,
	} {
		if there && kind != item.Kind {
			d.refused = append(d.refused, manifests.Violation{
				Path: "/id", Message: "Marathon has a " + string(kind) + " with this id: delete that first, or give this another id",
			})
		}
	}
	slices.SortFunc(d.refused, func(a, b manifests.Violation) int { return cmpString(a.Message, b.Message) })
	return d
}

// change drafts a change of what Marathon has.
func (w *work) change(item *manifests.Item, c manifests.Comparison) *draft {
	d := w.draft(item)
	d.live = true
	d.Action = Update
	d.refused = c.Refused
	d.Fields = masked(c.Fields)
	d.Restart = c.Effect == manifests.EffectRestart
	switch c.Effect {
	case manifests.EffectScale:
		d.Action = Scale
		d.Reason = "only instances differ: tasks are kept"
	case manifests.EffectRestart:
		d.Reason = differ(c.Fields) + ": every task is replaced"
	default:
		d.Reason = differ(c.Fields) + ": no task restarts; Marathon does not persist this field alone and loses it on leader failover"
	}
	if d.Drift {
		d.Reason = "changed in Marathon since it was applied: " + d.Reason
	}
	return d
}

// draft begins a change of what git has.
func (w *work) draft(item *manifests.Item) *draft {
	o, mine := w.owned[item.ID]
	d := &draft{mine: mine, Change: Change{ID: item.ID, Kind: item.Kind, File: item.File, Hash: w.hash(item)}}
	d.Drift = mine && (o.Hash != "" && o.Hash == d.Hash || o.Revision != "" && o.Revision == w.in.Revision)
	return d
}

// hash names git's definition alone: live is not asked for its service ports,
// so that the same definition has the same hash before and after it is applied.
func (w *work) hash(item *manifests.Item) string {
	switch item.Kind {
	case manifests.KindApp:
		return manifests.HashApp(manifests.NormaliseApp(item.App, nil, &w.cluster))
	case manifests.KindPod:
		return manifests.HashPod(manifests.NormalisePod(item.Pod, nil, &w.cluster))
	}
	b, err := json.Marshal(groupAlone(item.Group, item.ID, &w.in.Cluster))
	if err != nil {
		panic("plan: hash of a group: " + err.Error()) // strings and a boolean always marshal
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
