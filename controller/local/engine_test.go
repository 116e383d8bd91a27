package local

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/local/executor/enginetest"
)

// TestAContainerFromTheAPI is the life of an app with an image on a real engine,
// as a client of Marathon sees it.
func TestAContainerFromTheAPI(t *testing.T) {
	e := enginetest.Start(t)
	const image = "pacer-test/local:1"
	enginetest.Image(t, e, image)
	dir := t.TempDir()
	leavesNothing(t, dir)
	r := realRig(t, func(o *Options) {
		o.Executor = func(report func(executor.Update)) (executor.Executor, error) {
			return executor.New(executor.Options{Dir: dir, Update: report, Docker: e.Address})
		}
	})
	containers := func() []string {
		t.Helper()
		list, err := enginetest.Client(t, e.Address).ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", "MESOS_TASK_ID")})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range list.Items {
			if c.Image == image {
				names = append(names, c.Labels["MESOS_TASK_ID"])
			}
		}
		return names
	}
	t.Run("bridge", func(t *testing.T) {
		if !e.Bridge {
			t.Log("NOT TESTED: this engine has no bridge network")
			return
		}
		rollOutContainer(t, r, image, containers)
	})
	t.Run("an image that is nowhere", func(t *testing.T) {
		r.call(201, "POST", "/v2/apps", `{"id":"/none","container":{"type":"DOCKER","docker":{"image":"127.0.0.1:1/none/such:1"}},"networks":[{"mode":"host"}]}`)
		r.await("the failure", func() bool { return r.app("/none")["lastTaskFailure"] != nil })
		if f := r.app("/none")["lastTaskFailure"].(map[string]any); f["state"] != "TASK_FAILED" || !strings.Contains(f["message"].(string), "none/such") {
			t.Errorf("failure %v", f)
		}
		r.call(200, "DELETE", "/v2/apps//none", "")
		r.settled()
	})
	if left := containers(); len(left) != 0 {
		t.Errorf("containers are left: %v", left)
	}
}

func rollOutContainer(t *testing.T, r *rig, image string, containers func() []string) {
	app := func(greeting string) string {
		return fmt.Sprintf(`{"id":"/web","args":["/web",":80"],"cpus":0.1,"mem":64,"env":{"GREETING":"%s"},"networks":[{"mode":"container/bridge"}],
			"container":{"type":"DOCKER","docker":{"image":"%s"},"portMappings":[{"containerPort":80,"hostPort":0,"name":"http"}]},
			"healthChecks":[{"protocol":"HTTP","path":"/","portIndex":0,"gracePeriodSeconds":60,"intervalSeconds":1}]}`, greeting, image)
	}
	says := func() []string {
		t.Helper()
		task := r.app("/web")["tasks"].([]any)[0].(map[string]any)
		a, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}).
			Get(fmt.Sprintf("http://%s:%v/", task["host"], task["ports"].([]any)[0]))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		var env []string
		if err := json.NewDecoder(a.Body).Decode(&env); err != nil {
			t.Fatal(err)
		}
		return env
	}
	r.call(201, "POST", "/v2/apps", app("one"))
	r.settled()
	live := r.app("/web")
	task := live["tasks"].([]any)[0].(map[string]any)
	if live["tasksHealthy"] != 1.0 || fmt.Sprint(containers()) != fmt.Sprint([]any{task["id"]}) {
		t.Fatalf("healthy %v; containers %v, task %v", live["tasksHealthy"], containers(), task["id"])
	}
	if ip := task["ipAddresses"].([]any)[0].(map[string]any)["ipAddress"].(string); strings.HasPrefix(ip, "127.") {
		t.Errorf("the container's address is %s", ip)
	}
	for _, want := range []string{"GREETING=one", "MARATHON_APP_ID=/web", "MARATHON_APP_DOCKER_IMAGE=" + image, fmt.Sprintf("PORT_HTTP=%v", task["ports"].([]any)[0])} {
		if env := says(); !slices.Contains(env, want) {
			t.Errorf("%s is not in its environment %q", want, env)
		}
	}
	r.call(200, "PUT", "/v2/apps//web?partialUpdate=false", app("two"))
	r.settled()
	if now := containers(); len(now) != 1 || now[0] == task["id"] || !slices.Contains(says(), "GREETING=two") {
		t.Errorf("after the change: %v, before: %v", now, task["id"])
	}
	r.call(200, "DELETE", "/v2/apps//web", "")
	r.settled()
}
