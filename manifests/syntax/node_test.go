package syntax

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
		few := &Node{Kind: Object}
		for _, key := range rapid.SliceOfN(text, 1, 6).Draw(t, "keys") {
			few.Members = append(few.Members, Member{Key: key, Value: &Node{}})
		}
		many := &Node{Kind: Object, Members: few.Members}
		for i := range manyMembers {
			many.Members = append(many.Members, Member{Key: fmt.Sprint("z", i), Value: &Node{}})
		}
		path := "/" + text.Draw(t, "path")
		want, wantRest := few.step(path, nil)
		got, gotRest := many.step(path, Index{})
		if (want == nil) != (got == nil) || want != nil && want.Value != got.Value || wantRest != gotRest {
			t.Fatalf("%q leads to %v with %q, want %v with %q", path, got, gotRest, want, wantRest)
		}
	})
}

// wrongs lists what is wrong in a value.
func (n *Node) wrongs() (all []Fault) {
	n.Faults(func(f Fault) { all = append(all, f) })
	return all
}
