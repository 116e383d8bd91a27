package plan

import (
	"reflect"

	"github.com/pacer-gitops/pacer/manifests"
)

// Known is what one plan has found equal, for the next not to normalise and
// compare again. Both sides are known by their pointers: definitions are never
// written through, and who reads them hands out the same pointer for the same
// content. The zero value knows nothing. It is a value: the plan that is given one
// leaves it as it is and returns the next.
type Known struct {
	cluster   manifests.Cluster
	instances Instances
	ignore    []Ignore
	pairs     map[string]pair // by id
}

// pair is a definition of git and the live one that it equals.
type pair struct {
	app, liveApp *manifests.App
	pod, livePod *manifests.Pod
}

// fits tells whether what is known was found under the same circumstances.
func (k Known) fits(in *Input) bool {
	return k.pairs != nil && k.instances == in.Policy.Instances &&
		reflect.DeepEqual(k.ignore, in.Policy.Ignore) && reflect.DeepEqual(k.cluster, in.Cluster)
}

// pairOf is a definition of git and what is live of it; false where their
// comparison depends on more than the two, or where there are not two.
func (w *work) pairOf(item *manifests.Item) (pair, bool) {
	p := pair{app: item.App, pod: item.Pod}
	switch item.Kind {
	case manifests.KindApp:
		p.liveApp = w.in.Live.Apps[item.ID]
	case manifests.KindPod:
		p.livePod = w.in.Live.Pods[item.ID]
	}
	_, failed := w.in.Failed[item.ID] // then the last healthy one may be put back
	return p, !failed && (p.liveApp != nil || p.livePod != nil)
}

// knownEqual tells whether an item is known to ask for no change.
func (w *work) knownEqual(item *manifests.Item) bool {
	if w.before == nil {
		return false
	}
	p, ok := w.pairOf(item)
	return ok && w.before[item.ID] == p
}

// note remembers that an item asks for no change.
func (w *work) note(item *manifests.Item) {
	if p, ok := w.pairOf(item); ok {
		if w.learned == nil {
			w.learned = map[string]pair{}
		}
		w.learned[item.ID] = p
	}
}

// known is what the next plan need not compare. While nothing was learned it is
// what was known, with what that has too much: ids that are gone or differ now.
func (w *work) known() Known {
	if len(w.learned) == 0 && w.before != nil && len(w.before) <= 2*w.none {
		return w.in.Known
	}
	k := Known{cluster: w.in.Cluster, instances: w.in.Policy.Instances, ignore: w.in.Policy.Ignore, pairs: make(map[string]pair, w.none)}
	for i := range w.in.Desired.Items {
		id := w.in.Desired.Items[i].ID
		if p, ok := w.learned[id]; ok {
			k.pairs[id] = p
		} else if p, ok := w.before[id]; ok {
			k.pairs[id] = p
		}
	}
	return k
}
