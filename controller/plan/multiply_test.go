package plan

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/manifests"
)

// allocated is how many bytes a call allocates in all.
func allocated(call func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestReasonsDoNotMultiply: what holds many changes back for each other costs in
// proportion to them, in memory and in what is printed.
func TestReasonsDoNotMultiply(t *testing.T) {
	const count = 2_000
	id := func(i int) string { return fmt.Sprintf("/shop/app%04d", i) }
	on := func(i int, dependencies ...string) string {
		return simple(id(i), `, "dependencies": ["`+strings.Join(dependencies, `","`)+`"]`)
	}
	for _, c := range []struct {
		name  string
		world func() (w world, failed string)
		held  int
	}{
		{"one cycle", func() (world, string) {
			w := world{git: map[string]string{}, live: map[string]string{"/other/x": simple("/other/x", `, "dependencies": ["`+id(0)+`"]`)}}
			for i := range count - 1 {
				w.git[id(i)] = on(i, id(i+1))
			}
			w.git[id(count-1)] = on(count-1, "/other/x")
			return w, ""
		}, count},
		{"many cycles", func() (world, string) {
			w := world{git: map[string]string{}, live: map[string]string{"/other/x": simple("/other/x", `, "dependencies": ["`+id(0)+`"]`)}}
			for i := range count - 1 { // each closes one of its own
				w.git[id(i)] = on(i, id(i+1), "/other/x")
			}
			w.git[id(count-1)] = on(count-1, "/other/x")
			return w, ""
		}, count},
		{"a chain below what failed", func() (world, string) {
			w := world{git: map[string]string{id(count - 1): simple(id(count-1), "")}}
			for i := range count - 1 { // the last one is met first
				w.git[id(i)] = on(i, id(i+1))
			}
			return w, id(count - 1)
		}, count},
		{"groups of what failed", func() (world, string) {
			w := world{git: map[string]string{"/shop/g/x": simple("/shop/g/x", "")}}
			for i := range count {
				w.git[id(i)] = on(i, "/shop/g")
			}
			return w, "/shop/g/x"
		}, count + 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, failed := c.world()
			in := w.input(t)
			in.Policy.Adopt = true
			if failed != "" {
				in.Failed = map[string]Failure{}
				for i := range in.Desired.Items {
					if item := &in.Desired.Items[i]; item.ID == failed {
						in.Failed[failed] = Failure{Hash: newWork(in).hash(item), Reason: "exit code 1"}
					}
				}
			}
			var p Plan
			spent := allocated(func() { p = Compute(in) })
			held, longest := 0, 0
			for _, change := range p.Changes {
				if change.Blocked != nil {
					held++
					longest = max(longest, len(*change.Blocked))
				}
			}
			if held != c.held {
				t.Errorf("%d changes are held back, want %d", held, c.held)
			}
			if longest > 500 {
				t.Errorf("a reason of %d bytes", longest)
			}
			if most := uint64(count * 32 << 10); spent > most {
				t.Errorf("planning allocated %d MiB, want at most %d", spent>>20, most>>20)
			}
			for _, format := range Formats() {
				var b bytes.Buffer
				if err := Write(&b, p, format); err != nil || b.Len() > count*2_000 {
					t.Errorf("%s: %d bytes, %v", format, b.Len(), err)
				}
			}
		})
	}
}

// TestProblemsThatAreNotListedAreCounted: where a plan says how many there are,
// it counts those that a last problem stands for.
func TestProblemsThatAreNotListedAreCounted(t *testing.T) {
	p := Plan{Problems: []manifests.Problem{
		{File: "a.json", Severity: manifests.SeverityError, Message: "wrong"},
		{File: ".", Severity: manifests.SeverityError, Message: "there are 41 more", More: 41},
	}}
	for format, want := range map[string]string{"text": "; 42 problems", "markdown": "42 errors in manifests"} {
		var b bytes.Buffer
		if err := Write(&b, p, format); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%s, %v: %s", format, err, b.String())
		}
	}
}
