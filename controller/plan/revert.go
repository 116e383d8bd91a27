package plan

import "github.com/pacer-gitops/pacer/manifests"

// Healthy is what ran well before a change: what is put back if that fails.
// Exactly one of App and Pod is set.
type Healthy struct {
	App *manifests.App `json:"app,omitempty"`
	Pod *manifests.Pod `json:"pod,omitempty"`
	// Revision and Hash are the inventory's of that definition; empty: it was
	// not of the sync's making.
	Revision string `json:"revision,omitempty"`
	Hash     string `json:"hash,omitempty"`
}

// Words say why a definition failed and what became of that.
func (f Failure) Words() string {
	switch {
	case f.Restored:
		return f.Reason + "; reverted to the last healthy definition"
	case f.NoHealthy:
		return f.Reason + "; nothing to revert to: no definition of it was ever seen running and healthy"
	case f.Unrestored != "":
		return f.Reason + "; the revert to the last healthy definition failed, too: " + f.Unrestored
	}
	return f.Reason
}

// restorable returns what is to stand in Marathon in the place of git's
// definition, which failed. Where that failed too, nothing is tried any more.
func (w *work) restorable(item *manifests.Item) (Healthy, Failure, bool) {
	f, failed := w.in.Failed[item.ID]
	h, known := w.in.Healthy[item.ID]
	return h, f, w.in.Policy.Revert && failed && known && f.Unrestored == "" && f.Hash == w.hash(item)
}

// restoreApp returns the change that puts the last healthy definition of an app
// back, nil if there is none to make. The count of an autoscaler and ignored
// paths stay live's.
func (w *work) restoreApp(item *manifests.Item, live *manifests.App) *draft {
	h, f, ok := w.restorable(item)
	if !ok || h.App == nil {
		return nil
	}
	kept := w.kept(item.ID)
	healthy := kept.App(manifests.NormaliseApp(h.App, live, &w.cluster), live)
	d := w.restore(item, h, f, manifests.CompareApps(live, healthy))
	if d != nil {
		d.App, d.Kept = healthy, kept
	}
	return d
}

// restorePod does for a pod what restoreApp does for an app.
func (w *work) restorePod(item *manifests.Item, live *manifests.Pod) *draft {
	h, f, ok := w.restorable(item)
	if !ok || h.Pod == nil {
		return nil
	}
	kept := w.kept(item.ID)
	healthy := kept.Pod(manifests.NormalisePod(h.Pod, live, &w.cluster), live)
	d := w.restore(item, h, f, manifests.ComparePods(live, healthy))
	if d != nil {
		d.Pod, d.Kept = healthy, kept
	}
	return d
}

// restore drafts the change. What replaces no task and scales nothing is not
// worth one: Marathon might never show it.
func (w *work) restore(item *manifests.Item, h Healthy, f Failure, c manifests.Comparison) *draft {
	if c.Effect == manifests.EffectNone || c.Effect == manifests.EffectMetadata {
		return nil
	}
	d := w.change(item, c)
	d.Revert, d.Hash = true, h.Hash
	d.Drift = f.Restored // it was back, and somebody changed it since
	d.Reason = "git's definition failed (" + f.Reason + "), reverting to the last healthy definition: " + differ(c.Fields)
	return d
}
