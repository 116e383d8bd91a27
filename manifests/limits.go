package manifests

import (
	"maps"
	"path"
	"reflect"
	"strings"

	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// Limits bound what a hostile or mistaken source can cost. A zero member means
// its default.
type Limits struct {
	FileBytes  int // size of one file; default 1 MiB
	Files      int // manifests in a source; default 20,000
	TotalBytes int // size of all manifests together; default 256 MiB
	Depth      int // nesting of lists and objects in one file; default 100
	Values     int // keys and values in one file; default 100,000
	Documents  int // YAML documents in one file; default 2,000
	// TotalValues bounds the keys and values of a source; default 1,500,000.
	TotalValues int
	// Definitions bounds the apps, pods and groups of one file; default 5,000.
	// TotalDefinitions bounds those of a source; default 50,000.
	Definitions, TotalDefinitions int
}

// withDefaults fills in what is not set.
func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.FileBytes, 1<<20)
	set(&l.Files, 20_000)
	set(&l.TotalBytes, 256<<20)
	set(&l.Depth, 100)
	set(&l.Values, 100_000)
	set(&l.Documents, 2_000)
	set(&l.Definitions, 5_000)
	set(&l.TotalDefinitions, 50_000)
	set(&l.TotalValues, 1_500_000)
	return l
}

// ofFile is what bounds the contents of one file.
func (l Limits) ofFile() syntax.Limits {
	return syntax.Limits{Depth: l.Depth, Values: l.Values, Documents: l.Documents, Definitions: l.Definitions}
}

// Options say how a snapshot is read.
type Options struct {
	// Path is the folder to read, slash-separated and relative to the
	// snapshot; empty: all of it.
	Path string
	// Scope is the group that everything must lie in and against which relative
	// ids resolve; empty: "/".
	Scope string
	// Substitute holds the only names that ${NAME} is replaced for.
	Substitute map[string]string
	// Cluster is the Marathon to check against; the zero value is
	// DefaultCluster.
	Cluster Cluster
	Limits  Limits
	// Each calls do for 0 … n-1 and returns when all are done, side by side if it
	// likes: what is read is the same. Nil: one after the other.
	Each func(n int, do func(i int))
}

// settled is Options with every default filled in.
func (o Options) settled() Options {
	o.Path = cleanPath(o.Path)
	o.Scope = "/" + joinID(o.Scope)
	o.Limits = o.Limits.withDefaults()
	if o.Cluster.Version == "" {
		o.Cluster = DefaultCluster()
	}
	if o.Each == nil {
		o.Each = func(n int, do func(int)) {
			for i := range n {
				do(i)
			}
		}
	}
	return o
}

// same reports whether both read a file to the same result. Path and Each are
// left out: where reading starts, and in which order, changes no file.
func (o Options) same(p Options) bool {
	return o.Scope == p.Scope && o.Limits == p.Limits && maps.Equal(o.Substitute, p.Substitute) &&
		reflect.DeepEqual(o.Cluster, p.Cluster)
}

// cleanPath is a folder in the form of io/fs; one that leaves the snapshot
// stays no valid path.
func cleanPath(p string) string {
	return path.Clean(strings.TrimLeft("./"+p, "/"))
}
