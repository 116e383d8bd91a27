// Package plan compares desired with live and says what would have to change,
// in which order, why, and what holds it back. It also prints that.
//
// It is pure: no clock, no network, no disk, no log, no goroutine. Carrying a
// plan out is controller/apply's.
package plan

import "github.com/pacer-gitops/pacer/manifests"

// Action is what a change does.
type Action string

// The actions. An update says by Change.Restart whether tasks are replaced.
const (
	Create Action = "create"
	Update Action = "update"
	Scale  Action = "scale" // tasks are kept
	Delete Action = "delete"
	None   Action = "none"
)

// Change is what is to be done about one app, pod or group.
type Change struct {
	ID      string                `json:"id"`
	Kind    manifests.Kind        `json:"kind"`
	Action  Action                `json:"action"`
	Restart bool                  `json:"restart"`
	File    string                `json:"file"` // empty for a delete
	Fields  []manifests.FieldDiff `json:"fields"`
	Reason  string                `json:"reason"`
	// Blocked says what holds the change back and what to do; nil: nothing does.
	Blocked *string `json:"blocked"`
	// Approvable: an approval (Policy.Approved) would let it through.
	Approvable bool `json:"-"`

	// What apply sends and waits for; set for create, update and scale.
	App   *manifests.App   `json:"-"`
	Pod   *manifests.Pod   `json:"-"`
	Group *manifests.Group `json:"-"`
	// NewForms lists, for a delete, what in git may be its new form after a rename:
	// the delete waits until that is up.
	NewForms []string `json:"-"`
	// Kept is taken from live once more right before anything is sent.
	Kept *Kept `json:"-"`
	// Hash identifies git's definition, whatever live lends it (service ports,
	// ignored paths, an autoscaler's count): a failed one is not tried again.
	// Empty for a delete.
	Hash string `json:"-"`
	// Drift: this definition was applied before, and somebody changed Marathon
	// since.
	Drift bool `json:"drift,omitempty"`
	// Revert: git's definition failed, and what ran before is put back. Hash is
	// then that definition's, empty where it was not of the sync's making.
	Revert bool `json:"revert,omitempty"`
}

// Summary counts changes by action, blocked ones included.
type Summary struct {
	Create int `json:"create"`
	Update int `json:"update"`
	Scale  int `json:"scale"`
	Delete int `json:"delete"`
	None   int `json:"none"`
}

// Count counts one more change.
func (s *Summary) Count(a Action) {
	switch a {
	case Create:
		s.Create++
	case Update:
		s.Update++
	case Scale:
		s.Scale++
	case Delete:
		s.Delete++
	}
}

// Plan is desired minus live.
type Plan struct {
	Revision string              `json:"revision"`
	Sync     string              `json:"sync"`
	Marathon string              `json:"marathon"` // URLs of the one that it is about, without secrets; empty: not given
	Summary  Summary             `json:"summary"`
	Changes  []Change            `json:"changes"` // in the order of applying; none-changes are only counted
	Problems []manifests.Problem `json:"problems"`
	// NotManaged is what Marathon holds in the scope that neither git describes
	// nor the inventory has, sorted by id. Nothing becomes of it, so it is no
	// change. Empty where a file cannot be read, which may describe it.
	NotManaged []NotManaged `json:"notManaged,omitempty"`

	// Owned is the inventory as it stands before anything of the plan is
	// carried out: what it was, less what neither git nor Marathon has any more,
	// more what was adopted because it is equal in both. Never nil. A change
	// whose definition Marathon has taken adds its id, revision and hash (not
	// sooner: a definition that was never there cannot have drifted), a delete
	// that is done takes its id out.
	Owned map[string]Owned `json:"-"`
	// Adopted lists what Owned has and the inventory had not, sorted.
	Adopted []string `json:"-"`
	// Held is what the next plan is to be given as Input.Held.
	Held map[string]int `json:"-"`
	// Known is what the next plan of the sync may be given as Input.Known.
	Known Known `json:"-"`
}

// Pending is how many changes would be carried out now: those that nothing
// holds back.
func (p Plan) Pending() int {
	n := 0
	for _, c := range p.Changes {
		if c.Blocked == nil {
			n++
		}
	}
	return n
}

// NotManaged is an app or pod of Marathon that a sync has nothing to do with.
type NotManaged struct {
	ID   string         `json:"id"`
	Kind manifests.Kind `json:"kind"`
}

// Live is what Marathon holds, as the plan needs it.
type Live struct {
	Apps   map[string]*manifests.App
	Pods   map[string]*manifests.Pod
	Groups map[string]*manifests.Group // dependencies and enforceRole only
}

// Owned is an id in the inventory: what a sync has applied and may delete.
type Owned struct {
	Kind     manifests.Kind `json:"kind"`
	File     string         `json:"file"`     // where it stood when it was applied last
	Revision string         `json:"revision"` // at which it was last applied, or seen to be equal
	Hash     string         `json:"hash"`     // of the definition applied last; empty: not known
}

// Emptied stands in the inventory for a group of which a plan leaves nothing and
// which is to go: so that it goes though the process ends before that.
var Emptied = Owned{Kind: manifests.KindGroup}

// Prune says what becomes of what git no longer has.
type Prune string

// The prune policies.
const (
	PruneOff     Prune = "off"
	PruneConfirm Prune = "confirm"
	PruneOn      Prune = "on"
)

// MaxDeletes bounds how much one plan may delete without an approval. Zero
// members set no bound.
type MaxDeletes struct {
	Count   int `json:"count"`
	Percent int `json:"percent"` // of what the sync owns or would delete, rounded up
}

// Instances says who owns the count of instances.
type Instances struct {
	Live     bool // an autoscaler does: the live count stays
	Min, Max int  // the live count stays too, but within the bounds; Max 0: no upper one; 0, 0: git owns it
}

// Ignore leaves paths of matching ids out of the comparison.
type Ignore struct {
	ID    string   `json:"id"`    // a pattern of path.Match, or a literal id
	Paths []string `json:"paths"` // JSON pointers
}

// Policy is what a sync may do.
type Policy struct {
	Scope      string // no id outside it is ever touched; "/" for all
	Prune      Prune
	MaxDeletes MaxDeletes
	// Exclusive: the scope holds nothing but what git describes, so what the
	// sync has never applied there is deleted too, as Prune says. It has no
	// effect with PruneOff, nor for all of Marathon.
	Exclusive bool
	Instances Instances
	Ignore    []Ignore
	// Adopt: change what Marathon has and the inventory has not. Without it
	// such a change is blocked. One-shot verbs set it.
	Adopt bool
	// Approved holds the ids whose blocked change a person has approved.
	Approved map[string]bool
	// ReportDrift: changes to what was applied before, in this definition or
	// at this revision, are shown and not made.
	ReportDrift bool
	// Self is the id of the app that Pacer itself runs as; empty: it is none.
	Self string
	// Revert: where git's definition failed, the last healthy one is put back.
	Revert bool
}

// Input is all that a plan depends on.
type Input struct {
	Revision string
	Sync     string
	Marathon string // see Plan
	Desired  manifests.Desired
	Live     Live
	Cluster  manifests.Cluster
	Policy   Policy
	// Inventory is nil where it is not known (a lost store, or a sync that never
	// ran): then nothing is deleted. A one-shot verb, which has none, gives an
	// empty one. Nothing outside it is ever deleted, but for Policy.Exclusive.
	Inventory map[string]Owned
	// StateLost says why it may not be known what the sync has applied, though
	// Inventory is not nil: then Exclusive deletes nothing. Empty: it is known.
	StateLost string
	// Doubted holds the ids of the inventory that Live lacks though nothing proves
	// that they are gone: they are not created unasked and stay in the inventory,
	// and nothing is deleted meanwhile.
	Doubted map[string]bool
	// Failed holds, by id, the hash of a definition whose rollout failed and
	// why: it is not tried again until it changes.
	Failed map[string]Failure
	// Healthy holds, by id, what ran well before a change that is not known to
	// have come up yet.
	Healthy map[string]Healthy
	// Unproven holds the ids that are new and have not come up yet.
	Unproven map[string]bool
	// Held holds, by id, what was one of more deletes at once than MaxDeletes
	// allows, and of how many.
	Held map[string]int
	// Known saves comparing again what a plan before found equal. It changes no
	// plan.
	Known Known
}

// Failure is a rollout that failed.
type Failure struct {
	Hash   string `json:"hash"`
	Reason string `json:"reason"`
	// Revision is the one at which it failed.
	Revision string `json:"revision,omitempty"`
	// Deployment is Marathon's id of the rollout, which may hang there still:
	// what mends the definition may supersede it.
	Deployment string `json:"deployment,omitempty"`
	// New: no rollout of this id has ever come up, so what it may replace must
	// go on running.
	New bool `json:"new,omitempty"`
	// Restored: the last healthy definition was put back and came up.
	Restored bool `json:"restored,omitempty"`
	// NoHealthy: it was to be reverted, and there is no definition that was seen
	// running and healthy.
	NoHealthy bool `json:"noHealthy,omitempty"`
	// Unrestored says why putting it back failed; empty: it did not.
	Unrestored string `json:"unrestored,omitempty"`
}
