package manifests

// Violation is a rule that a definition breaks.
type Violation struct {
	Path    string // in Marathon's notation: /healthChecks(0)/portIndex
	Place   string // likewise, where a person finds it, if that is not at Path
	Message string // for a person: what is wrong: what is meant; empty: another violation says it
	Warning bool   // Marathon takes it, but nobody means it
	Status  int    // what Marathon answers: 422, 400 or 500; 0 where it takes it in silence
	Answer  string // Marathon's own words, for the local Marathon
	More    int    // how many violations this one stands for that are not listed; 0: it is one
	// Read is what Marathon reads where it takes a value of another shape in silence;
	// nil: it ignores what is at Path.
	Read *Reading
}

// Reading is decoded JSON that Marathon reads in the place of a value.
type Reading struct {
	Path  string // of the value
	Value map[string]any
}

// Effect is what putting one definition over another does to the tasks.
// Source: the recordings in testdata/conformance.
type Effect string

// The effects.
const (
	EffectNone     Effect = "none"     // nothing differs
	EffectScale    Effect = "scale"    // only the count differs: tasks are kept
	EffectRestart  Effect = "restart"  // every task is replaced
	EffectMetadata Effect = "metadata" // the definition changes, no task is touched, and it does not outlive the leader
)

// FieldDiff is one place where desired differs from live. Path is a JSON
// pointer (/container/docker/image); Live or Desired is nil where absent.
type FieldDiff struct {
	Path    string `json:"path"`
	Live    any    `json:"live"`
	Desired any    `json:"desired"`
}

// Comparison foretells what putting desired over live would do.
type Comparison struct {
	Effect  Effect
	Fields  []FieldDiff // sorted by path
	Refused []Violation // why Marathon would refuse the update (resident apps)
}
