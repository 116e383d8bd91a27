package manifests

import (
	"maps"
	"slices"

	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// cycles reports the dependency cycles, which Marathon refuses, at each app in
// one. Unknown ids and pods do not count, as in Marathon.
func (s *set) cycles() {
	if !slices.ContainsFunc(s.definitions, func(d *definition) bool { return len(d.on) > 0 }) {
		return
	}
	cycles := s.dependencies().Cycles(slices.Sorted(maps.Keys(s.byID)))
	for _, d := range s.definitions {
		if cycle := cycles[d.id]; cycle != nil && d.kind == KindApp {
			s.problemAt(d, d.dependsAt(cycle), "/dependencies", "%s", cycle)
		}
	}
}

// dependencies puts in every definition. Of several of one id all count: which of
// them stays is not known.
func (s *set) dependencies() *Dependencies {
	g := &Dependencies{}
	for id, definitions := range s.byID {
		app, ofApp, ofGroup := false, []string(nil), []string(nil)
		for _, d := range definitions {
			switch d.kind {
			case KindApp:
				app, ofApp = true, append(ofApp, d.on...)
			case KindGroup:
				ofGroup = append(ofGroup, d.on...)
			}
		}
		if app {
			g.SetApp(id, ofApp)
		}
		g.SetGroup(id, ofGroup)
	}
	return g
}

// dependsAt is the place of the dependency by which a definition is on a cycle, or its
// own: it may be there by a group.
func (d *definition) dependsAt(c Cycle) syntax.Place {
	for i, target := range d.on {
		if i < len(d.onAt) && slices.ContainsFunc(c, func(id string) bool { return Within(id, target) }) {
			return syntax.Place{Line: d.onAt[i].Line, Column: d.onAt[i].Column}
		}
	}
	return d.place
}
