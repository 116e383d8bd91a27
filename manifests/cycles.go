package manifests

import (
	"maps"
	"slices"
)

// cycles reports the dependency cycles, which Marathon refuses, at each app in
// one. Unknown ids and pods do not count, as in Marathon.
func (s *set) cycles() {
	if !slices.ContainsFunc(s.definitions, func(d *definition) bool { return len(d.dependencies()) > 0 }) {
		return
	}
	cycles := s.dependencies().Cycles(slices.Sorted(maps.Keys(s.byID)))
	for _, d := range s.definitions {
		if cycle := cycles[d.id]; cycle != nil && d.kind == KindApp {
			s.problem(d, "/dependencies", "%s", cycle)
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
				app, ofApp = true, append(ofApp, d.dependencies()...)
			case KindGroup:
				ofGroup = append(ofGroup, d.dependencies()...)
			}
		}
		if app {
			g.SetApp(id, ofApp)
		}
		g.SetGroup(id, ofGroup)
	}
	return g
}

// dependencies of a definition that can be read.
func (d *definition) dependencies() []string {
	switch {
	case d.item == nil:
		return nil
	case d.kind == KindApp:
		return d.item.App.Dependencies
	case d.kind == KindGroup:
		return d.item.Group.Dependencies
	}
	return nil
}
