package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/executor"
)

// Siblings of the recorded conversations: what a client can ask besides, and
// what Marathon's source (commit 90619da7, api/v2) says that it answers.

func TestSmallAnswersAreMarathons(t *testing.T) {
	r := newRig(t)
	r.call(201, "POST", "/v2/apps", `{"id":"/p/a","cmd":"sleep 1","instances":0}`)
	const unknownTask = `p_a.instance-083d6426-db88-4187-a74d-c3a5c73c6bcf._app.1`
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string // in the answer
	}{
		{"GET", "/v2/apps//p/a/versions/2001-01-01T00:00:00Z", "", 404, `{"message":"App '/p/a' does not exist in version 2001-01-01T00:00:00.000Z","details":[]}`},
		{"GET", "/v2/groups/p/versions/2001-01-01T00:00:00.000Z", "", 404, `{"message":"Group '/p' does not exist","details":[]}`},
		{"GET", "/v2/groups/none/apps", "", 200, `[]`},
		{"GET", "/v2/groups/p/apps", "", 200, `[{"id":"/p/a",`},
		{"GET", "/v2/groups/apps?embed=group.apps.deployments", "", 200, `"deployments":[]}]`},
		{"GET", "/v2/apps//", "", 404, `{"message":"App '/' does not exist","details":[]}`},
		{"GET", "/v2/apps/", "", 200, `{"apps":[{"id":"/p/a",`},
		{"GET", "/v2/apps/%2Fp%2Fa", "", 200, `{"app":{"id":"/p/a",`},
		{"GET", "/v2/apps/p/*/tasks", "", 200, `{"tasks":[]}`},
		{"GET", "/v2/apps/none/*/tasks", "", 404, `{"message":"Group '/none' does not exist","details":[]}`},
		{"GET", "/v2/apps//p/a/restart", "", 405, `{"message":"Method Not Allowed"}`},
		{"DELETE", "/v2/apps//p/a/restart", "", 404, `{"message":"App '/p/a/restart' does not exist"}`},
		{"POST", "/v2/apps/none/restart", "", 404, `{"message":"App '/none' does not exist"}`},
		{"DELETE", "/v2/apps//p/a/tasks/" + unknownTask, "", 404, `{"message":"Task '` + unknownTask + `' does not exist","details":[]}`},
		{"DELETE", "/v2/apps//p/a/tasks?scale=true&wipe=true", "", 400, `{"message":"You cannot use scale and wipe at the same time."}`},
		{"DELETE", "/v2/apps/none/tasks?scale=true", "", 404, `{"message":"Path '/none' does not exist"}`},
		{"DELETE", "/v2/apps/none/tasks", "", 404, `{"message":"App '/none' does not exist","details":[]}`},
		{"POST", "/v2/tasks/delete", `{"ids":["x"]}`, 400, `{"message":"Invalid task id 'x'. [`},
		{"POST", "/v2/tasks/delete", `{}`, 422, `{"message":"Invalid JSON","details":[{"path":"","errors":["'ids' is undefined on object: {}"]}]}`},
		{"POST", "/v2/tasks/delete", `{"ids":["` + unknownTask + `"]}`, 200, `{"tasks":[]}`},
		{"PUT", "/v2/apps//p/new", `[]`, 422, `{"message":"Invalid JSON","details":[{"path":"","errors":["error.expected.jsobject"]}]}`},
		{"PUT", "/v2/apps//p/a?partialUpdate=FALSE", `"x"`, 422, `{"message":"Invalid JSON","details":[{"path":"","errors":["error.expected.jsobject"]}]}`},
		{"PUT", "/v2/apps//p/a", `"x"`, 200, `"deploymentId"`},
		{"PUT", "/v2/apps", `{}`, 422, `{"message":"Invalid JSON","details":[{"path":"","errors":["error.expected.jsarray"]}]}`},
		{"PUT", "/v2/apps", `[{"id":"/p/a","version":"2001-01-01T00:00:00Z","cmd":"xx"}]`, 422, `The 'version' field may only be combined with the 'id' field.`},
		{"PUT", "/v2/apps", `[{"id":"/p/a","version":"2001-01-01T00:00:00Z"}]`, 404, `{"message":"App '/p/a' does not exist"}`},
		{"PUT", "/v2/apps?partialUpdate=false", `[{"cmd":"xx"}]`, 422, `{"path":"(0)/id","errors":["'id' is undefined on object: {\"cmd\":\"xx\"}"]}`},
		{"PUT", "/v2/apps//p/b", `{"version":"2001-01-01T00:00:00Z","cmd":"sleep 1","instances":0,"executorResources":{"cpus":1}}`, 201, `"deploymentId"`},
		{"PATCH", "/v2/apps/none", `{"cmd":"sleep 1"}`, 404, `{"message":"App '/none' does not exist"}`},
		{"DELETE", "/v2/groups/none", "", 404, `{"message":"Group '/none' does not exist"}`},
		{"GET", "/v2/pods/none", "", 404, `{"message":"{\"message\": \"pod with /none does not exist\"}","details":[]}`},
		{"GET", "/v2/pods/none::status", "", 404, `{"message":"Pod '/none' does not exist","details":[]}`},
		{"GET", "/v2/pods/none::versions", "", 404, `{"message":"Pod '/none' does not exist","details":[]}`},
		{"GET", "/v2/pods/none::instances", "", 405, `{"message":"Method Not Allowed"}`},
		{"DELETE", "/v2/pods/none", "", 404, `{"message":"Pod '/none' does not exist","details":[]}`},
		{"DELETE", "/v2/pods/none::instances/x", "", 422, `"must fully match regular expression`},
		{"DELETE", "/v2/pods/none::instances/none.instance-1", "", 404, `{"message":"Path '/none' does not exist"}`},
		{"DELETE", "/v2/pods/none::instances", "", 400, `{"message":"Please specify data in JSON format"`},
		{"PUT", "/v2/pods/p/x", `{"id":"p/y","containers":[{"name":"c","exec":{"command":{"shell":"x"}},"resources":{"cpus":0.1,"mem":8}}]}`, 400,
			`{"message":"'/p/x' does not match definition's id ('p/y')"}`},
		{"PUT", "/v2/pods/p", `{"id":"/p","containers":[{"name":"c","exec":{"command":{"shell":"x"}},"resources":{"cpus":0.1,"mem":8}}]}`, 422,
			`{"path":"/","errors":["Groups and Pods may not have the same identifier."]}`},
		{"PUT", "/v2/groups/p", `{"apps":{}}`, 422, `{"path":"/apps","errors":["error.expected.jsarray"]}`},
		{"PUT", "/v2/groups/p", `{"groups":"x"}`, 422, `{"path":"/groups","errors":["error.expected.jsarray"]}`},
		{"PUT", "/v2/groups/p", `{"groups":[{}]}`, 422, `{"path":"/groups(0)/id","errors":["'id' is undefined on object: {}"]}`},
		{"PUT", "/v2/groups/p", `{"dependencies":[1]}`, 422, `{"path":"/dependencies(0)","errors":["error.expected.jsstring"]}`},
		{"PUT", "/v2/groups/p", `{"enforceRole":"yes"}`, 422, `{"path":"/enforceRole","errors":["error.expected.jsboolean"]}`},
		{"PUT", "/v2/groups/p", `{"id":7}`, 422, `{"path":"/id","errors":["error.expected.jsstring"]}`},
		{"PUT", "/v2/groups/p/s", `{"enforceRole":true}`, 422, `{"path":"/enforceRole","errors":["enforceRole can only be set for top-level groups, and /p/s is not top-level"]}`},
		{"PUT", "/v2/groups/p", `{"groups":[{"id":"s","enforceRole":true}]}`, 422, `{"path":"/groups(0)/enforceRole",`},
		{"PATCH", "/v2/groups/p", `{"enforceRole":"x"}`, 422, `{"path":"/enforceRole","errors":["error.expected.jsboolean"]}`},
		{"PUT", "/v2/apps//p/a", `{"version":7}`, 422, `{"path":"/version","errors":["error.expected.jsstring"]}`},
		{"PUT", "/v2/apps//p/a", `{"constraints":[["hostname","like","a"]]}`, 500, `{"message":"illegal constraint specification hostname,like,a"}`},
		{"PUT", "/v2/groups/p_p", `{}`, 422, `must fully match regular expression`},
		{"PUT", "/v2/groups/p", `{"scaleBy":-1}`, 422, `{"path":"/scaleBy","errors":["error.min"]}`},
		{"PUT", "/v2/apps//p/a", `{"instances":1000000000}`, 422, `takes at most 100000 instances in all`},
		{"PUT", "/v2/apps//p/c", `{"cmd":"sleep 1","instances":3000000000}`, 422, `"path":"/instances"`},
		{"GET", "/v2/plugins", "", 200, `{"plugins":[]}`},
		{"GET", "/v2/apps?label=a%20inn%20(b", "", 422, `{"message":"Can not parse label selector a inn (b. Reason: `},
	} {
		w := r.raw(c.method, c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.path, c.body, w.Code, w.Body, c.status, c.want)
		}
	}
	r.call(200, "PUT", "/v2/apps//p/a", `{"instances":1,"acceptedResourceRoles":["*"],"cpus":99999}`)
	r.call(422, "PUT", "/v2/groups/p?force=true", `{"scaleBy":1e300}`)
	r.call(200, "PUT", "/v2/apps//p/a?force=true", `{"instances":0}`)
	if x := r.app("/p/b")["executorResources"]; x != nil {
		t.Errorf("a PUT that creates kept executorResources: %v", x)
	}
	for _, path := range []string{"/v2/apps", "/v2/apps//p/a", "/v2/groups", "/v2/deployments", "/v2/queue", "/v2/tasks", "/v2/info", "/v2/apps//p/a/versions", "/v2/pods"} {
		if w := r.raw("HEAD", path, ""); w.Code != 200 {
			t.Errorf("HEAD %s: %d", path, w.Code)
		}
	}
	if w := r.raw("POST", "/v2/groups", `{"id":"/p/q"}`); w.Code != 201 || w.Header().Get("Location") != "http://example.com/p/q" {
		t.Errorf("POST of a group: %d, Location %q", w.Code, w.Header().Get("Location"))
	}
}

func TestMediaTypesAreNegotiated(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		path, accept string
		status       int
		kind, body   string
	}{
		{"/ping", "application/json", 200, "application/json", `"pong"`}, {"/ping", "text/plain", 200, "text/plain", "pong"},
		{"/ping", "*/*", 200, "text/plain", "pong"}, {"/ping", "text/html", 200, "text/html", "pong"}, {"/ping", "image/png", 204, "", ""},
		{"/v2/apps", "text/html", 406, "", ""}, {"/v2/apps", "text/html, application/*;q=0.1", 200, "", ""}, {"/v2/apps", "application/json;q=0", 406, "", ""},
		{"/v2/apps", "application/vnd.x+json", 406, "", ""}, {"/v2/events", "text/event-stream, */*", 405, "", ""},
	} {
		q := httptest.NewRequest("GET", c.path, nil)
		q.Header.Set("Accept", c.accept)
		w := r.do(q)
		if w.Code != c.status || c.kind != "" && (w.Header().Get("Content-Type") != c.kind || w.Body.String() != c.body) {
			t.Errorf("%s for %s: %d %s %q", c.path, c.accept, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
}

func TestEmbedWordsHaveAnyPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.call(201, "POST", "/v2/apps", `{"id":"/g/a","cmd":"sleep 1"}`)
		r.settled()
		members := func(path string, find ...string) map[string]any {
			t.Helper()
			v := any(r.call(200, "GET", path, ""))
			for _, step := range find {
				v = v.(map[string]any)[step]
				if list, isList := v.([]any); isList {
					v = list[0]
				}
			}
			return v.(map[string]any)
		}
		has := func(m map[string]any, want string) {
			t.Helper()
			var got []string
			for _, k := range []string{"tasksRunning", "deployments", "tasks", "lastTaskFailure", "readinessCheckResults", "tasksStats"} {
				if _, there := m[k]; there {
					got = append(got, k)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("it has %v, want %s", got, want)
			}
		}
		has(members("/v2/apps", "apps"), "tasksRunning deployments")
		for _, prefix := range []string{"", "app.", "apps.", "group.apps."} {
			has(members("/v2/apps?embed="+prefix+"tasks", "apps"), "tasksRunning deployments tasks")
			has(members("/v2/apps//g/a?embed="+prefix+"readiness&embed="+prefix+"taskStats", "app"), "tasksRunning deployments tasks readinessCheckResults tasksStats")
		}
		group := "/v2/groups/g?embed=group.apps"
		has(members(group, "apps"), "")
		has(members(group+"&embed=apps.counts", "apps"), "")
		has(members(group+"&embed=group.apps.counts", "apps"), "tasksRunning")
		has(members(group+"&embed=group.apps.deployments", "apps"), "deployments")
		has(members(group+"&embed=group.apps.tasks", "apps"), "deployments tasks")
		has(members(group+"&embed=group.apps.taskStats&embed=group.apps.readiness", "apps"), "readinessCheckResults tasksStats")
	})
}

// taskIDs are the tasks that an app shows, with their states.
func (r *rig) taskIDs(id string) []string {
	r.Helper()
	var out []string
	for _, v := range r.call(200, "GET", "/v2/apps/"+id+"/tasks", "")["tasks"].([]any) {
		task := v.(map[string]any)
		out = append(out, fmt.Sprint(task["id"], " ", task["state"]))
	}
	return out
}

func TestAKillKeepsTheInstanceAndAWipeDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.call(201, "POST", "/v2/apps", `{"id":"/k","cmd":"sleep 1"}`)
		r.settled()
		first := r.fake.running("/k")[0]
		killed := r.call(200, "DELETE", "/v2/apps//k/tasks/"+first, "")["task"].(map[string]any)
		if killed["id"] != first {
			t.Errorf("killed %v", killed)
		}
		r.await("the next incarnation", func() bool {
			now := r.fake.running("/k")
			return len(now) == 1 && now[0] == strings.TrimSuffix(first, ".1")+".2"
		})
		// Not a failure, so there is no delay; and an old id means the instance still.
		if q := r.call(200, "GET", "/v2/queue", "")["queue"].([]any); len(q) != 0 {
			t.Errorf("queue %v", q)
		}
		second := r.fake.running("/k")[0]
		r.call(200, "POST", "/v2/tasks/delete?wipe=true", `{"ids":["`+first+`"]}`)
		r.await("another instance", func() bool {
			now := r.fake.running("/k")
			return len(now) == 1 && strings.HasSuffix(now[0], "._app.1") && now[0] != first && now[0] != second
		})
		r.call(200, "DELETE", "/v2/apps//k/tasks?host=elsewhere", "")
		r.call(200, "DELETE", "/v2/apps//k/tasks?host=", "")
		synctest.Wait()
		if now := r.fake.running("/k"); !strings.HasSuffix(now[0], "._app.1") {
			t.Errorf("a kill on another host ended %v", now)
		}
		r.call(200, "DELETE", "/v2/apps//k/tasks?host=127.0.0.1&scale=TRUE", "")
		r.settled()
		if left := r.fake.running("/k"); len(left) != 0 || r.app("/k")["instances"] != 0.0 {
			t.Errorf("after the kill with scale: %v", left)
		}
	})
}

func TestAFailedTaskIsShownUntilTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		rec := r.events("?event_type=instance_changed_event")
		r.call(201, "POST", "/v2/apps", `{"id":"/f","cmd":"false","backoffSeconds":5}`)
		r.settled()
		id := r.fake.running("/f")[0]
		r.fake.end(id, executor.Failed, "Command exited with status 1")
		synctest.Wait()
		if got := r.taskIDs("/f"); !slices.Equal(got, []string{id + " TASK_FAILED"}) {
			t.Errorf("while it waits: %v", got)
		}
		task := r.app("/f")["tasks"].([]any)[0].(map[string]any)
		for _, gone := range []string{"version", "stagedAt", "startedAt"} {
			if v, there := task[gone]; there {
				t.Errorf("an ended task shows %s: %v", gone, v)
			}
		}
		if app := r.app("/f"); app["tasksRunning"] != 0.0 || app["tasksStaged"] != 0.0 {
			t.Errorf("it is counted: %v", app)
		}
		if got := len(r.call(200, "GET", "/v2/tasks", "")["tasks"].([]any)); got != 1 {
			t.Errorf("/v2/tasks has %d", got)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := r.taskIDs("/f"); len(got) != 1 || !strings.HasSuffix(got[0], "._app.2 TASK_RUNNING") {
			t.Errorf("after the delay: %v", got)
		}
		var conditions []string
		for _, e := range rec.all() {
			conditions = append(conditions, e.Data["condition"].(string))
		}
		if want := "Scheduled Provisioned Starting Running Failed Provisioned Starting Running"; strings.Join(conditions, " ") != want {
			t.Errorf("conditions %v, want %s", conditions, want)
		}
	})
}

// A failure is forgotten when maxLaunchDelay has passed since a task came
// further, and the delay of one instance holds back the others.
func TestTheDelayIsThatOfMarathonsRateLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.call(201, "POST", "/v2/apps", `{"id":"/f","cmd":"false","backoffSeconds":4,"backoffFactor":2,"maxLaunchDelaySeconds":100}`)
		r.settled()
		fail := func() time.Duration {
			r.fake.end(r.fake.running("/f")[0], executor.Failed, "Command exited with status 1")
			at := time.Now()
			r.await("the next task", func() bool { return len(r.fake.running("/f")) == 1 })
			return time.Since(at).Round(time.Second)
		}
		for n, want := range []time.Duration{4, 8} {
			if got := fail(); got != want*time.Second {
				t.Errorf("failure %d delays by %v, want %v s", n+1, got, want)
			}
		}
		time.Sleep(99 * time.Second)
		if got := fail(); got != 16*time.Second {
			t.Errorf("after 99 s the delay is %v, want 16 s", got)
		}
		time.Sleep(101 * time.Second)
		if got := fail(); got != 4*time.Second {
			t.Errorf("after 101 s the delay is %v, want 4 s", got)
		}
		r.call(200, "PUT", "/v2/apps//f", `{"instances":2}`) // 4 s since that task began to run
		synctest.Wait()
		q := r.call(200, "GET", "/v2/queue", "")["queue"].([]any)
		if len(q) != 1 {
			t.Fatalf("queue %v", q)
		}
		if delay := q[0].(map[string]any)["delay"].(map[string]any); delay["timeLeftSeconds"].(float64) < 3 || delay["overdue"] != false {
			t.Errorf("delay %v", delay)
		}
		if w := r.raw("DELETE", "/v2/queue//f/delay", ""); w.Code != 204 {
			t.Errorf("reset: %d", w.Code)
		}
		r.settled()
	})
}

// A count that changes waits for what comes, not for what was there.
func TestScalingDoesNotWaitForTheOldAndSick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.call(201, "POST", "/v2/apps", `{"id":"/s","cmd":"sleep 1","instances":3,"backoffSeconds":600,"maxLaunchDelaySeconds":600}`)
		r.settled()
		ids := r.fake.running("/s")
		r.fake.end(ids[0], executor.Failed, "Command exited with status 1")
		synctest.Wait()
		r.call(200, "PUT", "/v2/apps//s", `{"instances":2}`)
		r.await("the end of the deployment", func() bool { return len(r.call(200, "GET", "/v2/deployments", "")[""].([]any)) == 0 })
		// What waits is the last to go, so one that ran has gone.
		if now := r.fake.running("/s"); len(now) != 1 {
			t.Errorf("running: %v", now)
		}
		r.call(200, "PUT", "/v2/apps//s", `{"instances":3}`)
		time.Sleep(time.Minute)
		if ds := r.call(200, "GET", "/v2/deployments", "")[""].([]any); len(ds) != 1 {
			t.Errorf("deployments %v: it has to wait for the third, which is delayed", ds)
		}
	})
}

func TestKillSelectionDecidesWhoGoes(t *testing.T) {
	for selection, goes := range map[string]int{"YOUNGEST_FIRST": 2, "OLDEST_FIRST": 0} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			var ids []string
			for n := range 3 {
				r.call([]int{201, 200, 200}[n], "PUT", "/v2/apps//k", fmt.Sprintf(`{"cmd":"sleep 1","killSelection":"%s","instances":%d}`, selection, n+1))
				r.settled()
				for _, id := range r.fake.running("/k") {
					if !slices.Contains(ids, id) {
						ids = append(ids, id)
					}
				}
				time.Sleep(time.Second)
			}
			r.call(200, "PUT", "/v2/apps//k", `{"instances":2}`)
			r.settled()
			if now := r.fake.running("/k"); len(now) != 2 || slices.Contains(now, ids[goes]) {
				t.Errorf("%s: of %v there are left %v", selection, ids, now)
			}
		})
	}
}

// Within its grace period a task that does not answer counts as not healthy, as
// in Marathon; what Mesos checks is not known until then.
func TestHealthInTheGracePeriod(t *testing.T) {
	for protocol, unhealthy := range map[string]float64{"HTTP": 1, "MESOS_HTTP": 0} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			rec := r.events("")
			r.prober.set(errors.New("refused"), 0)
			r.call(201, "POST", "/v2/apps", fmt.Sprintf(`{"id":"/h","cmd":"sleep 1","healthChecks":[{"protocol":"%s","portIndex":0,
				"gracePeriodSeconds":60,"intervalSeconds":5,"delaySeconds":0,"maxConsecutiveFailures":2}]}`, protocol))
			time.Sleep(30 * time.Second)
			app := r.app("/h")
			results := app["tasks"].([]any)[0].(map[string]any)["healthCheckResults"].([]any)
			if app["tasksUnhealthy"] != unhealthy || app["tasksHealthy"] != 0.0 || float64(len(results)) != unhealthy || app["lastTaskFailure"] != nil {
				t.Errorf("%s: unhealthy %v, results %v", protocol, app["tasksUnhealthy"], results)
			}
			if n := rec.count("failed_health_check_event"); n != 0 {
				t.Errorf("%s: %d failures were told", protocol, n)
			}
			time.Sleep(45 * time.Second)
			f, _ := r.app("/h")["lastTaskFailure"].(map[string]any)
			if f["state"] != "TASK_KILLED" || f["message"] != "Task was killed since health check failed. Reason: refused" {
				t.Errorf("%s: the last failure is %v", protocol, f)
			}
			if n := rec.count("add_health_check_event"); n != 1 {
				t.Errorf("%s: %d checks were told of", protocol, n)
			}
			r.prober.set(nil, 200)
			r.call(200, "DELETE", "/v2/apps//h", "")
			r.settled()
			synctest.Wait()
			if n := rec.count("remove_health_check_event"); n != 1 {
				t.Errorf("%s: %d checks were removed", protocol, n)
			}
		})
	}
}

func TestWhatWasRefusedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		rec := r.events("?event_type=group_change_failed")
		all := r.events("?event_type=event_stream_attached&event_type=api_post_event")
		r.call(201, "POST", "/v2/apps", `{"id":"/g/a","cmd":"sleep 1"}`)
		r.call(409, "POST", "/v2/apps", `{"id":"/g/a","cmd":"sleep 1"}`)
		r.call(404, "DELETE", "/v2/apps//g/none", "")
		r.call(422, "POST", "/v2/apps", `{"id":"/g","cmd":"sleep 1"}`)
		synctest.Wait()
		var reasons []string
		for _, e := range rec.all() {
			reasons = append(reasons, fmt.Sprint(e.Data["groupId"], " ", e.Data["reason"]))
		}
		want := []string{"/g An app with id [/g/a] already exists.", "/g App '/g/none' does not exist", "/ Object is not valid"}
		if !slices.Equal(reasons, want) {
			t.Errorf("told %q, want %q", reasons, want)
		}
		// A stream that asks for it hears of itself, and the event of a POST shows the
		// ports before they are assigned.
		if all.count("event_stream_attached") != 1 {
			t.Errorf("attached: %v", all.all())
		}
		text, err := json.Marshal(all.all()[1].Data["appDefinition"])
		if err != nil || !strings.Contains(string(text), `"port":0`) || strings.Contains(string(text), "versionInfo") {
			t.Errorf("the event shows %s, %v", text, err)
		}
	})
}

func TestAPodsStatusInEachState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.prober.set(errors.New("refused"), 0)
		r.call(201, "POST", "/v2/pods", `{"id":"/p","scheduling":{"backoff":{"backoff":30}},"networks":[{"mode":"host"}],"containers":[
			{"name":"web","exec":{"command":{"shell":"serve"}},"resources":{"cpus":0.1,"mem":8},
			 "endpoints":[{"name":"http","hostPort":0},{"name":"admin","hostPort":0}],
			 "healthCheck":{"http":{"endpoint":"http"},"gracePeriodSeconds":300,"delaySeconds":0,"intervalSeconds":2,"timeoutSeconds":1}},
			{"name":"side","exec":{"command":{"argv":["watch"]}},"resources":{"cpus":0.1,"mem":8}}]}`)
		synctest.Wait()
		status := func() (map[string]any, map[string]any, map[string]any) {
			t.Helper()
			s := r.call(200, "GET", "/v2/pods//p::status", "")
			i := s["instances"].([]any)[0].(map[string]any)
			return s, i, i["containers"].([]any)[0].(map[string]any)
		}
		s, i, web := status()
		verdict := web["conditions"].([]any)[0].(map[string]any)
		if s["status"] != "DEGRADED" || i["message"] != "at least one container is not healthy" || verdict["value"] != "false" || verdict["reason"] != "health-unreported-by-mesos" {
			t.Errorf("before the health is known: %v", s)
		}
		r.prober.set(nil, 200)
		r.settled()
		s, i, web = status()
		endpoints := web["endpoints"].([]any)
		last := endpoints[1].(map[string]any)
		if s["status"] != "STABLE" || i["message"] != nil || last["name"] != "http" || last["healthy"] != true || endpoints[0].(map[string]any)["healthy"] != nil {
			t.Errorf("healthy: %v", s)
		}
		r.fake.end(r.fake.running("/p")[0], executor.Failed, "Command exited with status 7")
		synctest.Wait()
		s, i, web = status()
		history := s["terminationHistory"].([]any)
		if i["status"] != "PENDING" || len(history) != 1 || history[0].(map[string]any)["message"] != "Command exited with status 7" || web["resources"] != nil {
			t.Errorf("after a failure: %v", s)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		_, i, _ = status()
		id := i["id"].(string)
		killed := r.call(200, "DELETE", "/v2/pods//p::instances/"+id, "")
		if killed["instanceId"] != id || killed["state"].(map[string]any)["condition"] != "Running" || killed["state"].(map[string]any)["goal"] != "Running" {
			t.Errorf("killed: %v", killed)
		}
		if list := r.call(200, "DELETE", "/v2/pods//p::instances", `["p.instance-none"]`)[""].([]any); len(list) != 0 {
			t.Errorf("killed: %v", list)
		}
		r.await("both anew", func() bool { return len(r.fake.running("/p")) == 2 })
		if _, again, _ := status(); again["id"] != id {
			t.Errorf("the instance did not stay: %v", again)
		}
	})
}

func TestStatisticsAreOfTheUpperMedian(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.call(201, "POST", "/v2/apps", `{"id":"/s","cmd":"sleep 1"}`)
		r.settled()
		time.Sleep(10 * time.Second)
		r.call(200, "PUT", "/v2/apps//s", `{"instances":2}`)
		r.settled()
		time.Sleep(10 * time.Second)
		stats := r.call(200, "GET", "/v2/apps//s?embed=app.taskStats", "")["app"].(map[string]any)["tasksStats"].(map[string]any)
		total := stats["totalSummary"].(map[string]any)["stats"].(map[string]any)["lifeTime"].(map[string]any)
		if total["medianSeconds"].(float64) < 19 || total["averageSeconds"].(float64) > 16 {
			t.Errorf("life times %v", total)
		}
		if scaled := stats["startedAfterLastScaling"].(map[string]any)["stats"].(map[string]any)["counts"].(map[string]any); scaled["running"] != 1.0 || stats["withOutdatedConfig"] != nil {
			t.Errorf("statistics %v", stats)
		}
	})
}

// TestTasksOfOthersAreNotListed: neither of pods nor of what was deleted.
func TestTasksOfOthersAreNotListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.call(201, "POST", "/v2/pods", `{"id":"/p","containers":[{"name":"c","exec":{"command":{"shell":"x"}},"resources":{"cpus":0.1,"mem":8}}]}`)
		r.call(201, "POST", "/v2/apps", `{"id":"/a","cmd":"sleep 1"}`)
		r.call(201, "POST", "/v2/apps", `{"id":"/gone","cmd":"sleep 1"}`)
		r.settled()
		r.fake.gate(true)
		r.call(200, "DELETE", "/v2/apps//gone", "")
		for query, want := range map[string]int{"": 1, "?status=running": 1, "?status=STAGING": 0, "?status[]=running&status[]=staging": 1, "?status=killed": 1} {
			if got := r.call(200, "GET", "/v2/tasks"+query, "")["tasks"].([]any); len(got) != want {
				t.Errorf("%s: %d tasks, want %d", query, len(got), want)
			}
		}
		r.fake.gate(false)
		r.settled()
	})
}
