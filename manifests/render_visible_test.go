package manifests

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/visible"
)

// TestRenderedTextIsVisible: whatever stands in a manifest, what is rendered can
// be seen whole, and reads as the same.
func TestRenderedTextIsVisible(t *testing.T) {
	manifest := `{"id": "/a", "cmd": "sleep 9", "labels": {"k\u202e": "a\u001b\u009b\u0007\u00a0\u2066b \udb40\udc41 😀 ü\n"}}`
	read := func(text []byte, name string) Desired {
		d := NewReader().Read(fstest.MapFS{name: {Data: text}}, Options{Scope: "/", Cluster: DefaultCluster()})
		if len(d.Items) != 1 || len(d.Problems) > 0 {
			t.Fatalf("%s: %+v", text, d.Problems)
		}
		return d
	}
	want := read([]byte(manifest), "a.json").Items[0].App.Labels
	for _, format := range []string{FormatJSON, FormatYAML} {
		text, err := Render(read([]byte(manifest), "a.json"), DefaultCluster(), format)
		if err != nil || !visible.Whole(text) {
			t.Errorf("%s: %q, %v", format, text, err)
		}
		if diff := cmp.Diff(want, read(text, "a."+format).Items[0].App.Labels); diff != "" {
			t.Errorf("%s: %s", format, diff)
		}
	}
}
