package leader

import (
	"cmp"
	"regexp"
	"slices"
)

// Line is what stands in ZooKeeper at one moment. What is read first is Replicas.
type Line struct {
	Replicas   []string // ids of the replicas that have a session
	Candidates []string // names of the nodes in line, and whatever else is there
}

// candidate matches the name of a node in line: an id that no two terms have in
// common, and the number that ZooKeeper gave.
var candidate = regexp.MustCompile(`^candidate-([0-9a-f]{32})-(\d{10})$`)

// replica matches the id of a replica.
var replica = regexp.MustCompile(`^[0-9a-f]{32}$`)

// prefixOf is what the name of a node in line begins with.
func prefixOf(id string) string { return "candidate-" + id + "-" }

// place is one candidate in line.
type place struct{ name, id, number string }

// places are the candidates in line, the first first, and the foreign names.
func (l Line) places() (line []place, foreign []string) {
	for _, name := range l.Candidates {
		if m := candidate.FindStringSubmatch(name); m != nil {
			line = append(line, place{name, m[1], m[2]})
		} else {
			foreign = append(foreign, name)
		}
	}
	slices.SortFunc(line, func(a, b place) int { return cmp.Compare(a.number, b.number) })
	return line, foreign
}

// outcast is a replica that lives though its node in line is gone, so that it
// may still hold a lease; empty: there is none.
func (l Line) outcast() string {
	line, _ := l.places()
	for _, id := range l.Replicas {
		if replica.MatchString(id) && !slices.ContainsFunc(line, func(p place) bool { return p.id == id }) {
			return id
		}
	}
	return ""
}
