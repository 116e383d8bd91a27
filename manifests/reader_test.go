package manifests

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// texts are problems as a person reads them.
func texts(d Desired) []string {
	out := make([]string, len(d.Problems))
	for i, p := range d.Problems {
		out[i] = p.String()
	}
	return out
}

func ids(d Desired) []string {
	out := make([]string, len(d.Items))
	for i, item := range d.Items {
		out[i] = item.ID
	}
	return out
}

func TestGuide(t *testing.T) {
	d := NewReader().Read(os.DirFS("../testdata/guide"), Options{Scope: "/demo"})
	want := []string{
		`demoapp.damaged.json:1:1: /demo/linuxacademy-demoapp: a key that stands in no object: is the opening "{" missing?`,
		`demoapp.damaged.json:9:35: /demo/linuxacademy-demoapp: "," is missing after the value of "image"`,
		`demoapp.damaged.json:12:1: /demo/linuxacademy-demoapp: a key in the list of "portMappings": are "{" and "}" missing around its member?`,
		`demoapp.damaged.json:18:1: /demo/linuxacademy-demoapp: a key in the list of "networks": are "{" and "}" missing around its member?`,
		`demoapp.damaged.json:18:27: /demo/linuxacademy-demoapp: "," is missing after the value of "mode"`,
		`demoapp.damaged.json:20:1: /demo/linuxacademy-demoapp: a key in the list of "healthChecks": are "{" and "}" missing around its member?`,
		`demoapp.damaged.json:26:28: /demo/linuxacademy-demoapp: the file ends before the end of the "[" at 19:17 of "healthChecks" and of the "[" at 17:13 of "networks" and of the "{" at 7:14 of "container" and of the definition whose "{" is missing: is "]]}}" missing?`,
		`echo.damaged.json:1:1: /demo/linuxacadmey-echo: a key that stands in no object: is the opening "{" missing?`,
		`echo.damaged.json:5:15: /demo/linuxacadmey-echo: the file ends before the end of the definition whose "{" is missing: is "}" missing?`,
	}
	if diff := cmp.Diff(want, texts(d)); diff != "" {
		t.Error(diff)
	}
	if want := []string{"demoapp.damaged.json", "echo.damaged.json"}; !slices.Equal(want, d.Unreadable) {
		t.Errorf("unreadable: %q", d.Unreadable)
	}
	if want := []string{"/demo/linuxacademy-demoapp", "/demo/linuxacademy-echo"}; !slices.Equal(want, ids(d)) {
		t.Errorf("items: %q", ids(d))
	}
}
