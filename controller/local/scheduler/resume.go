package scheduler

import (
	"maps"
	"reflect"
	"slices"

	"github.com/pacer-gitops/pacer/controller/local/state"
)

// save stores the deployments that run. A foreign one ends with the process.
func (d *Deployments) save() {
	if d.storage.lock == nil || d.ctx.Err() != nil {
		return
	}
	st := storedDeployments{Format: storedFormat, Deployments: []storedDeployment{}}
	for _, dep := range d.active {
		if !dep.Foreign {
			st.Deployments = append(st.Deployments, d.stored(dep))
		}
	}
	if err := d.storage.write(deploymentsFile, st); err != nil {
		d.log.Error("storing the deployments failed: a new start would not resume them", "error", err)
	}
}

func (d *Deployments) stored(dep *Deployment) storedDeployment {
	st := storedDeployment{
		ID: dep.ID, Version: dep.Version, Steps: dep.Steps, Affected: slices.Sorted(maps.Keys(dep.Affected)),
		OriginalVersion: dep.Original.Version, OriginalGroups: dep.Original.Groups, TargetGroups: dep.Target.Groups,
	}
	for _, id := range st.Affected {
		if s := dep.Original.Specs[id]; s != nil {
			one := storedSpec{RunSpec: s}
			if d.Versions.Root.Specs[id] == nil { // else the state has its instances
				one = d.instances.stored(s)
			}
			st.OriginalSpecs = append(st.OriginalSpecs, one)
		}
	}
	return st
}

// resume takes up what ran when the last process ended, as Marathon does: from
// the first step. What was there before the deployment comes back at once, since
// its tasks ended with the process; what is new waits for its step.
func (d *Deployments) resume() error {
	var st storedDeployments
	if found, err := d.storage.read(deploymentsFile, &st, &st.Format); !found || err != nil {
		return err
	}
	for _, stored := range st.Deployments {
		if err := d.resumeOne(stored); err != nil {
			return err
		}
	}
	return nil
}

func (d *Deployments) resumeOne(stored storedDeployment) error {
	dep := newDeployment(stored.ID, stored.Version, stored.Steps)
	dep.Target = &state.RootGroup{Version: stored.Version, Groups: stored.TargetGroups, Specs: map[string]*state.RunSpec{}}
	dep.Original = &state.RootGroup{Version: stored.OriginalVersion, Groups: stored.OriginalGroups, Specs: map[string]*state.RunSpec{}}
	for id, g := range dep.Original.Groups { // by its value a rollback knows what a deployment has changed
		if same := dep.Target.Groups[id]; same != nil && reflect.DeepEqual(g, same) {
			dep.Original.Groups[id] = same
		}
	}
	if err := restoreSpecs(dep.Original, stored.OriginalSpecs, d.Versions.Root.Cluster(d.cluster)); err != nil {
		return err
	}
	for _, one := range stored.OriginalSpecs {
		s := dep.Original.Specs[one.ID]
		s.Generation = d.Versions.NextGeneration()
		d.instances.volumes.restore(s, one.Residents) // which go with the step that stops it
	}
	for _, id := range stored.Affected {
		dep.Affected[id] = true
		s := d.Versions.Root.Specs[id]
		if s == nil {
			continue
		}
		dep.Target.Specs[id] = s
		if was := dep.Original.Specs[id]; was != nil {
			d.instances.schedule(s, min(s.Instances(), was.Instances()))
		}
	}
	d.active = append(d.active, dep)
	return nil
}
