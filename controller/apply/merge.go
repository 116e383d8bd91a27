package apply

import (
	"context"
	"encoding/json"
	"reflect"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/manifests"
)

// Marathon loses executorResources where an app is replaced as a whole, and
// cannot unset a field where it is merged. So an app that has them is merged if
// nothing is to be unset, else replaced, and merged when that is up: that
// touches no task.

// putApp replaces an app, in the way that loses nothing if there is one.
func (r *run) putApp(ctx context.Context, it *item) (marathon.Receipt, error) {
	want := it.change.App
	if want.ExecutorResources == nil {
		return r.m.PutApp(ctx, want, it.force)
	}
	l, err := r.readApp(it.id())
	if err != nil {
		return marathon.Receipt{}, err
	}
	if l.missing() || unsets(l.app.Definition, want) {
		return r.m.PutApp(ctx, want, it.force)
	}
	return r.m.MergeApp(ctx, want, it.force)
}

// merge sends once what the replacement of an app has lost, and tells whether
// there was such a thing. Should it fail, the next plan finds it.
func (r *run) merge(it *item) bool {
	want := it.change.App
	if want == nil || want.ExecutorResources == nil || it.merged || reflect.DeepEqual(it.live.app.Definition.ExecutorResources, want.ExecutorResources) {
		return false
	}
	it.merged = true
	ctx, cancel := r.writing()
	receipt, err := r.m.MergeApp(ctx, want, false)
	cancel()
	if err == nil {
		r.began(it, receipt)
	}
	return err == nil
}

// unsets tells whether live has a field that want has not.
func unsets(live, want *manifests.App) bool {
	has, keeps := fields(live), fields(want)
	for name := range has {
		if _, kept := keeps[name]; !kept {
			return true
		}
	}
	return false
}

// fields are those that a definition gives a value.
func fields(a *manifests.App) map[string]any {
	var tree map[string]any
	b, err := json.Marshal(a)
	if err == nil {
		err = json.Unmarshal(b, &tree)
	}
	if err != nil {
		return nil
	}
	for name, v := range tree {
		switch t := v.(type) {
		case nil:
			delete(tree, name)
		case map[string]any:
			if len(t) == 0 && name != "resourceLimits" {
				delete(tree, name)
			}
		case []any:
			if len(t) == 0 && name != "portDefinitions" {
				delete(tree, name)
			}
		}
	}
	return tree
}
