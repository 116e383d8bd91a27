package marathon

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStateOfRecordings(t *testing.T) {
	t.Parallel()
	misc, pods, locks := recording(t, "misc"), recording(t, "pods"), recording(t, "locks")
	c := clientOf(t, map[string]step{
		"GET /v2/info":          misc[0],
		"GET /v2/apps":          says(200, `{"apps":[`+appOf(t, locks[5])+`]}`),
		"GET /v2/pods":          says(200, "["+string(pods[3].Body)+"]"),
		"GET /v2/pods/::status": pods[15],
		"GET /v2/groups":        pods[18],
		"GET /v2/deployments":   locks[3],
		"GET /v2/pods/p/one::versions/2026-01-01T00:00:10.000Z": says(404, `{"message":"gone"}`),
	})
	s, err := c.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Cluster.Version != "1.11.26" || s.Cluster.MesosRole != "*" || s.Cluster.LocalPortMax != 20000 || s.Cluster.NewGroupEnforceRole {
		t.Errorf("cluster: %+v", s.Cluster)
	}
	if got, ok := s.Cluster.EnforceRole["/q"]; got || !ok {
		t.Errorf("enforceRole of /q: %v %v, want a known false", got, ok)
	}
	app := s.Apps["/lock/a"]
	if *app.Definition.CPUs != 99999 || *app.Definition.Cmd != "sleep 1000" || app.Definition.ID != "/lock/a" {
		t.Errorf("definition: %+v", app.Definition)
	}
	if app.Status.Running != 1 || app.Status.Outdated != 1 || !cmp.Equal(app.Status.Deployments, []string{"<uuid-2>"}) {
		t.Errorf("status: %+v", app.Status)
	}
	if s.Groups["/q/min"] == nil || s.Groups["/"] != nil {
		t.Errorf("groups: %v", s.Groups)
	}
	if d := s.Deployments[0]; d.CurrentActions[0].ID() != "/lock/a" || !cmp.Equal(d.Affected(), []string{"/lock/a"}) {
		t.Errorf("deployments: %+v", s.Deployments)
	}
	pod := s.Pods["/p/one"]
	if pod.Definition.Containers[0].Name != "main" || pod.Status.Running != 1 || pod.Status.Healthy != 1 {
		t.Errorf("pod: %+v", pod)
	}
}

// TestOtherReleases: what Pacer does not know is refused with a word that says
// so, whatever else such a Marathon does not answer.
func TestOtherReleases(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"1.3.14":                   "Marathon 1.3.14 is too old: Pacer supports 1.5 to 1.11; upgrade Marathon",
		"1.4.11":                   "is too old: Pacer supports",
		"1.12.0":                   "is too new: Pacer supports",
		"2.0.0-rc1":                "is too new: Pacer supports",
		"latest":                   "cannot determine the Marathon version",
		"1.5.12":                   "",
		"1.11.0-SNAPSHOT-g90619da": "",
	} {
		t.Run(version, func(t *testing.T) {
			table := map[string]step{
				"GET /v2/info": says(200, `{"version":"`+version+`","marathon_config":{}}`), "GET /v2/apps": says(200, `{"apps":[]}`),
				"GET /v2/groups": says(200, `{"id":"/"}`), "GET /v2/deployments": says(200, `[]`), "GET /v2/pods": says(200, `[]`),
			}
			if want != "" {
				table["GET /v2/pods"] = says(404, `{"message":"URI not found"}`)
			}
			s, err := clientOf(t, table).State(t.Context())
			switch {
			case want == "" && err == nil:
				if s.Cluster.MesosRole != "*" || s.Cluster.LocalPortMin != 10000 || s.Cluster.LocalPortMax != 20000 || s.Cluster.BridgeName != "mesos-bridge" || s.Cluster.DefaultNetworkName != "" {
					t.Errorf("what is not said is at its default: %+v", s.Cluster)
				}
			case want == "" || err == nil || !strings.Contains(err.Error(), want):
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

// appOf makes an app of a list out of a single one: without tasks, with
// statistics.
func appOf(t *testing.T, s step) string {
	t.Helper()
	var single struct{ App map[string]any }
	if err := json.Unmarshal(s.Body, &single); err != nil {
		t.Fatal(err)
	}
	delete(single.App, "tasks")
	single.App["tasksStats"] = json.RawMessage(`{"withOutdatedConfig":{"stats":{"counts":{"staged":0,"running":1,"healthy":0,"unhealthy":0}}}}`)
	b, err := json.Marshal(single.App)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRolesThatAreKept: what has a role that the flags of today give to nothing
// may keep it, and only that.
func TestRolesThatAreKept(t *testing.T) {
	t.Parallel()
	misc := recording(t, "misc")
	c := clientOf(t, map[string]step{
		"GET /v2/info": misc[0],
		"GET /v2/apps": says(200, `{"apps":[{"id":"/old/role","role":"prod"},{"id":"/old/new","role":"*"},{"id":"/old/own","role":"old"},
			{"id":"/enforced/before","role":"*"},{"id":"/enforced/now","role":"enforced"},{"id":"/top","role":"top"},{"id":"/none"}]}`),
		"GET /v2/pods":        says(200, `[]`),
		"GET /v2/groups":      says(200, `{"id":"/","groups":[{"id":"/old","enforceRole":false},{"id":"/enforced","enforceRole":true}]}`),
		"GET /v2/deployments": says(200, `[]`),
	})
	s, err := c.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"/old/role": "prod", "/enforced/before": "*", "/top": "top"}
	if diff := cmp.Diff(want, s.Cluster.KeptRoles); diff != "" {
		t.Error(diff)
	}
}

func TestAppCountsOutdatedTasks(t *testing.T) {
	t.Parallel()
	crud, locks := recording(t, "apps-crud"), recording(t, "locks")
	for name, c := range map[string]struct {
		step step
		id   string
		want int
	}{
		"all new":                         {crud[5], "/crud/one", 0},
		"restart that cannot finish":      {locks[5], "/lock/a", 1},
		"after a forced cancel":           {locks[22], "/lock/a", 1},
		"after the rollback of a rollout": {locks[18], "/lock/a", 0},
		"rolled back to an older version": {rolledBack(locks[18]), "/lock/a", 1},
		"still starting, none outdated":   {locks[14], "/lock/a", 0},
	} {
		t.Run(name, func(t *testing.T) {
			app, err := clientOf(t, map[string]step{"GET /v2/apps" + c.id: c.step}).App(t.Context(), c.id)
			if err != nil {
				t.Fatal(err)
			}
			if app.Status.Outdated != c.want || len(app.Tasks) != 1 {
				t.Errorf("outdated %d of %d, want %d of 1", app.Status.Outdated, len(app.Tasks), c.want)
			}
		})
	}
}

// rolledBack makes the app's version older than that of its task, as Marathon's
// constant version of rollbacks does.
func rolledBack(s step) step {
	task := at(13).Format("2006-01-02T15:04:05.000Z")
	before, tasks, _ := strings.Cut(string(s.Body), `"tasks":`)
	s.Body = []byte(strings.ReplaceAll(before, task, at(3).Format("2006-01-02T15:04:05.000Z")) + `"tasks":` + tasks)
	return s
}

// A task that has ended is shown without a version until the next is launched.
func TestAnEndedTaskIsNoOutdatedOne(t *testing.T) {
	t.Parallel()
	app, err := clientOf(t, map[string]step{"GET /v2/apps/f": says(200, `{"app":{"id":"/f","cmd":"false","instances":1,"version":"2026-01-01T00:00:00.000Z",
		"versionInfo":{"lastScalingAt":"2026-01-01T00:00:00.000Z","lastConfigChangeAt":"2026-01-01T00:00:00.000Z"},"deployments":[],
		"tasksStaged":0,"tasksRunning":0,"tasksHealthy":0,"tasksUnhealthy":0,
		"tasks":[{"appId":"/f","healthCheckResults":[],"host":"h","id":"f.instance-1._app.1","ipAddresses":[],"ports":[],"servicePorts":[],
			"slaveId":"s","state":"TASK_FAILED","localVolumes":[],"role":"*"}]}}`)}).App(t.Context(), "/f")
	if err != nil {
		t.Fatal(err)
	}
	if app.Status.Outdated != 0 || app.Tasks == nil || len(app.Tasks) != 0 {
		t.Errorf("outdated %d, tasks %v", app.Status.Outdated, app.Tasks)
	}
}

func TestPodCountsOutdatedInstances(t *testing.T) {
	t.Parallel()
	steps := recording(t, "pods")
	old := strings.ReplaceAll(string(steps[4].Body), `specReference": "/v2/pods/p/one::versions/`, `specReference": "/v2/pods/p/one::versions/1`)
	for name, c := range map[string]struct {
		then step
		want int
	}{
		"same definition":  {steps[3], 0},
		"only scaled":      {says(200, strings.Replace(string(steps[3].Body), `"instances": 1`, `"instances": 7`, 1)), 0},
		"other command":    {says(200, strings.Replace(string(steps[3].Body), "sleep 100", "sleep 200", 1)), 1},
		"version not kept": {says(404, `{"message":"gone"}`), 0},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32 // for the version
			client := newClient(t, Options{URLs: []string{newFake(t, func(w http.ResponseWriter, r *http.Request) {
				table := map[string]step{
					"GET /v2/pods/p/one": steps[3], "GET /v2/pods/p/one::status": says(200, old),
					"GET /v2/pods": says(200, "["+string(steps[3].Body)+"]"), "GET /v2/pods/::status": says(200, "["+old+"]"),
				}
				if strings.Contains(r.URL.Path, "::versions/") {
					asked.Add(1)
					table[r.Method+" "+r.URL.Path] = c.then
				}
				answers(t, table)(w, r)
			}).URL}})
			pod, err := client.Pod(t.Context(), "/p/one")
			if err != nil {
				t.Fatal(err)
			}
			if pod.Status.Outdated != c.want || pod.Status.Running != 1 {
				t.Errorf("status %+v, want %d outdated", pod.Status, c.want)
			}
			all, err := client.Pods(t.Context())
			if err != nil || all["/p/one"].Status.Outdated != c.want || asked.Load() != 1 {
				t.Errorf("in the list: %+v, %v, want %d outdated; the version was read %d times", all["/p/one"].Status, err, c.want, asked.Load())
			}
		})
	}
}

// An answer that is not the expected one must never look like "nothing there".
func TestUnusableAnswersAreErrors(t *testing.T) {
	t.Parallel()
	html := step{Status: 200, Headers: map[string]string{"Content-Type": "text/html"}, Body: []byte("<html><title>Login</title>")}
	for name, s := range map[string]step{
		"empty object":        says(200, `{}`),
		"null":                says(200, `null`),
		"null list":           says(200, `{"apps":null}`),
		"half a document":     says(200, `{"apps":[{"id":"/a"`),
		"two documents":       says(200, `{"apps":[]}{"apps":[]}`),
		"nothing":             says(200, ``),
		"html":                html,
		"no content type":     {Status: 200, Headers: map[string]string{"Content-Type": ""}, Body: []byte(`{"apps":[]}`)},
		"app without id":      says(200, `{"apps":[{"cmd":"x"}]}`),
		"same id twice":       says(200, `{"apps":[{"id":"/a"},{"id":"/a"}]}`),
		"wrong type inside":   says(200, `{"apps":[{"id":"/a","instances":"many"}]}`),
		"longer than allowed": says(200, `{"apps":[]`+strings.Repeat(" ", 5000)+`}`),
		"server error":        says(500, `{"message":"boom"}`),
		"not found":           says(404, `{"message":"URI not found"}`),
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, Options{MaxBody: 4096, URLs: []string{newFake(t, answers(t, map[string]step{"GET /v2/apps": s})).URL}})
			if apps, err := c.Apps(t.Context()); err == nil || apps != nil {
				t.Errorf("got %v, %v: want an error", apps, err)
			}
		})
	}
	t.Run("others", func(t *testing.T) {
		for path, ask := range map[string]func(*Client) error{
			"/v2/pods":        func(c *Client) error { _, err := c.Pods(t.Context()); return err },
			"/v2/deployments": func(c *Client) error { _, err := c.Deployments(t.Context()); return err },
			"/v2/queue":       func(c *Client) error { _, err := c.Queue(t.Context()); return err },
			"/v2/info":        func(c *Client) error { _, err := c.Info(t.Context()); return err },
			"/v2/apps/a":      func(c *Client) error { _, err := c.App(t.Context(), "/a"); return err },
		} {
			for _, body := range []string{`{}`, `null`, `"x"`, `{"app":{"id":"/b","tasks":[]}}`, `{"app":{"id":"/a"}}`} {
				if err := ask(clientOf(t, map[string]step{"GET " + path: says(200, body)})); err == nil {
					t.Errorf("GET %s answered %s: want an error", path, body)
				}
			}
		}
	})
}

func TestQueueSaysWhy(t *testing.T) {
	t.Parallel()
	locks := recording(t, "locks")
	withOffers := strings.Replace(string(locks[4].Body), `"app":`, `"lastUnusedOffers":[{"offer":{"hostname":"h","resources":[
		{"name":"cpus","role":"*","scalar":1000.0},{"name":"cpus","role":"other","scalar":5000.0}]},"reason":["InsufficientCpus"]}],"app":`, 1)
	for name, c := range map[string]struct{ body, want string }{
		"recorded":    {string(locks[4].Body), "55 of 56 offers refused, all for cpus: requires 99999"},
		"with offers": {withOffers, "55 of 56 offers refused, all for cpus: requires 99999, largest offer 1000"},
		"two reasons": {`{"queue":[{"app":{"id":"/a","mem":64},"delay":{"overdue":true},"processedOffersSummary":{"processedOffersCount":9,"unusedOffersCount":8,
			"rejectSummaryLastOffers":[{"reason":"UnfulfilledConstraint","declined":3,"processed":8},{"reason":"InsufficientMemory","declined":5,"processed":5}]}}]}`,
			"8 of 9 offers refused, 5 of the last 8 for mem: requires 64"},
		"constraint": {`{"queue":[{"app":{"id":"/a","constraints":[["hostname","UNIQUE"]]},"delay":{"overdue":true},"processedOffersSummary":{"processedOffersCount":14,"unusedOffersCount":12,
			"rejectSummaryLastOffers":[{"reason":"UnfulfilledConstraint","declined":3,"processed":3}],
			"rejectSummaryLaunchAttempt":[{"reason":"UnfulfilledConstraint","declined":12,"processed":12}]}}]}`, "constraint hostname UNIQUE refuses 12 of 12 offers"},
		"constraint, of the last offers alone": {`{"queue":[{"app":{"id":"/a","constraints":[["hostname","LIKE","db.*"]]},"delay":{"overdue":true},"processedOffersSummary":{"processedOffersCount":14,"unusedOffersCount":12,
			"rejectSummaryLastOffers":[{"reason":"UnfulfilledConstraint","declined":3,"processed":3}]}}]}`, "constraint hostname LIKE db.* refuses 3 of 3 offers"},
		"constraints of a pod": {`{"queue":[{"pod":{"id":"/a","scheduling":{"placement":{"constraints":[{"fieldName":"hostname","operator":"UNIQUE"},{"fieldName":"rack","operator":"GROUP_BY","value":"3"}]}}},
			"delay":{"overdue":true},"processedOffersSummary":{"processedOffersCount":9,"unusedOffersCount":9,
			"rejectSummaryLaunchAttempt":[{"reason":"UnfulfilledConstraint","declined":9,"processed":9}]}}]}`, "one of the constraints hostname UNIQUE, rack GROUP_BY 3 refuses 9 of 9 offers"},
		"constraint, and more for another reason": {`{"queue":[{"app":{"id":"/a","mem":64,"constraints":[["rack","CLUSTER","r1"]]},"delay":{"overdue":true},"processedOffersSummary":{"processedOffersCount":9,"unusedOffersCount":8,
			"rejectSummaryLastOffers":[{"reason":"UnfulfilledConstraint","declined":3,"processed":8},{"reason":"InsufficientMemory","declined":5,"processed":5}],
			"rejectSummaryLaunchAttempt":[{"reason":"UnfulfilledConstraint","declined":3,"processed":8},{"reason":"InsufficientMemory","declined":5,"processed":5}]}}]}`,
			"8 of 9 offers refused, 5 of the last 8 for mem: requires 64; constraint rack CLUSTER r1 refuses 3 of 8 offers"},
		"constraint of which nothing is known": {`{"queue":[{"app":{"id":"/a"},"delay":{"overdue":true},"processedOffersSummary":{"processedOffersCount":2,"unusedOffersCount":2,
			"rejectSummaryLastOffers":[{"reason":"UnfulfilledConstraint","declined":2,"processed":2}]}}]}`, "2 of 2 offers refused, all for a constraint"},
		"ports": {`{"queue":[{"app":{"id":"/a","requirePorts":true,"portDefinitions":[{"port":8080},{"port":0}]},"delay":{"overdue":true},"processedOffersSummary":{"processedOffersCount":2,"unusedOffersCount":2,
			"rejectSummaryLastOffers":[{"reason":"InsufficientPorts","declined":2,"processed":2}]}}]}`, "2 of 2 offers refused, all for ports: requires 8080"},
		"back-off": {`{"queue":[{"app":{"id":"/a"},"delay":{"timeLeftSeconds":90,"overdue":false}}]}`, "launching is delayed until 12:04:34 UTC after failures"},
		"no engine": {`{"queue":[{"app":{"id":"/a"},"delay":{"overdue":true},"waitsFor":"no Docker engine answers","processedOffersSummary":{"processedOffersCount":1,"unusedOffersCount":1}}]}`,
			"no Docker engine answers"},
		"no offers": {`{"queue":[{"app":{"id":"/a"},"role":"dev","delay":{"overdue":true}}]}`,
			`no offers for role "dev": Mesos has no agent for it, or its quota is exhausted`},
		"unknown reason": {`{"queue":[{"pod":{"id":"/a"},"delay":{"overdue":true},"processedOffersSummary":{"processedOffersCount":2,"unusedOffersCount":2,
			"rejectSummaryLastOffers":[{"reason":"NewInMarathon2","declined":2,"processed":2}]}}]}`, "2 of 2 offers refused, all for NewInMarathon2"},
		"offers taken": {`{"queue":[{"app":{"id":"/a"},"delay":{"overdue":true},"processedOffersSummary":{"processedOffersCount":1}}]}`, "offers are being accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			queue, err := clientOf(t, map[string]step{"GET /v2/queue": says(200, c.body)}).Queue(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := queue[0].Why(time.Date(2026, 3, 1, 12, 3, 4, 0, time.UTC)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
