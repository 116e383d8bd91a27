package manifests

import (
	"fmt"
	"strings"
	"testing"
)

// TestVolumesOfSeveralApps: an external volume is of one app, unless all share it.
func TestVolumesOfSeveralApps(t *testing.T) {
	c := DefaultCluster()
	c.Features = []string{"external_volumes"}
	dvdi := func(more string) string {
		return `{"name": "v", "provider": "dvdi", "options": {"dvdi/driver": "d"}` + more + `}`
	}
	mounted := func(mode string) string {
		return `{"name": "v", "provider": "csi", "options": {"pluginName": "p", "capability": {"accessMode": "` + mode + `", "accessType": "block"}}}`
	}
	for _, row := range []struct {
		name, a, b, mode string
		wrong            bool
	}{
		{"of one", dvdi(""), dvdi(""), "RW", true}, {"shared by one", dvdi(`, "shared": true`), dvdi(""), "RW", true}, {"shared by both", dvdi(`, "shared": true`), dvdi(`, "shared": true`), "RW", false},
		{"another name", dvdi(""), strings.Replace(dvdi(""), `"v"`, `"w"`, 1), "RW", false},
		{"another system", dvdi(""), mounted("SINGLE_NODE_WRITER"), "RW", false}, {"one node", mounted("SINGLE_NODE_WRITER"), mounted("SINGLE_NODE_WRITER"), "RW", true},
		{"many nodes", mounted("MULTI_NODE_MULTI_WRITER"), mounted("MULTI_NODE_MULTI_WRITER"), "RW", false},
		{"one writer", mounted("MULTI_NODE_SINGLE_WRITER"), mounted("MULTI_NODE_SINGLE_WRITER"), "RW", true}, {"only readers", mounted("MULTI_NODE_SINGLE_WRITER"), mounted("MULTI_NODE_SINGLE_WRITER"), "RO", false},
	} {
		app := func(id, external string) string {
			return fmt.Sprintf(`{"id": %q, "cmd": "sleep 100", "container": {"type": "MESOS", "volumes": [{"containerPath": "v", "mode": %q, "external": %s}]}}`, id, row.mode, external)
		}
		d := NewReader().Read(oneFile("a.json", "["+app("/a", row.a)+",\n"+app("/b", row.b)+"]"), Options{Cluster: c})
		want := 0
		if row.wrong {
			want = 2
		}
		if len(d.Problems) != want || d.Broken["/a"] != row.wrong || d.Broken["/b"] != row.wrong {
			t.Errorf("%s: %q", row.name, texts(d))
		}
		if row.wrong && (!strings.Contains(d.Problems[0].Message, "used by /b (a.json:2)") || d.Problems[0].Path != "/container/volumes(0)/external/name") {
			t.Errorf("%s: %+v", row.name, d.Problems[0])
		}
	}
}
