package local

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
)

// deploymentsFile holds the deployments that run, apart from the state: it is
// small, and written whenever one begins or ends.
const deploymentsFile = "deployments.json"

type storedDeployments struct {
	Format      int                `json:"format"`
	Deployments []storedDeployment `json:"deployments"`
}

type storedDeployment struct {
	ID       string   `json:"id"`
	Version  stamp    `json:"version"`
	Steps    []step   `json:"steps"`
	Affected []string `json:"affected"`
	// What a rollback goes back to: the groups, and what was of the affected ids.
	OriginalVersion stamp                  `json:"originalVersion"`
	OriginalGroups  map[string]storedGroup `json:"originalGroups"`
	OriginalSpecs   []storedSpec           `json:"originalSpecs"`
	TargetGroups    map[string]storedGroup `json:"targetGroups"`
}

// deploymentsChanged notes that one began or ended. A deployment that stands for
// somebody else's (see failures.go) ends with the process.
func (m *Marathon) deploymentsChanged() {
	if m.data == nil || m.ctx.Err() != nil {
		return
	}
	st := storedDeployments{Format: storedFormat, Deployments: []storedDeployment{}}
	for _, dep := range m.deployments {
		if !dep.foreign {
			st.Deployments = append(st.Deployments, m.storedDeployment(dep))
		}
	}
	text, err := json.Marshal(st)
	if err == nil {
		err = replaceFile(filepath.Join(m.data.path, deploymentsFile), text)
	}
	if err != nil {
		m.options.Log.Error("storing the deployments failed: a new start would not resume them", "error", err)
	}
}

func (m *Marathon) storedDeployment(dep *deployment) storedDeployment {
	st := storedDeployment{
		ID: dep.id, Version: dep.version, Steps: dep.steps, OriginalVersion: dep.original.version,
		OriginalGroups: dep.original.storedGroups(), TargetGroups: dep.target.storedGroups(),
	}
	for id := range dep.affected {
		st.Affected = append(st.Affected, id)
		if s := dep.original.specs[id]; s != nil {
			one := s.stored()
			if m.root.specs[id] == nil { // else the state has them
				one.Residents = m.residents(s)
			}
			st.OriginalSpecs = append(st.OriginalSpecs, one)
		}
	}
	slices.Sort(st.Affected)
	return st
}

// loadDeployments resumes what ran when the last process ended, as Marathon
// does: from the first step. What was there before the deployment comes back at
// once, since its tasks ended with the process; what is new waits for its step.
func (m *Marathon) loadDeployments() error {
	var st storedDeployments
	if found, err := m.readStored(deploymentsFile, &st, &st.Format); !found || err != nil {
		return err
	}
	for _, d := range st.Deployments {
		dep := newDeployment(d.ID, d.Version, d.Steps)
		dep.target = &root{version: d.Version, groups: groupsOf(d.TargetGroups, nil), specs: map[string]*spec{}}
		dep.original = &root{version: d.OriginalVersion, groups: groupsOf(d.OriginalGroups, dep.target.groups), specs: map[string]*spec{}}
		for _, s := range d.OriginalSpecs {
			sp := s.spec(m.nextGeneration())
			dep.original.specs[sp.id] = sp
			m.parkStored(sp, s.Residents) // whose volumes go with the step that stops it
		}
		for _, id := range d.Affected {
			dep.affected[id] = true
			s := m.root.specs[id]
			if s == nil {
				continue
			}
			dep.target.specs[id] = s
			if was := dep.original.specs[id]; was != nil {
				m.schedule(s, min(s.instances(), was.instances()))
			}
		}
		m.deployments = append(m.deployments, dep)
	}
	return nil
}

// groupsOf are stored groups; those that are as in like are the same values, by
// which a rollback knows what a deployment has changed.
func groupsOf(stored map[string]storedGroup, like map[string]*group) map[string]*group {
	groups := map[string]*group{}
	for id, g := range stored {
		one := &group{g.Dependencies, g.EnforceRole}
		if same := like[id]; same != nil && reflect.DeepEqual(one, same) {
			one = same
		}
		groups[id] = one
	}
	return groups
}
