package manifests

import (
	"fmt"
	"maps"

	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// Item is one app, pod or group of the desired state, as written and checked,
// with the place where it stands. Exactly one of App, Pod and Group is set; a
// Group carries only what a group itself has, its apps and pods are items of
// their own.
type Item struct {
	ID    string // absolute
	Kind  Kind
	File  string // slash-separated, relative to the snapshot
	Line  int    // 1-based
	App   *App
	Pod   *Pod
	Group *Group
	// DependsAt says where each dependency stands, in their order; empty: not known.
	DependsAt []syntax.Place
}

// Severity says whether a problem stops what it concerns.
type Severity string

// The severities of a Problem.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Problem is something wrong in a manifest, told to the person who mends it.
type Problem struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`           // 1-based; 0: the file as a whole
	Column   int      `json:"column"`         // 1-based, in bytes
	ID       string   `json:"id"`             // empty: not known
	Path     string   `json:"path,omitempty"` // in Marathon's notation: /healthChecks(0)/portIndex
	Severity Severity `json:"severity"`
	Message  string   `json:"message"` // what is wrong: what is meant
	// More is how many problems this one stands for that are not listed; 0: it is
	// a problem itself. CountProblems counts them.
	More int `json:"more,omitempty"`
}

// String is the one-line form: file:line:column: message.
func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	prefix := ""
	if p.Severity == SeverityWarning {
		prefix = "warning: "
	}
	if p.ID != "" {
		return fmt.Sprintf("%s: %s%s: %s", where, prefix, p.ID, p.Message)
	}
	return fmt.Sprintf("%s: %s%s", where, prefix, p.Message)
}

// Desired is what a snapshot asks for.
type Desired struct {
	Items []Item // sorted by id
	// Problems are sorted by file, line, column, and are not many: a last one may
	// stand for those of a file or of the source that are not listed.
	Problems []Problem
	// Broken holds the ids of all definitions that have errors, listed in Problems
	// or not: nothing is changed or deleted under them.
	Broken map[string]bool
	// Unreadable holds the files of which not even the ids are known: while
	// there is one, any id might be described there, so nothing is deleted.
	Unreadable []string
	// BrokenDependents are what has errors and depends on something, with that alone,
	// as groups.
	BrokenDependents []Item
}

// Cluster is a Marathon as it will be for the apps and pods of a desired state:
// its groups are written first, and say which role they get.
func (d *Desired) Cluster(c Cluster) Cluster { return c.enforcing(d.enforceRoles()) }

// enforceRoles is what the top-level groups say of roles.
func (d *Desired) enforceRoles() map[string]bool {
	enforce := map[string]bool{}
	for _, item := range d.Items {
		if g := item.Group; g != nil && g.EnforceRole != nil && isTopLevel(item.ID) {
			enforce[item.ID] = *g.EnforceRole
		}
	}
	return enforce
}

// enforcing is the cluster with that said of its groups.
func (c Cluster) enforcing(enforce map[string]bool) Cluster {
	if len(enforce) > 0 {
		all := maps.Clone(c.EnforceRole)
		if all == nil {
			all = map[string]bool{}
		}
		maps.Copy(all, enforce)
		c.EnforceRole = all
	}
	return c
}
