package manifests

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// UnknownDependencies warns of dependencies on ids that nothing here defines and
// that live does not have either, each where it stands, up to a bound for each
// definition: Marathon ignores such a dependency in silence. With live nil no Marathon is asked, and what
// lies outside of the scope, which others may define, is left out. So is what
// may stand in a manifest that has an error.
func (d *Desired) UnknownDependencies(scope string, live iter.Seq[string]) []Problem {
	unknown := map[string]bool{}
	for item := range d.dependents() {
		for _, target := range item.dependencies() {
			unknown[target] = target != "" // which is what cannot be read
		}
	}
	delete(unknown, "")
	if len(unknown) == 0 {
		return nil
	}
	ids := d.ids()
	if live != nil {
		ids = slices.AppendSeq(ids, live)
	}
	for _, id := range ids {
		delete(unknown, id)
		for id != "/" {
			id = ParentID(id)
			delete(unknown, id)
		}
	}
	for target := range unknown {
		mine := Within(target, scope)
		if d.brokenAbove(target) || mine && len(d.Unreadable) > 0 || !mine && live == nil {
			delete(unknown, target)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(ids)
	return d.warnOfUnknown(unknown, slices.Compact(ids), live != nil)
}

// dependents are what may depend on something: what has errors, too.
func (d *Desired) dependents() iter.Seq[*Item] {
	return func(yield func(*Item) bool) {
		for _, items := range [][]Item{d.Items, d.BrokenDependents} {
			for i := range items {
				if !yield(&items[i]) {
					return
				}
			}
		}
	}
}

// dependencies of an item, which are absolute.
func (i *Item) dependencies() []string {
	switch i.Kind {
	case KindApp:
		return i.App.Dependencies
	case KindGroup:
		return i.Group.Dependencies
	}
	return nil
}

// ids are those of all definitions, readable or not.
func (d *Desired) ids() []string {
	ids := make([]string, 0, len(d.Items)+len(d.Broken))
	for i := range d.Items {
		ids = append(ids, d.Items[i].ID)
	}
	return slices.AppendSeq(ids, maps.Keys(d.Broken))
}

// brokenAbove reports whether a group that an id lies in has an error.
func (d *Desired) brokenAbove(id string) bool {
	for len(d.Broken) > 0 && id != "/" {
		if id = ParentID(id); d.Broken[id] {
			return true
		}
	}
	return false
}

func (d *Desired) warnOfUnknown(unknown map[string]bool, ids []string, asked bool) []Problem {
	who := "nothing here defines"
	if asked {
		who = "neither git nor Marathon has"
	}
	near := nearestIDs(unknown, ids)
	var found problemList
	for item := range d.dependents() {
		warn := func(i int, path, what string) {
			at := syntax.Place{Line: item.Line, Column: 1}
			if i < len(item.DependsAt) {
				at = item.DependsAt[i]
			}
			found.add(maxSourceProblems, Problem{
				File: item.File, Line: at.Line, Column: at.Column, ID: item.ID, Path: path, Severity: SeverityWarning,
				Message: fmt.Sprintf("depends on %s, which %s: Marathon ignores such a dependency, and waits for nothing", what, who),
			})
		}
		count, more, first := 0, 0, 0
		for i, target := range item.dependencies() {
			switch {
			case !unknown[target]:
				continue
			case count == mostListed:
				if more++; more == 1 {
					first = i
				}
				continue
			}
			count++
			warn(i, "/dependencies("+itoa(i)+")", target+near[target])
		}
		if more > 0 {
			warn(first, "/dependencies", counted(more, "more id"))
		}
	}
	rest := found.shorten(maxSourceProblems, ".", "of dependencies")
	slices.SortFunc(found.kept, compareProblems)
	if rest != nil {
		found.keep(*rest)
	}
	return found.kept
}

// mostCompared bounds the time that looking for the nearest ids takes: the sum,
// over all comparisons, of the product of the lengths.
const mostCompared = 20_000_000

// nearestIDs has, for each unknown id that resembles one of the ids, a hint at
// that. The same arguments give the same hints.
func nearestIDs(unknown map[string]bool, ids []string) map[string]string {
	length := 0
	for _, id := range ids {
		length += len(id)
	}
	hints := map[string]string{}
	for _, target := range sortedKeys(unknown) {
		if length = max(length, 1); len(target)*length*(len(hints)+1) > mostCompared {
			break
		}
		hints[target] = ""
		if nearest := nearestID(target, ids); nearest != "" {
			hints[target] = " (did you mean " + nearest + "?)"
		}
	}
	return hints
}

// nearestID is the id that resembles target most; the same name in another
// group is near. Empty: none does.
func nearestID(target string, ids []string) string {
	nearest, best := "", 0.55 // below this a suggestion misleads
	name := target[strings.LastIndexByte(target, '/'):]
	for _, id := range ids {
		score := levenshtein.Similarity(id, target, nil)
		if strings.HasSuffix(id, name) {
			score += 0.4
		}
		if score > best {
			nearest, best = id, score
		}
	}
	return nearest
}
