package manifests

import (
	"os"
	"slices"
	"testing"
	"testing/fstest"

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
		`demoapp.damaged.json:1:1: /demo/linuxacademy-demoapp: a key outside of an object: is the opening "{" missing?`,
		`demoapp.damaged.json:9:35: /demo/linuxacademy-demoapp: "," is missing after the value of "image"`,
		`demoapp.damaged.json:12:1: /demo/linuxacademy-demoapp: a key in the list of "portMappings": are "{" and "}" missing around its member?`,
		`demoapp.damaged.json:18:1: /demo/linuxacademy-demoapp: a key in the list of "networks": are "{" and "}" missing around its member?`,
		`demoapp.damaged.json:18:27: /demo/linuxacademy-demoapp: "," is missing after the value of "mode"`,
		`demoapp.damaged.json:20:1: /demo/linuxacademy-demoapp: a key in the list of "healthChecks": are "{" and "}" missing around its member?`,
		`demoapp.damaged.json:26:28: /demo/linuxacademy-demoapp: the file ends before the end of the "[" at 19:17 of "healthChecks" and of the "[" at 17:13 of "networks" and of the "{" at 7:14 of "container" and of the definition whose "{" is missing: is "]]}}" missing?`,
		`echo.damaged.json:1:1: /demo/linuxacadmey-echo: a key outside of an object: is the opening "{" missing?`,
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

// TestRolesGoByGroups: an app's role is that which its group will enforce,
// whichever file says so, and whatever Marathon's group says now.
func TestRolesGoByGroups(t *testing.T) {
	group := func(enforce string) string { return `{"id": "/shop", "enforceRole": ` + enforce + `}` }
	files := func(enforce, role string) fstest.MapFS {
		app := `{"id": "/shop/a/x", "cmd": "sleep 100", "acceptedResourceRoles": ["` + role + `"]` + `}`
		return fstest.MapFS{"a.json": {Data: []byte(app)}, "z.json": {Data: []byte(group(enforce))}}
	}
	r := NewReader()
	for _, row := range []struct {
		live          bool
		enforce, role string
		right         bool
	}{
		{false, "true", "shop", true}, {false, "true", "shop", true}, {true, "false", "shop", false}, {false, "false", "shop", false},
		{true, "false", "*", true}, {true, "true", "shop", true},
	} {
		c := DefaultCluster()
		c.EnforceRole = map[string]bool{"/shop": row.live}
		d := r.Read(files(row.enforce, row.role), Options{Cluster: c})
		if right := len(d.Problems) == 0; right != row.right {
			t.Errorf("%+v: %q", row, texts(d))
		}
		if c.EnforceRole["/shop"] != row.live {
			t.Fatal("the cluster was changed")
		}
		if want := row.enforce == "true"; d.Cluster(c).EnforceRole["/shop"] != want {
			t.Errorf("%+v: %+v", row, d.Cluster(c).EnforceRole)
		}
	}
}
