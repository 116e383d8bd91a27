package local

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/api"
	"github.com/pacer-gitops/pacer/controller/local/scheduler"
	"github.com/pacer-gitops/pacer/controller/local/state"
	"pgregory.net/rapid"
)

func ids(r *rig, path string) string {
	r.Helper()
	var out []string
	for _, a := range r.call(200, "GET", path, "")["apps"].([]any) {
		out = append(out, a.(map[string]any)["id"].(string))
	}
	return strings.Join(out, " ")
}

func TestAppsAreFiltered(t *testing.T) {
	r := newRig(t)
	r.call(200, "PUT", "/v2/apps", `[{"id":"/a","cmd":"run one","instances":0,"labels":{"env":"prod","tier":"1"}},
		{"id":"/b/a","cmd":"run two","instances":0,"labels":{"env":"test"}},{"id":"/c","cmd":"sleep","instances":0}]`)
	for query, want := range map[string]string{
		"": "/a /b/a /c", "id=A": "/a /b/a", "cmd=RUN": "/a /b/a", "label=env": "/a /b/a", "label=env%3D%3Dprod": "/a",
		"label=env!%3Dprod": "/b/a", "label=env%20in%20(prod,test),tier": "/a", "label=env%20notin%20(prod)": "/b/a", "id=b&cmd=one": "",
	} {
		if got := ids(r, "/v2/apps?"+query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	r.call(422, "GET", "/v2/apps?label=env%20inn%20(a", "")
}

// TestWhatIsTakenInSilence: where Marathon reads a value of another shape as an empty
// object, or as less than is there, it takes it, also in a list, by every door.
// Source: its readers, which are made from its RAML types and read objects member by
// member.
func TestWhatIsTakenInSilence(t *testing.T) {
	const docker = `"container":{"type":"DOCKER","docker":{"image":"i"},"portMappings":[%s]},"networks":[{"mode":"container/bridge"}]`
	taken := func(app string) func(odd, plain string) [2]string {
		return func(odd, plain string) [2]string {
			return [2]string{fmt.Sprintf(app, odd), fmt.Sprintf(app, plain)}
		}
	}
	for name, bodies := range map[string][2]string{
		"a port definition":        taken(`"cmd":"sleep 1","portDefinitions":[%s]`)(`{"port":0,"name":"a"},"x"`, `{"port":0,"name":"a"},{}`),
		"null in a list":           taken(`"cmd":"sleep 1","portDefinitions":[%s]`)(`null`, `{}`),
		"a list in a list":         taken(docker)(`[],{"containerPort":80}`, `{},{"containerPort":80}`),
		"a health check":           taken(`"cmd":"sleep 1","healthChecks":[%s]`)(`7`, `{}`),
		"a readiness check":        taken(`"cmd":"sleep 1","portDefinitions":[{"port":0,"name":"http-api"}],"readinessChecks":[%s]`)(`true`, `{}`),
		"several":                  taken(`"cmd":"sleep 1","portDefinitions":[%s]`)(`"x",1,{"nme":"b"}`, `{},{},{}`),
		"a field nobody knows":     taken(docker)(`{"containerPort":80,"hostprot":1}`, `{"containerPort":80}`),
		"what is in no list":       taken(`"cmd":"sleep 1","unreachableStrategy":%s`)(`[]`, `{}`),
		"a command in two forms":   taken(`"cmd":"sleep 1","check":{"exec":{"command":%s}}`)(`{"shell":"true","argv":["false"]}`, `{"shell":"true"}`),
		"discovery":                taken(`"cmd":"sleep 1","ipAddress":{"networkName":"n","discovery":%s}`)(`"x"`, `{}`),
		"fields beside each other": taken(`"cmd":"sleep 1","healthChecks":[%s]`)(`"x",{"protocl":"TCP"}`, `{},{}`),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			seen := func(id string) string {
				a := r.app(id)
				for _, key := range []string{"id", "version", "versionInfo", "deployments", "tasks", "tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy", "tasksStats"} {
					delete(a, key)
				}
				text, err := json.Marshal(a)
				if err != nil {
					t.Fatal(err)
				}
				return regexp.MustCompile(`"(port|servicePort)":1\d{4}`).ReplaceAllString(string(text), `"$1":0`)
			}
			for i, body := range bodies {
				put := func(want int, method, path, id string) {
					t.Helper()
					text := fmt.Sprintf(`{"id":%q,"instances":0,%s}`, id, body)
					switch path {
					case "/v2/apps":
						if method == http.MethodPut {
							text = `[{"id":"/first","cmd":"sleep 1","instances":0},` + text + `]`
						}
					case "/v2/groups":
						text = fmt.Sprintf(`{"id":"/group%d","apps":[%s]}`, i, text)
					}
					r.call(want, method, path, text)
				}
				put(201, http.MethodPost, "/v2/apps", fmt.Sprintf("/post%d", i))
				put(200, http.MethodPut, "/v2/apps", fmt.Sprintf("/array%d", i))
				put(201, http.MethodPut, fmt.Sprintf("/v2/apps/single%d", i), fmt.Sprintf("/single%d", i))
				put(200, http.MethodPut, fmt.Sprintf("/v2/apps/single%d", i), fmt.Sprintf("/single%d", i))
				put(201, http.MethodPost, "/v2/groups", fmt.Sprintf("/group%d/app", i))
			}
			for _, id := range []string{"/post%d", "/array%d", "/single%d", "/group%d/app"} {
				if odd, plain := seen(fmt.Sprintf(id, 0)), seen(fmt.Sprintf(id, 1)); odd != plain {
					t.Errorf("%s is read as\n%s\nwant\n%s", fmt.Sprintf(id, 0), odd, plain)
				}
			}
		})
	}
}

// TestAPodVolumeOfNoKind is one that lasts as long as the pod.
func TestAPodVolumeOfNoKind(t *testing.T) {
	r := newRig(t)
	const pod = `{"id":"/p%d","scaling":{"kind":"fixed","instances":0},"volumes":[%s],"containers":[{"name":"c","resources":{"cpus":0.1,"mem":32},
		"exec":{"command":{"shell":"sleep 1"}},"volumeMounts":[{"name":"v","mountPath":"v"}]}]}`
	for i, volume := range []string{`{"name":"v","persistent":{"size":"x"}}`, `{"name":"v","host":7}`, `{"name":"v"}`} {
		r.call(201, "POST", "/v2/pods", fmt.Sprintf(pod, i, volume))
		if got := fmt.Sprint(r.call(200, "GET", fmt.Sprintf("/v2/pods/p%d", i), "")["volumes"]); got != "[map[name:v]]" {
			t.Errorf("%s is read as %s", volume, got)
		}
	}
	for i, volume := range []string{`{"persistent":{"size":"x"}}`, `7`, `{"name":[],"host":7}`} { // without the name that each has
		r.call(422, "POST", "/v2/pods", fmt.Sprintf(pod, 9+i, volume))
	}
}

func TestGroupUpdatesReplaceWhatTheyName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		const app = `{"id":"%s","cmd":"sleep 1","instances":0}`
		r.call(200, "PUT", "/v2/groups/g", fmt.Sprintf(`{"apps":[`+app+`,`+app+`],"groups":[{"id":"s","apps":[`+app+`]},{"id":"u","apps":[`+app+`]}]}`, "a", "b", "c", "d"))
		all := func(want string) {
			t.Helper()
			if got := ids(r, "/v2/apps"); got != want {
				t.Errorf("apps %q, want %q", got, want)
			}
		}
		all("/g/a /g/b /g/s/c /g/u/d")
		r.call(200, "PUT", "/v2/groups/g", `{}`)
		all("/g/a /g/b /g/s/c /g/u/d")
		r.call(200, "PUT", "/v2/groups/g", fmt.Sprintf(`{"apps":[`+app+`]}`, "b"))
		all("/g/b /g/s/c /g/u/d")
		r.call(200, "PUT", "/v2/groups/g", `{"groups":[{"id":"s"}]}`)
		all("/g/b /g/s/c")
		v := r.call(200, "GET", "/v2/groups?embed=none", "")["version"].(string)
		r.call(200, "PUT", "/v2/groups/g", `{"apps":[]}`)
		all("/g/s/c")
		r.call(200, "PUT", "/v2/groups/g", `{"version":"`+v+`"}`)
		all("/g/b /g/s/c")
		r.call(422, "PUT", "/v2/groups/g", `{"version":"2001-01-01T00:00:00.000Z"}`)
		r.call(409, "POST", "/v2/groups", `{"id":"/g"}`)
		r.call(201, "POST", "/v2/groups", `{"id":"/n"}`)
		r.call(200, "DELETE", "/v2/groups/g", "")
		all("")
		r.call(404, "DELETE", "/v2/groups/g", "")
	})
}

func TestAnAppRollsBackToAnOldVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.call(201, "POST", "/v2/apps", `{"id":"/v","cmd":"one 1"}`)
		r.settled()
		v := r.app("/v")["version"].(string)
		r.call(200, "PUT", "/v2/apps//v", `{"cmd":"two 2"}`)
		r.settled()
		r.call(422, "PUT", "/v2/apps//v", `{"version":"`+v+`","cmd":"three"}`)
		r.call(404, "PUT", "/v2/apps//v", `{"version":"2001-01-01T00:00:00.000Z"}`)
		r.call(200, "PUT", "/v2/apps//v", `{"version":"`+v+`"}`)
		r.settled()
		if app := r.app("/v"); app["cmd"] != "one 1" || app["version"] == v {
			t.Errorf("cmd %v in version %v", app["cmd"], app["version"])
		}
		if old := r.call(200, "GET", "/v2/apps//v/versions/"+v, ""); old["cmd"] != "one 1" {
			t.Errorf("the old version is %v", old)
		}
	})
}

func TestTooManyDeploymentsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.MaxRunningDeployments = 2 })
		for n := range 2 {
			r.call(201, "POST", "/v2/apps", fmt.Sprintf(`{"id":"/m%d","cmd":"sleep 1","cpus":99999}`, n))
		}
		r.call(403, "POST", "/v2/apps", `{"id":"/m3","cmd":"sleep 1"}`)
		// Neither force nor a rollback nor a write that changes nothing gets past it:
		// only a cancel makes room.
		r.call(403, "DELETE", "/v2/apps//m0", "")
		r.call(403, "PUT", "/v2/apps//m0?force=true", `{"cpus":1}`)
		r.call(403, "PUT", "/v2/apps", `[]`)
		id := r.call(200, "GET", "/v2/deployments", "")[""].([]any)[0].(map[string]any)["id"].(string)
		r.call(403, "DELETE", "/v2/deployments/"+id, "")
		r.call(202, "DELETE", "/v2/deployments/"+id+"?force=true", "")
		r.call(201, "POST", "/v2/apps", `{"id":"/m3","cmd":"sleep 1"}`)
	})
}

func TestVersionsAreKept(t *testing.T) {
	r := newRig(t)
	r.call(201, "POST", "/v2/apps", `{"id":"/v","cmd":"sleep 1","instances":0}`)
	for n := range state.KeptVersions + 5 {
		r.call(200, "PUT", "/v2/apps//v", fmt.Sprintf(`{"env":{"N":"%d"}}`, n))
		r.settled()
	}
	if vs := r.call(200, "GET", "/v2/apps//v/versions", "")["versions"].([]any); len(vs) != state.KeptVersions {
		t.Errorf("%d versions are kept, want %d", len(vs), state.KeptVersions)
	}
}

func TestMethodsAndMedia(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		want                       int
		method, path, accept, kind string
	}{
		{406, "GET", "/v2/apps", "text/html", ""}, {405, "GET", "/v2/events", "application/json", ""}, {405, "DELETE", "/v2/apps", "", ""},
		{415, "POST", "/v2/apps", "", "text/plain"}, {400, "POST", "/v2/apps", "", "application/json"}, {500, "GET", "/v3", "", ""},
		{200, "GET", "/ping", "", ""}, {200, "GET", "/metrics", "", ""}, {200, "GET", "/v2/leader", "", ""}, {200, "HEAD", "/v2/pods", "", ""},
		{404, "GET", "/v2/pods/none", "", ""}, {404, "GET", "/v2/groups/none", "", ""}, {404, "GET", "/v2/apps/none/tasks", "", ""},
	} {
		q, err := http.NewRequestWithContext(t.Context(), c.method, "http://marathon"+c.path, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Accept", c.accept)
		q.Header.Set("Content-Type", c.kind)
		if w := r.do(q); w.Code != c.want {
			t.Errorf("%s %s: %d, want %d: %s", c.method, c.path, w.Code, c.want, w.Body)
		}
	}
}

func TestAClosedMarathonSaysSo(t *testing.T) {
	r := newRig(t)
	r.call(201, "POST", "/v2/apps", `{"id":"/x","cmd":"sleep 1","labels":{"local.slow-to-die":"5"}}`)
	r.settled()
	if err := r.m.Close(); err != nil {
		t.Fatal(err)
	}
	r.call(503, "DELETE", "/v2/apps//x", "")
}

func TestPortsRunOutAndComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.Agent.PortMin, o.Agent.PortMax = 32701, 32704 })
		r.call(201, "POST", "/v2/apps", `{"id":"/x","cmd":"sleep 1","instances":9}`)
		synctest.Wait()
		few := len(r.fake.running("/x")) // fewer than four where others use the ports
		if few > 4 {
			t.Fatalf("%d tasks have got one of four ports", few)
		}
		q := r.call(200, "GET", "/v2/queue?embed=lastUnusedOffers", "")["queue"].([]any)[0].(map[string]any)
		if reasons := q["lastUnusedOffers"].([]any)[0].(map[string]any)["reason"].([]any); reasons[0] != state.InsufficientPorts {
			t.Errorf("reasons %v", reasons)
		}
		r.call(200, "PUT", "/v2/apps//x?force=true", fmt.Sprintf(`{"instances":%d}`, few))
		r.settled()
		r.call(200, "DELETE", "/v2/apps//x", "")
		r.settled()
		r.call(201, "POST", "/v2/apps", fmt.Sprintf(`{"id":"/y","cmd":"sleep 1","instances":%d}`, few))
		r.settled() // with the ports that were given back
	})
}

// TestManyApps holds the promise of speed, with room for the race detector and
// for a machine that is busy.
func TestManyApps(t *testing.T) {
	r := newRig(t)
	const n = 10_000
	at := time.Now()
	r.call(200, "PUT", "/v2/apps?partialUpdate=false", manyApps(n))
	t.Logf("creating %d apps took %v", n, time.Since(at))
	r.settled()
	at = time.Now()
	w := r.raw("GET", "/v2/apps", "")
	t.Logf("reading them took %v, %d bytes", time.Since(at), w.Body.Len())
	at = time.Now()
	w = r.raw("GET", "/v2/apps", "")
	t.Logf("reading them again took %v", time.Since(at))
	var all struct {
		Apps []json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil || len(all.Apps) != n {
		t.Fatalf("%d apps, %v", len(all.Apps), err)
	}
	at = time.Now()
	r.call(200, "PUT", "/v2/apps//many/g1/a1", `{"env":{"A":"2"}}`)
	t.Logf("changing one took %v", time.Since(at))
	at = time.Now()
	r.raw("GET", "/v2/groups", "")
	t.Logf("the group tree took %v", time.Since(at))
}

// randomWrite is one write, and what the world does about it.
type randomWrite struct {
	method, path, body string
	closed, wait       bool // nothing starts or ends meanwhile; it comes to rest
}

func drawWrite(p *rapid.T) randomWrite {
	w := randomWrite{method: "PUT", closed: rapid.Bool().Draw(p, "closed"), wait: rapid.Bool().Draw(p, "wait")}
	w.path = "/v2/apps/" + rapid.SampledFrom([]string{"/a", "/b", "/g/c"}).Draw(p, "id")
	switch rapid.IntRange(0, 4).Draw(p, "what") {
	case 0:
		w.method = "DELETE"
	case 1:
		w.method, w.path = "POST", w.path+"/restart"
	default:
		portion := rapid.SampledFrom([]float64{0, 0.5, 1})
		w.body = fmt.Sprintf(`{"cmd":"%s","instances":%d,"upgradeStrategy":{"minimumHealthCapacity":%v,"maximumOverCapacity":%v}}`,
			rapid.SampledFrom([]string{"one", "two"}).Draw(p, "cmd"), rapid.IntRange(0, 4).Draw(p, "instances"),
			portion.Draw(p, "healthy"), portion.Draw(p, "over"))
	}
	if w.method != "DELETE" && rapid.Bool().Draw(p, "force") {
		w.path += "?force=true"
	}
	return w
}

// TestCountsAlwaysComeTrue plays random writes and wants, once all is quiet,
// exactly the tasks that the definitions ask for.
func TestCountsAlwaysComeTrue(t *testing.T) {
	rapid.Check(t, func(p *rapid.T) {
		writes := make([]randomWrite, rapid.IntRange(1, 12).Draw(p, "writes"))
		for n := range writes {
			writes[n] = drawWrite(p)
		}
		var wrong string
		synctest.Test(t, func(t *testing.T) { wrong = playWrites(newRig(t), writes) })
		if wrong != "" {
			p.Fatal(wrong)
		}
	})
}

func playWrites(r *rig, writes []randomWrite) string {
	for _, w := range writes {
		r.fake.gate(w.closed)
		r.raw(w.method, w.path, w.body)
		if w.wait {
			synctest.Wait()
		}
	}
	r.fake.gate(false)
	time.Sleep(2 * scheduler.CountInterval) // a forced write may have cancelled what others relied on
	synctest.Wait()
	var wrong string
	r.m.scheduler.Do(func() { wrong = r.miscounted() })
	return wrong
}

// miscounted says where what runs is not what the definitions ask for.
func (r *rig) miscounted() string {
	m, total := r.m.scheduler, 0
	for id, s := range m.Versions.Root.Specs {
		if got := len(r.fake.running(id)); got != s.Instances() {
			return fmt.Sprintf("%s has %d tasks, want %d", id, got, s.Instances())
		}
		total += s.Instances()
	}
	if n := len(r.fake.tasks); n != total || len(m.Deployments.Active()) != 0 {
		return fmt.Sprintf("%d tasks in all, want %d; %d deployments", n, total, len(m.Deployments.Active()))
	}
	tasks := 0
	for _, is := range m.Instances.All() {
		for _, i := range is {
			tasks += len(i.Tasks)
		}
	}
	used := m.Agent.Resources().Minus(m.Agent.Free()).CPUs
	if tasks != len(r.fake.tasks) || used < float64(tasks)-0.001 || used > float64(tasks)+0.001 {
		return fmt.Sprintf("%d tasks are accounted with %v cpus, want %d", tasks, used, len(r.fake.tasks))
	}
	return ""
}

func TestThePageNamesWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("../../docs/local.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{scheduler.LabelNeverStart, scheduler.LabelFailAtOnce, scheduler.LabelFailAfter, scheduler.LabelNeverHealthy, scheduler.LabelSlowToDie,
		api.FailuresPath, api.FailuresPath + "/streams", api.FailuresPath + "/lock", "waitsFor", "/files/read"} {
		if !strings.Contains(string(text), name) {
			t.Errorf("docs/local.md does not name %s", name)
		}
	}
}

// FuzzRequests sends any request to a Marathon with an app and a pod in it: no
// answer is a fault of its own, and every body is JSON.
func FuzzRequests(f *testing.F) {
	for _, q := range [][3]string{
		{"GET", "/v2/apps//a?embed=tasks&label=a", ""}, {"PUT", "/v2/apps//a?force=true", `{"instances":2,"env":{"A":null}}`},
		{"PUT", "/v2/apps", `[{"id":"/a","cmd":"x y"},{"id":"b"}]`}, {"POST", "/v2/apps", `{"id":"/c","args":["a"],"container":{"type":"MESOS","volumes":[{}]}}`},
		{"PUT", "/v2/groups/g?dryRun=true", `{"apps":[{"id":"x","cmd":"yy"}],"groups":[{"id":"s"}],"scaleBy":2}`}, {"PATCH", "/v2/groups/g", `{"enforceRole":true}`},
		{"PUT", "/v2/pods//p", `{"id":"/p","containers":[{"name":"c","healthCheck":{"exec":{}},"endpoints":[{}]}],"scheduling":{"placement":{"constraints":[{}]}}}`},
		{"DELETE", "/v2/pods//p::instances/p.instance-x", ""}, {"DELETE", "/v2/apps//a/tasks?scale=true", ""}, {"POST", "/v2/tasks/delete", `{"ids":["a.instance-1._app.1"]}`},
		{"DELETE", "/v2/groups?force=true", ""}, {"GET", "/v2/queue?embed=lastUnusedOffers", ""}, {"POST", "/local/failures", `{"half":true}`}, {"GET", "/files/browse?path=..", ""},
	} {
		f.Add(q[0], q[1], q[2])
	}
	f.Fuzz(func(t *testing.T, method, target, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") || strings.HasPrefix(u.Path, "/v2/events") || !regexp.MustCompile(`^[A-Z]{1,9}$`).MatchString(method) {
			return
		}
		m, err := newMarathon(Options{Executor: (&fake{}).make}, &healthy{code: 200})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		send := func(method string, u *url.URL, body string) *httptest.ResponseRecorder {
			q := &http.Request{Method: method, URL: u, Host: "marathon", Header: http.Header{}, RemoteAddr: "127.0.0.1:1", Body: io.NopCloser(strings.NewReader(body))}
			w := httptest.NewRecorder()
			m.Handler().ServeHTTP(w, q.WithContext(t.Context()))
			return w
		}
		send("PUT", &url.URL{Path: "/v2/apps"}, `[{"id":"/a","cmd":"sleep 1"},{"id":"/g/a","cmd":"sleep 1","instances":0}]`)
		send("POST", &url.URL{Path: "/v2/pods"}, `{"id":"/p","containers":[{"name":"c","exec":{"command":{"shell":"x"}},"resources":{"cpus":0.1,"mem":8}}]}`)
		w := send(method, u, body)
		if w.Code == 500 && !regexp.MustCompile(`URI not found|Boxed|Invalid combination|network|operator|docker|HTTPS|constraint|portMappings|fetch|already in use`).MatchString(w.Body.String()) {
			t.Errorf("%s %s %s: %d %s", method, target, body, w.Code, w.Body)
		}
		if text := w.Body.Bytes(); len(text) > 0 && strings.HasPrefix(u.Path, "/v2/") && !json.Valid(text) {
			t.Errorf("%s %s: %q is no JSON", method, target, text)
		}
		for _, path := range []string{"/v2/apps", "/v2/groups", "/v2/pods/::status", "/v2/queue", "/v2/deployments", "/v2/tasks"} {
			if w := send("GET", &url.URL{Path: path}, ""); w.Code != 200 || !json.Valid(w.Body.Bytes()) {
				t.Errorf("after %s %s %s: GET %s: %d %s", method, target, body, path, w.Code, w.Body)
			}
		}
	})
}
