package manifests

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestManyMembersAreFoundAsFewAre: a path leads to the same member however many
// others there are.
func TestManyMembersAreFoundAsFewAre(t *testing.T) {
	text := rapid.StringMatching(`[ab/(]{0,5}`)
	rapid.Check(t, func(t *rapid.T) {
		few := &node{kind: objectNode}
		for _, key := range rapid.SliceOfN(text, 1, 6).Draw(t, "keys") {
			few.members = append(few.members, member{key: key, value: &node{}})
		}
		many := &node{kind: objectNode, members: few.members}
		for i := range manyMembers {
			many.members = append(many.members, member{key: fmt.Sprint("z", i), value: &node{}})
		}
		path := "/" + text.Draw(t, "path")
		want, wantRest := few.step(path, nil)
		got, gotRest := many.step(path, index{})
		if (want == nil) != (got == nil) || want != nil && want.value != got.value || wantRest != gotRest {
			t.Fatalf("%q leads to %v with %q, want %v with %q", path, got, gotRest, want, wantRest)
		}
	})
}

// wrongs lists what is wrong in a value.
func (n *node) wrongs() (all []fault) {
	n.faults(func(f fault) { all = append(all, f) })
	return all
}
