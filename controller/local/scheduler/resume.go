package scheduler

import (
	"slices"

	"github.com/pacer-gitops/pacer/controller/local/state"
)

// save stores the deployments that run. One that stands for somebody else's ends
// with the process.
func (d *Deployments) save() {
	if d.storage.lock == nil || d.loop.ctx.Err() != nil {
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
		ID: dep.ID, Version: dep.Version, Steps: dep.Steps, OriginalVersion: dep.Original.Version,
		OriginalGroups: storeGroups(dep.Original), TargetGroups: storeGroups(dep.Target),
	}
	for id := range dep.Affected {
		st.Affected = append(st.Affected, id)
		if s := dep.Original.Specs[id]; s != nil {
			one := storeSpec(s)
			if d.versions.Root.Specs[id] == nil { // else the state has them
				one.Residents = d.instances.residents(s)
			}
			st.OriginalSpecs = append(st.OriginalSpecs, one)
		}
	}
	slices.Sort(st.Affected)
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
		dep := newDeployment(stored.ID, stored.Version, stored.Steps)
		dep.Target = &state.RootGroup{Version: stored.Version, Groups: restoreGroups(stored.TargetGroups, nil), Specs: map[string]*state.RunSpec{}}
		dep.Original = &state.RootGroup{Version: stored.OriginalVersion, Groups: restoreGroups(stored.OriginalGroups, dep.Target.Groups), Specs: map[string]*state.RunSpec{}}
		for _, one := range stored.OriginalSpecs {
			s := one.spec(d.versions.Root.Cluster(d.cluster))
			s.Generation = d.versions.NextGeneration()
			dep.Original.Specs[s.ID] = s
			d.instances.parkStored(s, one.Residents) // whose volumes go with the step that stops it
		}
		for _, id := range stored.Affected {
			dep.Affected[id] = true
			s := d.versions.Root.Specs[id]
			if s == nil {
				continue
			}
			dep.Target.Specs[id] = s
			if was := dep.Original.Specs[id]; was != nil {
				d.instances.schedule(s, min(s.Instances(), was.Instances()))
			}
		}
		d.active = append(d.active, dep)
	}
	return nil
}
