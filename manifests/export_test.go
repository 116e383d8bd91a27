package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	yamlv3 "go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// folderOf is an export as a snapshot.
func folderOf(files []ExportedFile) fstest.MapFS {
	fsys := fstest.MapFS{}
	for _, f := range files {
		fsys[f.Name] = &fstest.MapFile{Data: f.Content}
	}
	return fsys
}

// checkExport exports live definitions, reads the files and compares what they
// ask for with what is live.
func checkExport(t rapid.TB, live []Item, o ExportOptions) []ExportedFile {
	t.Helper()
	files, err := Export(live, o)
	if err != nil {
		t.Fatal(err)
	}
	d := NewReader().Read(folderOf(files), Options{Scope: o.Scope, Cluster: o.Cluster})
	for _, p := range d.Problems {
		if p.Severity == SeverityError {
			t.Fatalf("%s in\n%s", p, files[0].Content)
		}
	}
	if len(d.Items) != len(files) {
		t.Fatalf("%d definitions in %d files", len(d.Items), len(files))
	}
	for _, item := range d.Items {
		i := slices.IndexFunc(live, func(l Item) bool { return l.ID == item.ID && l.Kind == item.Kind })
		if i < 0 {
			t.Fatalf("%s %s is not live", item.Kind, item.ID)
		}
		if fields := differences(live[i], item, &o.Cluster); len(fields) > 0 {
			t.Fatalf("%s: %+v in\n%s", item.ID, fields, files[0].Content)
		}
	}
	again, err := Export(d.Items, o)
	if err != nil {
		t.Fatal(err)
	}
	if o.KeepServicePorts { // without them nothing is left to tell which they are
		if diff := cmp.Diff(folderOf(files), folderOf(again)); diff != "" {
			t.Fatalf("other bytes the second time: %s", diff)
		}
	}
	return files
}

func differences(live, desired Item, c *Cluster) []FieldDiff {
	switch live.Kind {
	case KindApp:
		normal := NormaliseApp(live.App, nil, c)
		return CompareApps(normal, NormaliseApp(desired.App, normal, c)).Fields
	case KindPod:
		normal := NormalisePod(live.Pod, nil, c)
		return ComparePods(normal, NormalisePod(desired.Pod, normal, c)).Fields
	}
	if diff := cmp.Diff(NormaliseGroup(live.Group, c), NormaliseGroup(desired.Group, c)); diff != "" {
		return []FieldDiff{{Path: "/", Desired: diff}}
	}
	return nil
}

// TestExportOfRecordings: whatever a real Marathon showed can be exported, and
// plans to no change.
func TestExportOfRecordings(t *testing.T) {
	c := DefaultCluster()
	c.Features = []string{"external_volumes", "gpu_resources", "secrets", "task_killing", "vips"}
	for _, kind := range []Kind{KindApp, KindPod} {
		var cases []transition
		recording(t, "conformance/"+string(kind)+"-transitions.json", &cases)
		exported := 0
		for _, r := range cases {
			for state, body := range map[string]json.RawMessage{"before": r.LiveBefore, "after": r.LiveAfter} {
				if len(body) == 0 || string(body) == "null" {
					continue
				}
				item := Item{Kind: kind}
				if kind == KindApp {
					item.App = unmarshal[App](t, body)
					item.ID = item.App.ID
				} else {
					item.Pod = unmarshal[Pod](t, body)
					item.ID = item.Pod.ID
				}
				exported++
				t.Run(r.Name+" "+state, func(t *testing.T) {
					for _, keep := range []bool{false, true} {
						cluster := c
						cluster.KeepRole(item.ID, item.role())
						checkExport(t, []Item{item}, ExportOptions{Scope: path.Dir(item.ID), Cluster: cluster, KeepServicePorts: keep})
					}
				})
			}
		}
		if exported < len(cases) {
			t.Errorf("only %d states of %d recordings of %ss", exported, len(cases), kind)
		}
		t.Logf("%d states of %d recordings of %ss", exported, len(cases), kind)
	}
}

func (i Item) role() *string {
	if i.App != nil {
		return i.App.Role
	}
	return i.Pod.Role
}

func TestExportProperties(t *testing.T) {
	c := everything()
	t.Run("an export plans to no change", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			app, _ := valid(t, appRules, appShape)
			pod, _ := valid(t, podRules, podShape)
			app, pod = NormaliseApp(app, nil, c), NormalisePod(pod, nil, c)
			app.ID, pod.ID = "/shop/app", "/shop/inner/pod"
			drawPorts(t, app)
			app.Labels = map[string]string{"text": hardText(t), "key " + hardText(t): "x"}
			app.Env = map[string]EnvValue{"A": {Value: hardText(t)}, "B": {Value: hardText(t)}}
			group := &Group{ID: "/shop", Dependencies: []string{"/base"}}
			live := []Item{{ID: app.ID, Kind: KindApp, App: app}, {ID: pod.ID, Kind: KindPod, Pod: pod}, {ID: group.ID, Kind: KindGroup, Group: group}}
			scope := rapid.SampledFrom([]string{"/", "", "/shop"}).Draw(t, "scope")
			checkExport(t, live, ExportOptions{Scope: scope, Cluster: *c, KeepServicePorts: rapid.Bool().Draw(t, "keep")})
		})
	})
	t.Run("each definition has a file of its own", func(t *testing.T) {
		segment := rapid.SampledFrom([]string{"a", "b", "group", "a.yaml", "b.yaml", "group.yaml", "a.yaml.yaml"})
		rapid.Check(t, func(t *rapid.T) {
			ids := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) string {
				return "/" + strings.Join(rapid.SliceOfN(segment, 1, 3).Draw(t, "segments"), "/")
			}), 1, 8, rapid.ID).Draw(t, "ids")
			slices.Sort(ids)
			var live []Item
			for _, id := range ids {
				if slices.ContainsFunc(live, func(l Item) bool { return Within(id, l.ID) }) {
					continue // nothing lies in an app
				}
				live = append(live, Item{ID: id, Kind: KindApp, App: &App{ID: id, Cmd: new("sleep 100")}})
			}
			for _, item := range slices.Clone(live) {
				if g := ParentID(item.ID); g != "/" && !slices.ContainsFunc(live, func(l Item) bool { return l.ID == g }) {
					live = append(live, Item{ID: g, Kind: KindGroup, Group: &Group{ID: g, Dependencies: []string{"/base"}}})
				}
			}
			files := checkExport(t, live, ExportOptions{Cluster: *c})
			names := map[string]bool{}
			for _, f := range files {
				for folder := path.Dir(f.Name); folder != "."; folder = path.Dir(folder) {
					names[folder] = true
				}
			}
			for _, f := range files {
				if names[f.Name] {
					t.Fatalf("%s is there twice", f.Name)
				}
				names[f.Name] = true
			}
		})
	})
}

// drawPorts does what Marathon does with ports that are 0.
func drawPorts(t *rapid.T, a *App) {
	ports := ServicePorts(a)
	for i := range ports {
		ports[i] = new(rapid.SampledFrom([]int{10000, 10001, 15000}).Draw(t, "port") + i*10)
	}
	definitions, container := slices.Clone(a.PortDefinitions), a.Container
	if container != nil {
		container = new(*a.Container)
		container.PortMappings = slices.Clone(container.PortMappings)
	}
	a.PortDefinitions, a.Container = definitions, container
	SetServicePorts(a, ports)
}

// hardText is what a writer of YAML may get wrong.
func hardText(t *rapid.T) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"", " ", "yes", "NO", "on", "y", "~", "null", "true", "0644", "0x1F", "1_000", "1e3", "1:30", ".5", "2026-01-02", "- a", "a: b", "a #b", "#", "&a", "*a", "!x", "%",
			"@", "`", "'", `"`, "\\", "{}", "[", "a\nb", "a\n", "\n", " a\n b\n", "\ta", "\t\n", "\ta\nb", " \t\n", "\n\ta\n", "\r\n\t", "a\t\nb", "\x00", "\x7f", "\u0085", "\u2028", "\ufeff", "🙂", "${ENV}", "$${ENV}",
			"---", "...", "--- a\nb", "<<", "=", "|", ">", "?", strings.Repeat("long ", 100),
		}),
		rapid.String(),
	).Draw(t, "text")
}

// TestTextThatBeginsWithBlanks: a writer of YAML puts text of several lines into a
// block, which cannot begin with a tab.
func TestTextThatBeginsWithBlanks(t *testing.T) {
	for _, text := range []string{"\t\n", "\tif true; then\n\t\tsleep 1\n\tfi\n", " \t\n", "\n\ta\n", " a\n b\n", "\n", "a\n\tb\n"} {
		n, err := yamlDocument(map[string]string{"cmd": text})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var b bytes.Buffer
		var got map[string]string
		if err := errors.Join(encodeYAML(&b, n), yamlv3.Unmarshal(b.Bytes(), &got)); err != nil || got["cmd"] != text {
			t.Errorf("%q is written as %q, and read as %q: %v", text, b.String(), got["cmd"], err)
		}
	}
}

// TestPlainText: what is written without asking the encoder is written as it
// would write it.
func TestPlainText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.SampledFrom([]string{
			"y", "Y", "yes", "No", "ON", "off", "n", "N", "true", "False", "null", "Null", "NULL", "nan", "inf", "e3", "a.b", "/a/b", "a-", "x--", "a_", "f0", "o7", "truely",
		}), rapid.StringMatching(`[A-Za-z/][A-Za-z0-9_./-]{0,6}`)).Draw(t, "text")
		var want yamlv3.Node
		if err := want.Encode(text); err != nil {
			t.Fatal(err)
		}
		got, err := yamlDocument(text)
		if err != nil {
			t.Fatal(err)
		}
		var a, b bytes.Buffer
		if err := errors.Join(encodeYAML(&a, &want), encodeYAML(&b, got)); err != nil || a.String() != b.String() {
			t.Fatalf("want %q, got %q %v", a.String(), b.String(), err)
		}
	})
}

func TestExport(t *testing.T) {
	c := DefaultCluster()
	c.EnforceRole = map[string]bool{"/shop": true}
	web := &App{
		ID: "/shop/web", Cmd: new("sleep 100"), Instances: new(3), Mem: new(64.0), Role: new("shop"), Env: map[string]EnvValue{"B": {Value: "yes"}, "A": {Secret: "a"}},
		Secrets:  map[string]Secret{"a": {Source: "/a"}},
		Networks: []Network{{Mode: new("container/bridge")}},
		Container: &Container{Type: "DOCKER", Docker: &Docker{Image: "web:1"}, PortMappings: []PortMapping{
			{ContainerPort: new(80), Name: new("http"), ServicePort: new(10003)}, {ContainerPort: new(81), ServicePort: new(9000)},
		}},
	}
	fixed := &App{ID: "/shop/fixed", Cmd: new("sleep 100"), RequirePorts: new(true), Role: new("other"), PortDefinitions: []PortDefinition{{Port: new(10080), Name: new("default")}}}
	two := &App{ID: "/shop/two", Cmd: new("sleep 100"), Role: new("*"), PortDefinitions: []PortDefinition{{Port: new(10004)}, {Port: new(10005)}}}
	pod := &Pod{ID: "/shop/inner/pod", Containers: []PodContainer{{Name: "main", Resources: &Resources{CPUs: new(0.1), Mem: new(32.0)}, Exec: &Exec{Command: &Command{Shell: new("sleep 100")}}}}}
	live := []Item{
		{ID: "/shop/web", Kind: KindApp, App: web}, {ID: "/shop/fixed", Kind: KindApp, App: fixed}, {ID: "/shop/two", Kind: KindApp, App: two}, {ID: "/shop/inner/pod", Kind: KindPod, Pod: pod},
		{ID: "/other/app", Kind: KindApp, App: &App{ID: "/other/app", Cmd: new("sleep 100")}}, {ID: "/shopping", Kind: KindApp, App: &App{ID: "/shopping", Cmd: new("sleep 100")}},
		{ID: "/shop", Kind: KindGroup, Group: &Group{ID: "/shop", EnforceRole: new(true), Dependencies: []string{"/other"}}},
		{ID: "/shop/inner", Kind: KindGroup, Group: &Group{ID: "/shop/inner", EnforceRole: new(false), Dependencies: []string{"/shop/web"}}},
		{ID: "/other", Kind: KindGroup, Group: &Group{ID: "/other", EnforceRole: new(false)}},
		{ID: "/", Kind: KindGroup, Group: &Group{ID: "/", Dependencies: []string{"/other"}}},
	}
	files, err := Export(live, ExportOptions{Scope: "/shop", Cluster: c})
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, f := range files {
		fmt.Fprintf(&got, "# %s %s %s\n%s", f.Name, f.Item.Kind, f.Item.ID, f.Content)
	}
	const want = `# _group.yaml group /shop
id: /shop
dependencies:
  - /other
enforceRole: true
# fixed.yaml app /shop/fixed
id: /shop/fixed
cmd: sleep 100
role: other
portDefinitions:
  - port: 10080
    name: default
requirePorts: true
# inner/_group.yaml group /shop/inner
id: /shop/inner
apps: []
dependencies:
  - /shop/web
# inner/pod.yaml pod /shop/inner/pod
id: /shop/inner/pod
containers:
  - name: main
    exec:
      command:
        shell: sleep 100
    resources:
      cpus: 0.1
      mem: 32
# two.yaml app /shop/two
id: /shop/two
cmd: sleep 100
role: '*'
portDefinitions:
  - port: 0
  - port: 0
# web.yaml app /shop/web
id: /shop/web
cmd: sleep 100
env:
  A:
    secret: a
  B: "yes"
secrets:
  a:
    source: /a
instances: 3
mem: 64
container:
  docker:
    image: web:1
  portMappings:
    - containerPort: 80
      name: http
    - containerPort: 81
      servicePort: 9000
networks:
  - mode: container/bridge
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	files, err = Export(live[:1], ExportOptions{Cluster: c, KeepServicePorts: true})
	if err != nil || len(files) != 1 || files[0].Name != "shop/web.yaml" || !strings.Contains(string(files[0].Content), "servicePort: 10003") {
		t.Errorf("kept service ports: %v %v", files, err)
	}
}

// TestExportScopeOfOneApp: a scope may be a single app.
func TestExportScopeOfOneApp(t *testing.T) {
	live := []Item{{ID: "/shop/web", Kind: KindApp, App: &App{ID: "/shop/web", Cmd: new("sleep 100")}}}
	if files := checkExport(t, live, ExportOptions{Scope: "/shop/web", Cluster: DefaultCluster()}); files[0].Name != "web.yaml" {
		t.Errorf("got %s", files[0].Name)
	}
}

// TestExportRefusesOddIDs: an id becomes the name of a file.
func TestExportRefusesOddIDs(t *testing.T) {
	for _, id := range []string{"/../../etc/cron.d/x", "x", "", "/a//b", "/a/", "/A", "/a\x1b[2J", "/_group", "/a/../b"} {
		_, err := Export([]Item{{ID: id, Kind: KindApp, App: &App{ID: id, Cmd: new("sleep 100")}}}, ExportOptions{Cluster: DefaultCluster()})
		if err == nil || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// What Marathon has and no manifest may say is in the export, with the reason, and
// not to be written: here a long uri, which Marathon took in its old form.
func TestExportSaysWhatIsRefused(t *testing.T) {
	long := "http://h/" + strings.Repeat("a", 1024)
	live := []Item{
		{ID: "/a", Kind: KindApp, App: &App{ID: "/a", Cmd: new("sleep 100"), Fetch: []Artifact{{URI: long}}}},
		{ID: "/b", Kind: KindApp, App: &App{ID: "/b", Cmd: new("sleep 100"), CPUs: new(0.0005)}},
	}
	files, err := Export(live, ExportOptions{Cluster: DefaultCluster()})
	if err != nil || len(files) != 2 {
		t.Fatal(len(files), err)
	}
	if r := files[0].Refused; len(r) != 1 || r[0].Message != "uri has 1033 characters: at most 1024 are allowed" || r[0].File != "a.yaml" {
		t.Errorf("%+v", r)
	}
	if r := files[1].Refused; len(r) > 0 {
		t.Errorf("%+v", r)
	}
}
