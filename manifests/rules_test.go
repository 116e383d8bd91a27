package manifests

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWords holds what a person reads, and what Marathon would say, for the
// mistakes that people make.
func TestWords(t *testing.T) {
	c := DefaultCluster()
	for _, row := range []struct {
		more    string // beside id and cmd
		path    string
		answer  string
		status  int
		warning bool
		says    string
	}{
		{`"cpus": "1"`, "/cpus", "error.expected.jsnumber", 422, false, `cpus is "1", a string: write the number 1 without quotes`},
		{`"instances": 2.5`, "/instances", "error.expected.int", 422, false, "instances is 2.5: write a whole number"},
		{`"instances": 3000000000`, "/instances", "error.expected.int", 422, false, "instances is 3000000000: write a whole number"},
		{`"instances": -1`, "/instances", "error.min", 422, false, "instances is -1: at least 0"},
		{`"requirePorts": "yes"`, "/requirePorts", "error.expected.jsboolean", 422, false, `requirePorts is "yes", a string: write true or false`},
		{`"env": {"PASSWORD": 12345}`, "/env/PASSWORD", "error.expected.jsobject", 422, false, "PASSWORD is a number: write it as a string, in quotes"},
		{`"labels": {"a": null}`, "/labels/a", "error.expected.jsstring", 422, false, "a is null: write it as a string, in quotes"},
		{`"instnces": 2`, "/instnces", "", 0, false, "unknown field instnces: Marathon would ignore it; did you mean instances?"},
		{`"healthChecks": [{"portIdex": 0}]`, "/healthChecks(0)/portIdex", "", 0, false, "unknown field portIdex in healthChecks(0): Marathon would ignore it; did you mean portIndex?"},
		{`"image": "nginx"`, "/image", "", 0, false, "unknown field image: Marathon would ignore it; its place is container.docker.image"},
		{`"portMappings": []`, "/portMappings", "", 0, false, "unknown field portMappings: Marathon would ignore it; its place is container.portMappings"},
		{`"enviroment": {}`, "/enviroment", "", 0, false, "unknown field enviroment: Marathon would ignore it; did you mean env?"},
		{`"healthChecks": [{"interval": 5}]`, "/healthChecks(0)/interval", "", 0, false, "unknown field interval in healthChecks(0): Marathon would ignore it; did you mean intervalSeconds?"},
		{`"zzz": 2`, "/zzz", "", 0, false, "unknown field zzz: Marathon would ignore it; remove it"},
		{`"killSelection": "newest"`, "/killSelection", "error.unknown.enum.literal", 422, false, `killSelection is "newest", a string: write one of YOUNGEST_FIRST, OLDEST_FIRST`},
		{`"constraints": [["hostname"]]`, "/constraints", "Each constraint must have either 2 or 3 fields", 422, false, "constraints(0) has 1 members: write [field, operator] or [field, operator, value]"},
		{`"constraints": [["rack", "GROUP_BY"]]`, "/constraints", "", 0, false, "constraint [rack, GROUP_BY]: GROUP_BY without a number of groups was seen to stop Marathon from launching anything at all (it divides by zero): write the number of groups, as a string"},
		{`"constraints": [["hostname", "unique"]]`, "/", "illegal constraint specification hostname,unique", 500, false, "constraint [hostname, unique]: write the operator as UNIQUE, since Marathon fails on lower case"},
		{`"container": "docker"`, "/container", "", 0, false, `container is "docker", a string: write an object; Marathon would read it as an empty one`},
		{`"container": {}`, "/container/docker", "not defined", 422, false, "container has no docker, hence no image: give one, or write type MESOS"},
		{`"version": "2020"`, "/version", "", 0, true, "version is ignored: Marathon fills it in; leave it out"},
		{`"tty": false`, "/tty", "", 0, true, "tty: false counts as absent, since Marathon loses it when its leader changes: leave it out"},
		{`"container": {"type": "MESOS", "docker": {"image": "a", "privileged": true}}`, "/container/docker/privileged", "", 0, true, "privileged is dropped by Marathon for a container of type MESOS, which runs without it: use type DOCKER, or remove it"},
		{`"container": {"docker": {"image": "a"}, "portMappings": [{}]}`, "/container/portMappings", "", 0, true, "portMappings is dropped on the host network: write networks with mode container/bridge, or portDefinitions in place of it"},
		{`"ports": [0, 0], "healthChecks": [{"path": "/"}]`, "/healthChecks(0)", badPortIndex, 422, false, "portIndex is missing, and the app has 2 ports: name one of them"},
		{`"portDefinitions": [{"name": "a"}, {}], "healthChecks": [{"path": "/"}]`, "/healthChecks(0)/portIndex", "", 0, true, "portIndex is missing and the app has 2 ports: the first, 0, is used; name one of them"},
		{`"role": "other"`, "/role", "got other, expected one of: [*, shop]", 422, false, `the role is "other": Marathon takes * or shop`},
		{`"unreachableStrategy": {"inactiveAfterSeconds": 5}`, "/unreachableStrategy/inactiveAfterSeconds", "inactiveAfterSeconds (5) must be less or equal to expungeAfterSeconds, which is 0", 422, false, "inactiveAfterSeconds is 5, more than expungeAfterSeconds, which is 0: a member left out counts as 0"},
		{`"fetch": [{"uri": "http://h/a b"}]`, "/fetch(0)/uri", "URI has invalid syntax.", 422, false, "the URI has ' ' in it, which must be written as %20"},
		{`"resourceLimits": {"mem": 64}`, "/resourceLimits/mem", "resource limit must be greater than or equal to requested resource (128.0)", 422, false, "the limit of mem is 64, less than the 128 requested"},
		{`"container": {"type": "MESOS", "volumes": [{"containerPath": "d", "persistent": {"size": 1}}]}`, "/container/volumes(0)/mode", `'mode' is undefined on object: {"containerPath":"d","persistent":{"size":1}}`, 422, false, "mode is missing: required, except on a secret volume"},
	} {
		t.Run(row.more, func(t *testing.T) {
			got := check(appRules, parseTree(t, []byte(`{"id": "/shop/x", "cmd": "sleep 100", `+row.more+`}`)), &c)
			for i := range got {
				got[i].Place, got[i].Read = "", nil
			}
			want := Violation{Path: row.path, Message: row.says, Warning: row.warning, Status: row.status, Answer: row.answer}
			if !slices.Contains(got, want) {
				t.Errorf("got %+v\nwant among them %+v", got, want)
			}
		})
	}
}

func TestAllViolationsAreCollected(t *testing.T) {
	_, violations := DecodeApp(parseTree(t, []byte(`{"cpus": -1, "mem": "2", "env": {"A": 1, "B": 2}, "healthChecks": [{"protocol": "X"}, {"path": 3}], "foo": 1}`)))
	var paths []string
	for _, v := range violations {
		paths = append(paths, v.Path)
	}
	want := []string{"/env/A", "/env/B", "/cpus", "/mem", "/healthChecks(0)/protocol", "/healthChecks(1)/path", "/foo", "/id"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
}

func TestDecodingKeepsTheTree(t *testing.T) {
	tree := parseTree(t, []byte(`{"id": "/a", "cmd": "sleep", "instances": 1.0, "user": null, "killSelection": "oldest_first", "version": "x"}`))
	before := asJSON(t, tree)
	app, _ := DecodeApp(tree)
	if after := asJSON(t, tree); after != before {
		t.Errorf("before %s, after %s", before, after)
	}
	if *app.Instances != 1 || *app.KillSelection != "OLDEST_FIRST" || app.User != nil {
		t.Errorf("got %s", asJSON(t, app))
	}
}

func TestExplain(t *testing.T) {
	for path, want := range map[string]string{
		"cpus": "app.cpus", "app.cpus": "app.cpus", "container.docker.image": "app.container.docker.image", "/healthChecks(0)/path": "app.healthChecks.path",
		"healthChecks/0/path": "app.healthChecks.path", "pod.containers.resources.cpus": "pod.containers.resources.cpus", "containers.resources.cpus": "pod.containers.resources.cpus",
		"scheduling.backoff.backoff": "pod.scheduling.backoff.backoff", "enforceRole": "group.enforceRole", "unreachableStrategy.expungeAfterSeconds": "app.unreachableStrategy.expungeAfterSeconds",
	} {
		if d, err := Explain(path); err != nil || d.Path != want {
			t.Errorf("%s: %s, %v; want %s", path, d.Path, err, want)
		}
	}
	if _, err := Explain("containr.docker.imge"); err == nil || !strings.Contains(err.Error(), "app.container.docker.image") {
		t.Errorf("got %v, want the nearest right path", err)
	}
	for wrong, right := range map[string]string{
		"cpu": "app.cpus", "hostPort": "app.container.portMappings.hostPort", "maxsize": "app.container.volumes.persistent.maxSize", "Instances": "app.instances",
		"portMapings": "app.container.portMappings", "image.id": "pod.containers.image.id", "healthCheck.path": "app.healthChecks.path", "pod.cpus": "pod.containers.resources.cpus", "app.contaner": "app.container", "enforcerole": "group.enforceRole",
		"docker.image": "app.container.docker.image", "scheduling.backof": "pod.scheduling.backoff",
	} {
		if _, err := Explain(wrong); err == nil || !strings.HasSuffix(err.Error(), "the nearest is "+right) {
			t.Errorf("%s: %v, want %s", wrong, err, right)
		}
	}
	for kind, member := range map[string]string{"app": "cmd", "pod": "containers", "group": "enforceRole"} {
		if d, err := Explain(kind); err != nil || d.Path != kind || !slices.Contains(d.Members, member) {
			t.Errorf("%s: %+v, %v", kind, d, err)
		}
	}
	if d, err := Explain("residency.taskLostBehavior"); err != nil || !d.Computed || d.Effect != effectNone {
		t.Errorf("what Marathon fills in: %+v, %v", d, err)
	}
	cpus, _ := Explain("cpus")
	least := 0.001
	if diff := cmp.Diff(FieldDoc{Path: "app.cpus", Type: "number", Unit: "shares", Default: "1.0", Min: &least, Effect: effectRestarts, Doc: "CPU of each task."}, cpus); diff != "" {
		t.Error(diff)
	}
	inner, _ := Explain("executorResources.mem")
	if inner.Since != "1.6" || inner.Effect != effectPhantom {
		t.Errorf("a member has neither since nor effect of its object: %+v", inner)
	}
}

func TestAllFieldsHaveOnePathEach(t *testing.T) {
	seen := map[string]bool{}
	for d := range AllFields() {
		if seen[d.Path] {
			t.Errorf("%s twice", d.Path)
		}
		seen[d.Path] = true
		if found, err := Explain(d.Path); err != nil || found.Path != d.Path {
			t.Errorf("%s: %v %v", d.Path, found.Path, err)
		}
	}
	if len(seen) < 250 {
		t.Errorf("%d fields", len(seen))
	}
}

func TestSupported(t *testing.T) {
	for version, says := range map[string]string{
		"1.5.0": "", "1.11.26": "", "1.10.26": "", "v1.9.109": "", "1.11.0-SNAPSHOT-g90619da7": "",
		"1.4.11": "Marathon 1.4.11 is too old: Pacer supports 1.5 to 1.11; upgrade Marathon", "0.15.3": "too old",
		"1.12.0": "too new", "": "cannot determine", "x.y": "cannot determine",
	} {
		err := (&Cluster{Version: version}).Supported()
		if (err == nil) != (says == "") || (err != nil && !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %v, want %q", version, err, says)
		}
	}
}

func TestFieldsTooNew(t *testing.T) {
	for _, row := range []struct{ version, more, path string }{
		{"1.8.222", `"role": "*"`, "/role"}, {"1.9.109", `"role": "*"`, ""},
		{"1.9.109", `"resourceLimits": {"mem": 256}`, "/resourceLimits"}, {"1.10.1", `"resourceLimits": {"mem": 256}`, ""},
		{"1.5.12", `"executorResources": {"cpus": 1}`, "/executorResources"}, {"1.7.1", `"check": {"exec": {"command": {"shell": "true"}}}`, "/check"},
		{"1.8.222", `"container": {"type": "MESOS", "linuxInfo": {"ipcInfo": {"mode": "PRIVATE"}}}`, "/container/linuxInfo/ipcInfo"},
		{"1.5.12", `"healthChecks": [{"protocol": "MESOS_TCP", "ipProtocol": "IPv4"}]`, "/healthChecks(0)/ipProtocol"},
		{"1.5.12", `"constraints": [["rack", "IS", "a"]]`, "/constraints"}, {"1.6.1", `"constraints": [["rack", "IS", "a"]]`, ""},
	} {
		c := DefaultCluster()
		c.Version = row.version
		errs := errorsOf(check(appRules, parseTree(t, []byte(`{"id": "/x", "cmd": "sleep 100", `+row.more+`}`)), &c))
		switch {
		case row.path == "" && len(errs) == 0:
		case row.path != "" && len(errs) == 1 && errs[0].Path == row.path && errs[0].Status == 0 && strings.Contains(errs[0].Message, row.version):
		default:
			t.Errorf("%s with %s: %+v", row.version, row.more, errs)
		}
	}
}

func TestRoles(t *testing.T) {
	c := DefaultCluster()
	c.MesosRole = "dev"
	c.EnforceRole = map[string]bool{"/shop": true, "/free": false}
	for _, row := range []struct {
		id, role string
		enforce  bool
	}{{"/x", "dev", false}, {"/shop/x", "shop", false}, {"/shop/a/x", "shop", false}, {"/free/x", "dev", false}, {"/new/x", "dev", false}, {"/new/x", "new", true}} {
		c.NewGroupEnforceRole = row.enforce
		if got := *NormaliseApp(&App{ID: row.id}, nil, &c).Role; got != row.role {
			t.Errorf("%s: app's role %s, want %s", row.id, got, row.role)
		}
		if got := *NormalisePod(&Pod{ID: row.id}, nil, &c).Role; got != row.role {
			t.Errorf("%s: pod's role %s, want %s", row.id, got, row.role)
		}
	}
	app := func(role string) []Violation {
		return errorsOf(ValidateApp(&App{ID: "/shop/x", Cmd: new("sleep 100"), Role: &role}, &c))
	}
	if len(app("dev")) != 1 || len(app("shop")) != 0 {
		t.Errorf("an enforcing group takes its own role and no other: %+v, %+v", app("dev"), app("shop"))
	}
	c.KeptRoles = map[string]string{"/shop/x": "dev"}
	if errs := app("dev"); len(errs) != 0 {
		t.Errorf("an app may keep the role it has: %+v", errs)
	}
}

func TestTrim(t *testing.T) {
	c := DefaultCluster()
	const live = `{"id":"/c/bridge/same","backoffFactor":1.15,"backoffSeconds":1,"container":{"type":"DOCKER","docker":{"forcePullImage":false,"image":"demoapp:v1","parameters":[],"privileged":false},"volumes":[],
		"portMappings":[{"containerPort":80,"hostPort":0,"labels":{},"name":"webapp","protocol":"tcp","servicePort":10011}]},"cpus":0.1,"disk":0.0,"executor":"",
		"healthChecks":[{"gracePeriodSeconds":300,"intervalSeconds":60,"maxConsecutiveFailures":3,"path":"/","portIndex":0,"protocol":"MESOS_HTTP","ipProtocol":"IPv4","timeoutSeconds":20,"delaySeconds":15}],
		"instances":1,"labels":{},"maxLaunchDelaySeconds":300,"mem":32.0,"gpus":0,"networks":[{"mode":"container/bridge"}],"requirePorts":false,"upgradeStrategy":{"maximumOverCapacity":1.0,"minimumHealthCapacity":1.0},
		"killSelection":"YOUNGEST_FIRST","unreachableStrategy":{"inactiveAfterSeconds":0,"expungeAfterSeconds":0},"role":"*"}`
	const want = `{"id":"/c/bridge/same","container":{"docker":{"image":"demoapp:v1"},"portMappings":[{"containerPort":80,"name":"webapp"}]},"cpus":0.1,` +
		`"healthChecks":[{"path":"/","portIndex":0,"protocol":"MESOS_HTTP"}],"mem":32,"networks":[{"mode":"container/bridge"}]}`
	if got := asJSON(t, TrimApp(unmarshal[App](t, []byte(live)), &c)); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestNormaliseGroup(t *testing.T) {
	c := DefaultCluster()
	c.EnforceRole = map[string]bool{"/q": true}
	top := NormaliseGroup(&Group{ID: "q/", Dependencies: []string{"../h", "/a"}, Apps: []App{{ID: "/q/x"}}}, &c)
	if diff := cmp.Diff(&Group{ID: "/q", Dependencies: []string{"/a", "/h"}, EnforceRole: new(true)}, top); diff != "" {
		t.Error(diff)
	}
	nested := NormaliseGroup(&Group{ID: "/q/r", EnforceRole: new(false)}, &c)
	if diff := cmp.Diff(&Group{ID: "/q/r"}, nested); diff != "" {
		t.Error(diff)
	}
	if errs := ValidateGroup(&Group{ID: "/q/r", EnforceRole: new(true)}, &c); len(errs) != 1 || errs[0].Path != "/enforceRole" {
		t.Errorf("enforceRole in a nested group: %+v", errs)
	}
}

// TestServicePorts is a trace measured on a running Marathon: one app, put in
// these forms one after the other. The next port to be given out is 10005.
func TestServicePorts(t *testing.T) {
	c := DefaultCluster()
	next := 10005
	var live *App
	for _, step := range []struct{ put, shown []int }{
		{[]int{0, 0, 0}, []int{10005, 10006, 10007}}, {[]int{0}, []int{10005}}, {[]int{0, 0}, []int{10005, 10006}},
		{[]int{15000, 0}, []int{15000, 10005}}, {[]int{0, 15000}, []int{10005, 15000}}, {[]int{9000, 0}, []int{9000, 10005}}, {[]int{0, 0}, []int{10005, 10006}},
	} {
		app := NormaliseApp(&App{ID: "/x", Cmd: new("sleep"), Ports: step.put}, live, &c)
		next = 10005
		ports := ServicePorts(app)
		for i := range ports { // what Marathon does with the rest: the lowest free ones
			for isZero(ports[i]) {
				if candidate := next; !slices.ContainsFunc(ports, func(p *int) bool { return *p == candidate }) {
					ports[i] = &candidate
				}
				next++
			}
		}
		SetServicePorts(app, ports)
		if got := definedPorts(app.PortDefinitions); !slices.Equal(got, step.shown) {
			t.Fatalf("%v: %v, want %v", step.put, got, step.shown)
		}
		live = app
	}
}

func TestAbsoluteID(t *testing.T) {
	for _, row := range []struct{ base, id, want string }{
		{"/", "a", "/a"}, {"/g", "a", "/g/a"}, {"/g", "/a", "/a"}, {"/g", "../h", "/h"}, {"/", "/e/../x", "/x"}, {"/", "//a//b/", "/a/b"},
		{"/", "/", "/"}, {"/", "", "/"}, {"/", "../..", "/"}, {"/g", ".", "/g"}, {"/", "/a.b/c", "/a.b/c"},
	} {
		if got := AbsoluteID(row.base, row.id); got != row.want {
			t.Errorf("%q in %q: %q, want %q", row.id, row.base, got, row.want)
		}
	}
}

// TestFieldDiffs: where and what differs is said as far down as it can be.
func TestFieldDiffs(t *testing.T) {
	c := DefaultCluster()
	normal := func(more string) *App {
		app, violations := DecodeApp(parseTree(t, []byte(`{"id": "/x", "cmd": "sleep 100"`+more+`}`)))
		if app == nil {
			t.Fatal(violations)
		}
		return NormaliseApp(app, nil, &c)
	}
	for _, row := range []struct{ live, desired, want string }{
		{``, `, "instances": 3`, `[{"path":"/instances","live":1,"desired":3}]`},
		{`, "env": {"A": "1", "B/C": "2"}`, `, "env": {"A": "3"}`, `[{"path":"/env/A","live":"1","desired":"3"},{"path":"/env/B~1C","live":"2","desired":null}]`},
		{``, `, "env": {"A": "1"}`, `[{"path":"/env/A","live":null,"desired":"1"}]`},
		{`, "healthChecks": [{"path": "/a"}]`, `, "healthChecks": [{"path": "/b"}]`, `[{"path":"/healthChecks/0/path","live":"/a","desired":"/b"}]`},
		{`, "constraints": [["a", "UNIQUE"]]`, `, "constraints": [["a", "UNIQUE"], ["b", "LIKE", "c"]]`, `[{"path":"/constraints","live":[["a","UNIQUE"]],"desired":[["a","UNIQUE"],["b","LIKE","c"]]}]`},
		{``, `, "unreachableStrategy": "disabled"`, `[{"path":"/unreachableStrategy","live":{"expungeAfterSeconds":0,"inactiveAfterSeconds":0},"desired":"disabled"}]`},
		{``, `, "resourceLimits": {"cpus": "unlimited"}`, `[{"path":"/resourceLimits","live":null,"desired":{"cpus":"unlimited"}}]`},
		{`, "user": ""`, ``, `[{"path":"/user","live":"","desired":null}]`},
	} {
		got := asJSON(t, CompareApps(normal(row.live), normal(row.desired)).Fields)
		if got != row.want {
			t.Errorf("%s to %s: got\n%s, want\n%s", row.live, row.desired, got, row.want)
		}
	}
}

func TestHashIsOfTheContent(t *testing.T) {
	a, b := &App{ID: "/x", Env: map[string]EnvValue{"A": {Value: "1"}, "B": {Value: "2"}}}, &App{ID: "/x", Env: map[string]EnvValue{}}
	for i := range 20 {
		b.Env[fmt.Sprint(i)] = EnvValue{}
	}
	for i := range 20 {
		delete(b.Env, fmt.Sprint(i))
	}
	b.Env["B"], b.Env["A"] = EnvValue{Value: "2"}, EnvValue{Value: "1"}
	if HashApp(a) != HashApp(b) || len(HashApp(a)) != 64 {
		t.Error("the same content has different hashes")
	}
	b.Env["A"] = EnvValue{Secret: "1"}
	if HashApp(a) == HashApp(b) {
		t.Error("a secret's name hashes as a value")
	}
}

// TestNoSecretInMessages: what env, labels, credentials and options hold stands
// in no message.
func TestNoSecretInMessages(t *testing.T) {
	const secret = "hunter2"
	tree := parseTree(t, []byte(`{"id": "/x", "env": {"A": ["hunter2"], "B": 1}, "labels": {"a": {"b": "hunter2"}},
		"container": {"docker": {"image": "a", "credential": {"principal": 1, "secret": ["hunter2"]}}, "volumes": [{"containerPath": "a", "external": {"options": "hunter2"}}]}}`))
	_, violations := DecodeApp(tree)
	if len(violations) < 5 {
		t.Fatalf("%+v", violations)
	}
	for _, v := range violations {
		if strings.Contains(v.Message, secret) {
			t.Errorf("%+v", v)
		}
	}
	b, err := json.Marshal(tree)
	if err != nil || !strings.Contains(string(b), secret) {
		t.Error("the test does not test")
	}
}

// TestUnknownFieldsHideNothing: what is wrong beside a misspelt field is told,
// too, in the same run.
func TestUnknownFieldsHideNothing(t *testing.T) {
	d := NewReader().Read(oneFile("a.json", `[{"id": "/x", "cmd": "sleep 100", "instnces": 1, "constraints": [["rack", "GROUP_BY"]], "container": {"type": "MESOS", "volumes": [{"containerPath": "a", "secret": "s", "mod": "RO"}]}},
		{"id": "/y", "containers": [{"name": "c", "resources": {"cpu": 1}, "volumeMounts": [{"name": "v", "mountPath": "a"}]}]}]`), Options{})
	var paths []string
	for _, p := range d.Problems {
		paths = append(paths, p.ID+" "+p.Path)
	}
	slices.Sort(paths)
	want := []string{"/x /constraints", "/x /container/secretVolumes(container)", "/x /container/volumes(0)", "/x /container/volumes(0)/mod", "/x /instnces",
		"/y /containers(0)/resources/cpu", "/y /containers(0)/volumeMounts(0)/name"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	if len(d.Items) > 0 || !d.Broken["/x"] || !d.Broken["/y"] {
		t.Errorf("they are not taken: %+v", d)
	}
}

// TestPlaces: a person is sent to the line, though Marathon names no place, or a
// wider one.
func TestPlaces(t *testing.T) {
	d := NewReader().Read(oneFile("a.yaml", `id: /x
cmd: sleep 100
constraints:
- [hostname, UNIQUE]
- [rack, like, a]
- [rack, GROUP_BY]
healthChecks:
- protocol: COMMAND
---
id: /y
cmd: sleep 100
constraints:
- [hostname, UNIQUE]
- [rack, MAX_PER, a]
`), Options{})
	got := map[string]int{}
	for _, p := range d.Problems {
		got[p.ID+" "+p.Path+" "+p.Message[:12]] = p.Line
	}
	want := map[string]int{"/x / constraint [": 5, "/x /constraints constraint [": 6, "/x / healthChecks": 8, "/y /constraints constraint [": 14}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%v", diff, d.Problems)
	}
}

// TestGroupBy: the number of groups that Marathon divides by.
func TestGroupBy(t *testing.T) {
	for _, row := range []struct{ version, value, want string }{
		{"1.11.26", ``, "mistake"}, {"1.11.26", `, "0"`, "mistake"}, {"1.11.26", `, "-1"`, "mistake"}, {"1.11.26", `, "3"`, ""}, {"1.10.26", ``, "mistake"},
		{"1.9.109", ``, "warning"}, {"1.9.109", `, "3"`, ""}, {"1.9.109", `, "three"`, "422"},
	} {
		c := DefaultCluster()
		c.Version = row.version
		found := check(appRules, parseTree(t, []byte(`{"id": "/x", "cmd": "sleep 100", "constraints": [["rack", "GROUP_BY"`+row.value+`]]}`)), &c)
		got := ""
		switch {
		case len(found) == 1 && found[0].Warning:
			got = "warning"
		case len(found) == 1:
			got = refusal(found[0])
		}
		if got != row.want || len(found) > 1 {
			t.Errorf("%s on %s: %q %+v, want %q", row.value, row.version, got, found, row.want)
		}
	}
}

// TestDefaultsOfOldReleases: what an old Marathon fills in by itself differs, and
// is neither a difference nor written into an export.
func TestDefaultsOfOldReleases(t *testing.T) {
	for _, row := range []struct {
		version, app, pod string // more of what Marathon shows for an app and a pod that say nothing
	}{
		{"1.5.0", `"maxLaunchDelaySeconds": 3600, "unreachableStrategy": {"inactiveAfterSeconds": 300, "expungeAfterSeconds": 600}`,
			`"scheduling": {"backoff": {"backoff": 1, "backoffFactor": 1.15, "maxLaunchDelay": 3600}, "unreachableStrategy": {"inactiveAfterSeconds": 300, "expungeAfterSeconds": 600}}`},
		{"1.5.12", `"maxLaunchDelaySeconds": 3600, "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0}`, `"scheduling": {"backoff": {"maxLaunchDelay": 3600}}`},
		{"1.7.216", `"maxLaunchDelaySeconds": 3600`, `"scheduling": {"backoff": {"maxLaunchDelay": 3600}}, "executorResources": {"cpus": 0.1, "mem": 32, "disk": 10}`},
		{"1.8.222", `"maxLaunchDelaySeconds": 300`, `"scheduling": {"backoff": {"maxLaunchDelay": 300}}`},
		{"1.11.26", `"maxLaunchDelaySeconds": 300, "role": "*"`, `"scheduling": {"backoff": {"maxLaunchDelay": 300}}, "role": "*"`},
	} {
		c := DefaultCluster()
		c.Version = row.version
		const cmd, containers = `{"id": "/x", "cmd": "sleep 100"`, `{"id": "/x", ` + onePod
		live := NormaliseApp(unmarshal[App](t, []byte(cmd+`, "portDefinitions": [{"port": 10001, "name": "default"}], `+row.app+`}`)), nil, &c)
		if got := CompareApps(live, NormaliseApp(unmarshal[App](t, []byte(cmd+`}`)), live, &c)); got.Effect != EffectNone {
			t.Errorf("%s: %+v", row.version, got.Fields)
		}
		if got, want := asJSON(t, TrimApp(live, &c)), `{"id":"/x","cmd":"sleep 100"}`; got != want {
			t.Errorf("%s: exported as %s", row.version, got)
		}
		livePod := NormalisePod(unmarshal[Pod](t, []byte(containers+`, `+row.pod+`}`)), nil, &c)
		if got := ComparePods(livePod, NormalisePod(unmarshal[Pod](t, []byte(containers+`}`)), nil, &c)); got.Effect != EffectNone {
			t.Errorf("%s: %+v", row.version, got.Fields)
		}
		if TrimPod(livePod, &c).Scheduling != nil {
			t.Errorf("%s: exported as %s", row.version, asJSON(t, TrimPod(livePod, &c)))
		}
	}
}

// TestAcceptedRolesByRelease: taken, taken out, refused.
func TestAcceptedRolesByRelease(t *testing.T) {
	for _, row := range []struct{ version, roles, want, says string }{
		{"1.8.222", `["*", "other"]`, `["*","other"]`, ""},
		{"1.9.109", `["*", "other"]`, `["*"]`, "warning"}, {"1.9.109", `["other"]`, ``, "500"}, {"1.9.109", `["dev", "*", "*"]`, `["*","dev"]`, ""},
		{"1.10.26", `["*", "other"]`, ``, "422"}, {"1.10.26", `["dev"]`, `["dev"]`, ""},
	} {
		c := DefaultCluster()
		c.Version, c.MesosRole = row.version, "dev"
		app, _ := DecodeApp(parseTree(t, []byte(`{"id": "/x", "cmd": "sleep 100", "acceptedResourceRoles": `+row.roles+`}`)))
		says := ""
		for _, v := range ValidateApp(app, &c) {
			if says = refusal(v); v.Warning {
				says = "warning"
			}
		}
		if says != row.says {
			t.Errorf("%s on %s: %q, want %q", row.roles, row.version, says, row.says)
		}
		if got := asJSON(t, NormaliseApp(app, nil, &c).AcceptedResourceRoles); row.want != "" && got != row.want {
			t.Errorf("%s on %s: %s, want %s", row.roles, row.version, got, row.want)
		}
	}
}

// TestMessagesAreOneLine: names are somebody else's text, too.
func TestMessagesAreOneLine(t *testing.T) {
	c := DefaultCluster()
	hostile := "x\ny: error\x1b[2J\u202e"
	b, err := json.Marshal(map[string]any{
		"id": "/x", "cmd": "sleep 100", hostile: 1, "env": map[string]any{hostile: 1}, "labels": map[string]any{strings.Repeat("long ", 1000): 1},
		"constraints": []any{[]any{"a", hostile}},
	})
	if err != nil {
		t.Fatal(err)
	}
	found := check(appRules, parseTree(t, b), &c)
	app, _ := DecodeApp(parseTree(t, []byte(`{"id": "/x", "cmd": "sleep 100", "constraints": [["a", "x\u001b[2J\n"]], "env": {"A\n": {"secret": "s\n"}}}`)))
	found = append(found, ValidateApp(app, &c)...)
	if len(found) < 6 {
		t.Errorf("%+v", found)
	}
	for _, v := range found {
		if strings.ContainsAny(v.Message, "\n\x1b\u202e") || len(v.Message) > 400 {
			t.Errorf("%q", v.Message)
		}
	}
}

// TestPodWarnings: what Marathon takes in a pod without a word, and nobody means.
func TestPodWarnings(t *testing.T) {
	c := DefaultCluster()
	for more, path := range map[string]string{
		podMore(`, "check": {"exec": {"command": {"shell": "true"}}}`, ""):                                            "/containers(0)/check",
		podMore("", `, "scheduling": {"unreachableStrategy": {"inactiveAfterSeconds": 5}}`):                           "/scheduling/unreachableStrategy/inactiveAfterSeconds",
		podMore("", `, "scheduling": {"unreachableStrategy": "off"}`):                                                 "/scheduling/unreachableStrategy",
		podMore("", `, "version": "2020-01-01T00:00:00.000Z"`):                                                        "/version",
		podMore("", `, "scheduling": {"unreachableStrategy": {"expungeAfterSeconds": 5}}`):                            "",
		podMore("", `, "scheduling": {"placement": {"constraints": [{"fieldName": "rack", "operator": "CLUSTER"}]}}`): "",
	} {
		var paths []string
		for _, v := range check(podRules, parseTree(t, []byte(`{"id": "/shop/x", `+more+`}`)), &c) {
			if !v.Warning {
				t.Errorf("%s: %+v", more, v)
			}
			paths = append(paths, v.Path)
		}
		if strings.Join(paths, " ") != path {
			t.Errorf("%s: %q, want %q", more, paths, path)
		}
	}
}
