package manifests

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests/syntax"
	"github.com/pacer-gitops/pacer/visible"
)

// set is all that the files of a snapshot say together, for the rules that no
// file can be checked by alone.
type set struct {
	definitions []*definition // sorted
	byID        map[string][]*definition
	problems    problemList
	broken      map[string]bool
	unreadable  []string
	parents     map[*definition]bool   // told to have something under them
	blockers    map[string]*definition // by group: see blocker
}

// newSet gathers what a folder and all in it say.
func newSet(m *folderMemory) *set {
	s := &set{byID: make(map[string][]*definition, m.count), broken: map[string]bool{}, parents: map[*definition]bool{}, blockers: map[string]*definition{}}
	s.definitions = make([]*definition, 0, m.count)
	s.gather(m)
	slices.SortFunc(s.definitions, compareDefinitions)
	for first, end := 0, 1; end <= len(s.definitions); end++ {
		if id := s.definitions[first].id; end == len(s.definitions) || s.definitions[end].id != id {
			s.byID[id] = s.definitions[first:end:end]
			first = end
		}
	}
	return s
}

func (s *set) gather(m *folderMemory) {
	for _, p := range m.problems {
		s.problems.add(maxSourceProblems, p)
		s.unreadable = append(s.unreadable, p.File)
	}
	for _, f := range m.files.values {
		for _, p := range f.result.problems.kept {
			s.problems.add(maxSourceProblems, p)
		}
		if f.result.unreadable {
			s.unreadable = append(s.unreadable, f.result.problems.kept[0].File)
		}
		for i := range f.result.definitions {
			d := &f.result.definitions[i]
			s.definitions = append(s.definitions, d)
			if d.item == nil {
				s.broken[d.id] = true
			}
		}
	}
	for _, f := range m.folders.values {
		s.gather(f)
	}
}

// desired applies the rules across files.
func (s *set) desired(folder string) Desired {
	for i, d := range s.definitions {
		if i == 0 || s.definitions[i-1].id != d.id {
			s.sameID(s.byID[d.id])
		}
		s.parent(d)
	}
	s.cycles()
	s.externalVolumes()
	if len(s.definitions) == 0 && len(s.unreadable) == 0 {
		s.problems.add(maxSourceProblems, Problem{
			File: visible.Line(folder), Severity: SeverityError,
			Message: "there are no manifests here: an empty source deletes nothing; check the path and " + IgnoreFile,
		})
		s.unreadable = append(s.unreadable, visible.Line(folder))
	}
	slices.Sort(s.unreadable)
	return Desired{
		Items:            s.items(),
		Problems:         s.listed(folder),
		Broken:           s.broken,
		Unreadable:       slices.Compact(s.unreadable),
		BrokenDependents: s.depending(),
	}
}

// depending are the dependencies of what has errors.
func (s *set) depending() (items []Item) {
	for _, d := range s.definitions {
		if s.broken[d.id] && len(d.on) > 0 {
			items = append(items, Item{ID: d.id, Kind: KindGroup, File: d.file, Line: d.place.Line, Group: &Group{Dependencies: d.on}, DependsAt: d.onAt})
		}
	}
	return items
}

// listed are the problems that are told, in order, and last how many more there
// are.
func (s *set) listed(folder string) []Problem {
	rest := s.problems.shorten(maxSourceProblems, visible.Line(folder), "in this source")
	problems := s.problems.kept
	slices.SortFunc(problems, compareProblems)
	problems = slices.CompactFunc(problems, func(a, b Problem) bool { return a == b })
	if rest != nil {
		rest.Line, rest.Column = 0, 0
		problems = append(problems, *rest)
	}
	return problems
}

func compareDefinitions(a, b *definition) int {
	return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.file, b.file), syntax.ComparePlaces(a.place, b.place))
}

func compareProblems(a, b Problem) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
		cmp.Compare(a.ID, b.ID), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
}

// items lists what has no errors. Of a group that stands in several files only
// one is taken: the one that says something of the group itself.
func (s *set) items() []Item {
	items := make([]Item, 0, len(s.definitions))
	for _, d := range s.definitions {
		if s.broken[d.id] {
			continue
		}
		if n := len(items); n > 0 && items[n-1].ID == d.id {
			if !saysNothing(d.item.Group) {
				items[n-1] = *d.item
			}
			continue
		}
		items = append(items, *d.item)
	}
	return items
}

// saysNothing reports whether a group is there for its members only.
func saysNothing(g *Group) bool { return g.Dependencies == nil && g.EnforceRole == nil }

// problem reports an error of a definition that shows only beside others. Its id
// is broken whether the problem is listed or not.
func (s *set) problem(d *definition, path, format string, args ...any) {
	s.problemAt(d, d.place, path, format, args...)
}

func (s *set) problemAt(d *definition, at syntax.Place, path, format string, args ...any) {
	s.broken[d.id] = true
	p := Problem{File: d.file, Line: at.Line, Column: at.Column, ID: d.id, Path: path, Severity: SeverityError}
	if !s.problems.full(maxSourceProblems, p.Severity) {
		p.Message = fmt.Sprintf(format, args...)
	}
	s.problems.add(maxSourceProblems, p)
}

func (d *definition) where() string {
	return fmt.Sprintf("%s:%d", d.file, d.place.Line)
}

// sameID checks definitions that share an id: one problem, where it stands first.
func (s *set) sameID(same []*definition) {
	same = rivals(same)
	if len(same) < 2 {
		return
	}
	var others []string
	for _, other := range same[1:min(len(same), mostListed+1)] {
		others = append(others, fmt.Sprintf("as %s at %s", article(other.kind), other.where()))
	}
	s.problem(same[0], "/id", "the id is defined %d times: also %s; give each its own, or remove all but one", len(same), shorten(others, len(same)-1))
}

// rivals are those of the definitions of one id that cannot stand beside each
// other. Groups can, each with members of its own, unless they say different
// things of the group itself.
func rivals(same []*definition) []*definition {
	if len(same) < 2 || slices.ContainsFunc(same, func(d *definition) bool { return d.kind != KindGroup }) {
		return same
	}
	var say []*definition
	for _, d := range same {
		if d.item != nil && !saysNothing(d.item.Group) {
			say = append(say, d)
		}
	}
	if len(say) == 0 || !slices.ContainsFunc(say, func(d *definition) bool { return !sayTheSame(d.item.Group, say[0].item.Group) }) {
		return nil
	}
	return say
}

func sayTheSame(a, b *Group) bool {
	sameRole := a.EnforceRole == nil && b.EnforceRole == nil ||
		a.EnforceRole != nil && b.EnforceRole != nil && *a.EnforceRole == *b.EnforceRole
	return sameRole && slices.Equal(a.Dependencies, b.Dependencies)
}

// mostListed bounds how many names one message lists.
const mostListed = 5

// shorten joins the beginning of a list of a known length for a message.
func shorten(list []string, length int) string {
	if length <= mostListed {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:mostListed], ", ") + fmt.Sprintf(" and %d more", length-mostListed)
}

// parent checks that what a definition stands in is a group: an app or pod has
// no children.
func (s *set) parent(d *definition) {
	p := s.blocker(ParentID(d.id))
	if p == nil {
		return
	}
	s.problem(d, "/id", "is below %s, which is %s (%s): an id below it needs a group there; rename one", p.id, article(p.kind), p.where())
	if !s.parents[p] {
		s.parents[p] = true
		s.problem(p, "/id", "is %s and has %s below it (%s): only a group can have members; rename one", article(p.kind), d.id, d.where())
	}
}

// blocker is the nearest app or pod at or above a group, nil if there is none.
// One of several definitions of that id stands for all.
func (s *set) blocker(group string) *definition {
	if group == "/" {
		return nil
	}
	p, known := s.blockers[group]
	if known {
		return p
	}
	if i := slices.IndexFunc(s.byID[group], func(p *definition) bool { return p.kind != KindGroup }); i >= 0 {
		p = s.byID[group][i]
	} else {
		p = s.blocker(ParentID(group))
	}
	s.blockers[group] = p
	return p
}

// refusing is a file tree that leaves out entries it will not read, such as
// symbolic links and submodules. Name is slash-separated from the root; Reason
// completes the sentence that begins with it.
type refusing interface {
	Refused() []struct{ Name, Reason string }
}

// refused reports what the file tree left out and might have been a manifest.
func refusedOf(fsys fs.FS, o *Options, root *folderMemory) []Problem {
	var refused problemList
	r, ok := fsys.(refusing)
	if !ok {
		return nil
	}
	for _, e := range r.Refused() {
		below := e.Name
		if o.Path != "." {
			if below, ok = strings.CutPrefix(e.Name, o.Path+"/"); !ok {
				continue
			}
		}
		extension := path.Ext(e.Name)
		if unwanted(root, o.Path, below) || extension != "" && !manifestName(e.Name) {
			continue
		}
		p := Problem{File: visible.Line(cutText(e.Name)), Severity: SeverityError, Message: e.Reason}
		if extension == "" {
			p.Severity = SeverityWarning
			p.Message += "; nothing is deleted while it may hide manifests: list it in " + IgnoreFile + " if it does not"
		}
		refused.add(maxSourceProblems, p)
	}
	if rest := refused.shorten(maxSourceProblems, visible.Line(o.Path), "with entries that are not read"); rest != nil {
		refused.keep(*rest)
	}
	return refused.kept
}

func (s *set) refuse(refused []Problem) {
	for _, p := range refused {
		s.problems.add(maxSourceProblems, p)
		s.unreadable = append(s.unreadable, p.File)
	}
}

// unwanted reports whether a name below a folder is hidden or ignored.
func unwanted(m *folderMemory, folder, below string) bool {
	for {
		name, rest, deeper := strings.Cut(below, "/")
		full := path.Join(folder, name)
		if strings.HasPrefix(name, ".") || m != nil && ignored(m.rules, full, deeper) {
			return true
		}
		if !deeper {
			return false
		}
		if m != nil {
			m = m.folders.get(name)
		}
		folder, below = full, rest
	}
}
