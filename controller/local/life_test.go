package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/local/state"
)

func TestAnAppIsCreatedScaledChangedAndDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.call(201, "POST", "/v2/apps", `{"id":"/a/b","cmd":"sleep 100","cpus":0.1,"mem":16}`)
		r.settled()
		first := r.fake.running("/a/b")
		if len(first) != 1 || !strings.HasPrefix(first[0], "a_b.instance-") || !strings.HasSuffix(first[0], "._app.1") {
			t.Fatalf("tasks %v", first)
		}
		r.call(200, "PUT", "/v2/apps//a/b", `{"instances":3}`)
		r.settled()
		if three := r.fake.running("/a/b"); len(three) != 3 || !slices.Contains(three, first[0]) {
			t.Fatalf("scaling did not keep %v: %v", first, three)
		}
		r.call(200, "PUT", "/v2/apps//a/b", `{"env":{"X":"1"}}`)
		r.settled()
		after := r.fake.running("/a/b")
		if len(after) != 3 || slices.Contains(after, first[0]) {
			t.Fatalf("a change did not replace %v: %v", first, after)
		}
		if got := r.app("/a/b")["tasksRunning"]; got != 3.0 {
			t.Fatalf("tasksRunning %v", got)
		}
		r.call(200, "DELETE", "/v2/apps//a/b", "")
		r.settled()
		if left := r.fake.running("/a/b"); len(left) != 0 {
			t.Fatalf("left %v", left)
		}
		r.call(404, "GET", "/v2/apps//a/b", "")
	})
}

func TestTheEnvironmentOfATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.call(201, "POST", "/v2/apps", `{"id":"/e","cmd":"x y","env":{"A":"1"},"labels":{"some.label":"v"},
			"portDefinitions":[{"port":0,"name":"web"},{"port":9999,"name":"admin"}]}`)
		r.settled()
		id := r.fake.running("/e")[0]
		task := r.fake.ran[id]
		port := fmt.Sprint(task.Ports[0].Host)
		admin := fmt.Sprint(task.Ports[1].Host)
		for name, want := range map[string]string{
			"A": "1", "PORT": port, "PORT0": port, "PORT_WEB": port, "PORT1": admin, "PORT_ADMIN": admin, "PORT_9999": admin,
			"PORTS": port + "," + admin, "MARATHON_APP_ID": "/e", "MESOS_TASK_ID": id, "HOST": "127.0.0.1",
			"MARATHON_APP_LABELS": "SOME_LABEL", "MARATHON_APP_LABEL_SOME_LABEL": "v", "MARATHON_APP_RESOURCE_CPUS": "1.0",
			"MARATHON_APP_VERSION": r.app("/e")["version"].(string),
		} {
			if task.Env[name] != want {
				t.Errorf("%s is %q, want %q", name, task.Env[name], want)
			}
		}
	})
}

func TestAFailingTaskBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.call(201, "POST", "/v2/apps", `{"id":"/f","cmd":"false","backoffSeconds":2,"backoffFactor":3,"maxLaunchDelaySeconds":10}`)
		r.settled()
		var waits []time.Duration
		for range 4 {
			id := r.fake.running("/f")[0]
			r.fake.end(id, executor.Failed, "Command exited with status 1")
			at := time.Now()
			r.await("the next task", func() bool { return len(r.fake.running("/f")) == 1 })
			waits = append(waits, time.Since(at).Round(time.Second))
		}
		if want := []time.Duration{2 * time.Second, 6 * time.Second, 10 * time.Second, 10 * time.Second}; !slices.Equal(waits, want) {
			t.Errorf("waits %v, want %v", waits, want)
		}
		id := r.fake.running("/f")[0]
		if !strings.HasSuffix(id, "._app.5") {
			t.Errorf("the fifth task is %s", id)
		}
		f, _ := r.app("/f")["lastTaskFailure"].(map[string]any)
		if f["message"] != "Command exited with status 1" || f["state"] != "TASK_FAILED" {
			t.Errorf("lastTaskFailure %v", f)
		}
		r.fake.end(id, executor.Failed, "again")
		r.await("the delay", func() bool {
			q := r.call(200, "GET", "/v2/queue", "")["queue"].([]any)
			return len(q) == 1 && q[0].(map[string]any)["delay"].(map[string]any)["timeLeftSeconds"].(float64) > 0
		})
		r.call(204, "DELETE", "/v2/queue//f/delay", "")
		at := time.Now()
		r.await("the next task", func() bool { return len(r.fake.running("/f")) == 1 })
		if time.Since(at) > time.Second {
			t.Error("the delay was not reset")
		}
		r.call(404, "DELETE", "/v2/queue//f/delay", "")
	})
}

func TestHealthGatesARestartAndKillsTheSick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		const app = `{"id":"/h","cmd":"%s","healthChecks":[{"protocol":"HTTP","path":"/","portIndex":0,"gracePeriodSeconds":5,"intervalSeconds":1,"maxConsecutiveFailures":2}]}`
		r.call(201, "POST", "/v2/apps", fmt.Sprintf(app, "one 1"))
		r.settled()
		if got := r.app("/h")["tasksHealthy"]; got != 1.0 {
			t.Fatalf("tasksHealthy %v", got)
		}
		first := r.fake.running("/h")[0]
		r.prober.set(errors.New("503 Service Unavailable"), 0)
		r.call(200, "PUT", "/v2/apps//h?partialUpdate=false", fmt.Sprintf(app, "two 2"))
		r.await("a new one beside it", func() bool { return len(r.fake.running("/h")) == 2 })
		r.prober.set(nil, 200)
		r.settled()
		second := r.fake.running("/h")
		if len(second) != 1 || slices.Contains(second, first) {
			t.Fatalf("after the restart: %v", second)
		}
		r.prober.set(errors.New("503 Service Unavailable"), 0)
		r.await("the sick task to be replaced", func() bool { return len(r.fake.running("/h")) == 1 && r.fake.running("/h")[0] != second[0] })
		if third := r.fake.running("/h")[0]; !strings.HasSuffix(third, "._app.2") {
			t.Errorf("the instance did not stay: %s then %s", second[0], third)
		}
	})
}

func TestARestartKeepsToItsBounds(t *testing.T) {
	for _, c := range []struct {
		instances          int
		healthy, over      float64
		least, most, total int // least running, most in all
	}{
		{4, 1, 1, 4, 8, 4}, {4, 0.5, 0, 2, 4, 4}, {4, 1, 0, 4, 5, 4}, {4, 0, 0, 0, 4, 4}, {3, 0.5, 0.5, 2, 4, 3}, {1, 1, 1, 1, 2, 1},
	} {
		t.Run(fmt.Sprintf("%d of %v and %v", c.instances, c.healthy, c.over), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				const app = `{"id":"/r","cmd":"%s","instances":%d,"upgradeStrategy":{"minimumHealthCapacity":%v,"maximumOverCapacity":%v}}`
				r.call(201, "POST", "/v2/apps", fmt.Sprintf(app, "one 1", c.instances, c.healthy, c.over))
				r.settled()
				old := r.fake.running("/r")
				r.fake.deadly = true
				r.fake.gate(true)
				r.call(200, "PUT", "/v2/apps//r?partialUpdate=false", fmt.Sprintf(app, "two 2", c.instances, c.healthy, c.over))
				synctest.Wait()
				all := r.fake.running("/r")
				kept := 0
				for _, id := range old {
					if slices.Contains(all, id) {
						kept++
					}
				}
				if kept != c.least || len(all) != c.most {
					t.Errorf("while it waits: %d old of %d, want %d of %d", kept, len(all), c.least, c.most)
				}
				r.fake.gate(false)
				r.settled()
				if got := r.fake.running("/r"); len(got) != c.total || slices.ContainsFunc(got, func(id string) bool { return slices.Contains(old, id) }) {
					t.Errorf("at last: %v, before: %v", got, old)
				}
			})
		})
	}
}

func TestDependenciesAreStartedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.fake.gate(true)
		r.call(200, "PUT", "/v2/apps", `[{"id":"/api","cmd":"sleep 1","dependencies":["/db"]},{"id":"/db","cmd":"sleep 1"}]`)
		synctest.Wait()
		if len(r.fake.running("/db")) != 1 || len(r.fake.running("/api")) != 0 {
			t.Fatal("api did not wait for db")
		}
		r.fake.gate(false)
		r.settled()
		if len(r.fake.running("/api")) != 1 {
			t.Fatal("api did not start")
		}
	})
}

func TestWhatTheAgentCannotOfferIsSaidInTheQueue(t *testing.T) {
	for _, c := range []struct{ app, reason string }{
		{`"cpus":99999`, state.InsufficientCPUs}, {`"mem":9999999`, state.InsufficientMemory}, {`"disk":99999999`, state.InsufficientDisk},
		{`"gpus":1`, state.InsufficientGPUs}, {`"acceptedResourceRoles":["dev"],"role":"dev"`, state.UnfulfilledRole},
		{`"constraints":[["hostname","CLUSTER","elsewhere"]]`, state.UnfulfilledConstraint}, {`"constraints":[["hostname","UNLIKE","127.*"]]`, state.UnfulfilledConstraint},
		{`"instances":3,"constraints":[["hostname","MAX_PER","2"]]`, state.UnfulfilledConstraint},
		{`"constraints":[["rack","LIKE","a"]]`, state.UnfulfilledConstraint},
		{`"instances":2,"constraints":[["hostname","UNIQUE"]]`, state.UnfulfilledConstraint},
	} {
		t.Run(c.app, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(o *Options) { o.Cluster.Features = []string{"gpu_resources"} })
				r.call(201, "POST", "/v2/apps", `{"id":"/dev/q","cmd":"sleep 1",`+c.app+`}`)
				synctest.Wait()
				q := r.call(200, "GET", "/v2/queue?embed=lastUnusedOffers", "")["queue"].([]any)
				if len(q) != 1 {
					t.Fatalf("queue %v", q)
				}
				summary := q[0].(map[string]any)["processedOffersSummary"].(map[string]any)
				var declined []string
				for _, v := range summary["rejectSummaryLastOffers"].([]any) {
					if s := v.(map[string]any); s["declined"] != 0.0 {
						declined = append(declined, s["reason"].(string))
					}
				}
				if !slices.Equal(declined, []string{c.reason}) {
					t.Errorf("declined by %v, want %s", declined, c.reason)
				}
			})
		})
	}
}

func TestAnImageWaitsForAnEngineAndTheQueueSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.fake.mu.Lock()
		r.fake.ready = func(task executor.Task) error {
			if task.Container != nil {
				return errors.New("no Docker engine answers")
			}
			return nil
		}
		r.fake.mu.Unlock()
		r.call(201, "POST", "/v2/apps", `{"id":"/d","container":{"type":"DOCKER","docker":{"image":"nginx"}}}`)
		synctest.Wait()
		q := r.call(200, "GET", "/v2/queue", "")["queue"].([]any)
		if len(q) != 1 || q[0].(map[string]any)["waitsFor"] != "no Docker engine answers" {
			t.Fatalf("queue %v", q)
		}
		r.fake.mu.Lock()
		r.fake.ready = nil
		r.fake.mu.Unlock()
		r.settled()
		if len(r.fake.running("/d")) != 1 {
			t.Error("it did not start when the engine answered")
		}
	})
}

// TestWhatOneAgentFulfils: these ask for nothing that one agent has not.
func TestWhatOneAgentFulfils(t *testing.T) {
	for _, app := range []string{
		`"constraints":[["hostname","UNIQUE"]]`, `"instances":2,"constraints":[["hostname","MAX_PER","2"]]`,
		`"instances":3,"constraints":[["hostname","GROUP_BY"]]`, `"constraints":[["hostname","LIKE","127\\..*"],["rack","UNLIKE","a"]]`,
		`"constraints":[["rack","IS","b"],["@hostname","CLUSTER","127.0.0.1"]]`,
		`"unreachableStrategy":{"inactiveAfterSeconds":60,"expungeAfterSeconds":120}`, `"unreachableStrategy":"disabled"`,
	} {
		t.Run(app, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(o *Options) { o.Agent.Attributes = map[string]string{"rack": "b"} })
				r.call(201, "POST", "/v2/apps", `{"id":"/q","cmd":"sleep 1",`+app+`}`)
				synctest.Wait()
				live := r.app("/q")
				if live["tasksRunning"] != live["instances"] || len(live["deployments"].([]any)) != 0 {
					t.Errorf("%v of %v run; deployments %v", live["tasksRunning"], live["instances"], live["deployments"])
				}
				var given map[string]any
				if err := json.Unmarshal([]byte("{"+app+"}"), &given); err != nil {
					t.Fatal(err)
				}
				if want := given["unreachableStrategy"]; want != nil && fmt.Sprint(live["unreachableStrategy"]) != fmt.Sprint(want) {
					t.Errorf("unreachableStrategy %v, want %v", live["unreachableStrategy"], want)
				}
			})
		})
	}
}

func TestAnEngineThatHangsHoldsUpNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		answers := make(chan error)
		r.fake.ready = func(executor.Task) error { return <-answers }
		r.call(201, "POST", "/v2/apps", `{"id":"/d","container":{"type":"DOCKER","docker":{"image":"nginx"}}}`)
		synctest.Wait()
		r.call(201, "POST", "/v2/apps", `{"id":"/p","cmd":"sleep 1"}`)
		r.await("the process", func() bool { return len(r.fake.running("/p")) == 1 })
		if q := r.call(200, "GET", "/v2/queue", "")["queue"].([]any); len(q) != 1 || len(r.fake.running("/d")) != 0 {
			t.Errorf("queue %v, tasks %v", q, r.fake.running("/d"))
		}
		answers <- nil
		r.settled()
		if len(r.fake.running("/d")) != 1 {
			t.Error("it did not start when the engine answered")
		}
	})
}

func TestLocksForceCancelAndRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.call(201, "POST", "/v2/apps", `{"id":"/l","cmd":"sleep 1"}`)
		r.settled()
		first := r.fake.running("/l")
		stuck := r.call(200, "PUT", "/v2/apps//l", `{"cpus":99999}`)["deploymentId"].(string)
		out := r.call(409, "PUT", "/v2/apps//l", `{"cpus":1}`)
		if ds := out["deployments"].([]any); len(ds) != 1 || ds[0].(map[string]any)["id"] != stuck {
			t.Errorf("409 names %v", ds)
		}
		r.call(200, "DELETE", "/v2/deployments/"+stuck, "")
		r.settled()
		if got := r.app("/l"); got["cpus"] != 1.0 {
			t.Errorf("the rollback left cpus %v", got["cpus"])
		}
		if now := r.fake.running("/l"); len(now) != 1 || now[0] == first[0] {
			t.Errorf("the rollback did not restart: %v", now)
		}
		stuck = r.call(200, "PUT", "/v2/apps//l", `{"cpus":99999}`)["deploymentId"].(string)
		if w := r.raw("DELETE", "/v2/deployments/"+stuck+"?force=true", ""); w.Code != http.StatusAccepted || w.Body.Len() != 0 {
			t.Errorf("cancel: %d %s", w.Code, w.Body)
		}
		if got := r.app("/l"); got["cpus"] != 99999.0 || got["tasksRunning"] != 1.0 {
			t.Errorf("the cancel changed %v", got)
		}
		r.call(200, "PUT", "/v2/apps//l?force=true", `{"cpus":0.5}`)
		r.settled()
		if now := r.fake.running("/l"); len(now) != 1 || r.fake.ran[now[0]].CPUs != 0.5 {
			t.Errorf("after the fix: %v", now)
		}
	})
}

func TestKillWithAndWithoutScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.call(201, "POST", "/v2/apps", `{"id":"/k","cmd":"sleep 1","instances":3}`)
		r.settled()
		victim := r.fake.running("/k")[1]
		r.call(200, "DELETE", "/v2/apps//k/tasks/"+victim+"?scale=true", "")
		r.settled()
		if now := r.fake.running("/k"); len(now) != 2 || slices.Contains(now, victim) || r.app("/k")["instances"] != 2.0 {
			t.Errorf("after kill and scale: %v", now)
		}
		victim = r.fake.running("/k")[0]
		r.call(200, "POST", "/v2/tasks/delete", `{"ids":["`+victim+`"]}`)
		r.await("the replacement", func() bool {
			now := r.fake.running("/k")
			return len(now) == 2 && !slices.Contains(now, victim)
		})
		if r.app("/k")["instances"] != 2.0 {
			t.Error("a kill alone changed the count")
		}
	})
}

func TestReadinessHoldsADeploymentBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.prober.set(nil, 503)
		r.call(201, "POST", "/v2/apps", `{"id":"/rd","cmd":"sleep 1","portDefinitions":[{"port":0,"name":"http-api"}],
			"readinessChecks":[{"name":"ready","protocol":"HTTP","path":"/","portName":"http-api","intervalSeconds":2,"timeoutSeconds":1,"preserveLastResponse":true}]}`)
		response := func() any {
			t.Helper()
			time.Sleep(10 * time.Second)
			ds := r.call(200, "GET", "/v2/deployments", "")[""].([]any)
			results := ds[0].(map[string]any)["currentActions"].([]any)[0].(map[string]any)["readinessCheckResults"].([]any)
			if len(results) != 1 || results[0].(map[string]any)["ready"] != false || results[0].(map[string]any)["name"] != "ready" {
				t.Fatalf("readiness %v", results)
			}
			if again := r.call(200, "GET", "/v2/apps//rd?embed=app.readiness", "")["app"].(map[string]any)["readinessCheckResults"]; fmt.Sprint(again) != fmt.Sprint(results) {
				t.Errorf("the app shows %v, the deployment %v", again, results)
			}
			return results[0].(map[string]any)["lastResponse"]
		}
		if got, want := fmt.Sprint(response()), "map[body:not yet contentType:text/plain status:503]"; got != want {
			t.Errorf("the last response is %s, want %s", got, want)
		}
		r.prober.set(errors.New("connection refused"), 0)
		port := r.app("/rd")["tasks"].([]any)[0].(map[string]any)["ports"].([]any)[0]
		if got, want := fmt.Sprint(response()), fmt.Sprintf("map[body:Marathon could not query http://127.0.0.1:%v/: connection refused contentType:text/plain status:504]", port); got != want {
			t.Errorf("the last response is %s, want %s", got, want)
		}
		r.prober.set(nil, 200)
		r.settled()
		if last := r.call(200, "GET", "/v2/apps//rd?embed=app.readiness", "")["app"].(map[string]any)["readinessCheckResults"].([]any); len(last) != 0 {
			t.Errorf("after the deployment: %v", last)
		}
	})
}

func TestAPodsContainersShareAFate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.call(201, "POST", "/v2/pods", `{"id":"/p","networks":[{"mode":"host"}],"containers":[
			{"name":"web","exec":{"command":{"shell":"serve"}},"resources":{"cpus":0.1,"mem":8},"endpoints":[{"name":"http","hostPort":0,"protocol":["tcp"]}]},
			{"name":"side","exec":{"command":{"argv":["watch"]}},"resources":{"cpus":0.1,"mem":8}}]}`)
		r.settled()
		two := r.fake.running("/p")
		slices.Sort(two)
		if len(two) != 2 || !strings.HasSuffix(two[0], ".side.1") || !strings.HasSuffix(two[1], ".web.1") {
			t.Fatalf("tasks %v", two)
		}
		port := fmt.Sprint(r.fake.ran[two[1]].Ports[0].Host)
		for _, id := range two {
			if got := r.fake.ran[id].Env["ENDPOINT_HTTP"]; got != port {
				t.Errorf("%s is told port %q, want %s", id, got, port)
			}
		}
		r.fake.end(two[0], executor.Failed, "Command exited with status 1")
		synctest.Wait()
		ended, _ := r.call(200, "GET", "/v2/pods//p::status", "")["terminationHistory"].([]any)
		if len(ended) != 1 || ended[0].(map[string]any)["message"] != "Command exited with status 1" {
			t.Errorf("while it waits: terminationHistory %v", ended)
		}
		r.await("both anew", func() bool {
			now := r.fake.running("/p")
			return len(now) == 2 && !slices.Contains(now, two[0]) && !slices.Contains(now, two[1])
		})
		synctest.Wait()
		s := r.call(200, "GET", "/v2/pods//p::status", "")
		if s["status"] != "STABLE" {
			t.Errorf("status %v", s["status"])
		}
		// Marathon tells it of tasks that an instance still has: those of now.
		if ended := s["terminationHistory"].([]any); len(ended) != 0 {
			t.Errorf("after the next launch: terminationHistory %v", ended)
		}
	})
}

// TestALifeIsToldInFull wants each event of the life of a sick task.
func TestALifeIsToldInFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		rec := r.events("")
		r.call(201, "POST", "/v2/apps", `{"id":"/t","cmd":"sleep 1","healthChecks":[{"protocol":"TCP","portIndex":0,"gracePeriodSeconds":0,"intervalSeconds":1,"maxConsecutiveFailures":1}]}`)
		r.settled()
		r.prober.set(errors.New("refused"), 0)
		r.await("the kill", func() bool { return rec.count("unhealthy_instance_kill_event") == 1 })
		r.prober.set(nil, 200)
		r.call(409, "POST", "/v2/apps", `{"id":"/t","cmd":"sleep 1"}`)
		r.call(200, "PUT", "/v2/apps//t", `{"cpus":99999}`)
		r.call(409, "PUT", "/v2/apps//t", `{"cpus":1}`)
		r.call(200, "DELETE", "/v2/apps//t", "")
		r.settled()
		synctest.Wait()
		for name, least := range map[string]int{
			"failed_health_check_event": 2, "health_status_changed_event": 2, "instance_health_changed_event": 2, "status_update_event": 3,
			"group_change_failed": 1, "deployment_failed": 2, "app_terminated_event": 1, "api_post_event": 2, "deployment_success": 2,
		} {
			if got := rec.count(name); got < least {
				t.Errorf("%s came %d times, want %d", name, got, least)
			}
		}
	})
}

// With the feature task_killing, a task that is to end is shown as TASK_KILLING
// and does not count as running any more; without it nothing tells.
func TestTasksThatEndAreToldWithTheFeatureAlone(t *testing.T) {
	for features, want := range map[string]struct {
		state   string
		running float64
	}{"": {"TASK_RUNNING", 1}, "task_killing": {"TASK_KILLING", 0}} {
		t.Run(features, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(o *Options) { o.Cluster.Features = strings.Fields(features) })
				r.call(201, "POST", "/v2/apps", `{"id":"/slow","cmd":"sleep 1","labels":{"local.slow-to-die":"60"}}`)
				synctest.Wait()
				r.call(200, "PUT", "/v2/apps//slow", `{"instances":0}`)
				time.Sleep(30 * time.Second)
				app := r.app("/slow")
				tasks := app["tasks"].([]any)
				if len(tasks) != 1 || tasks[0].(map[string]any)["state"] != want.state || app["tasksRunning"] != want.running {
					t.Errorf("%v running, tasks %v", app["tasksRunning"], tasks)
				}
				time.Sleep(31 * time.Second)
				if app := r.app("/slow"); len(app["tasks"].([]any)) != 0 || len(app["deployments"].([]any)) != 0 {
					t.Errorf("in the end: tasks %v, deployments %v", app["tasks"], app["deployments"])
				}
			})
		})
	}
}

// A new instance that a client wipes while a restart goes on is not replaced until
// an old one has gone: Marathon's TaskReplaceActor starts new ones only then.
func TestAWipedInstanceOfARestartIsNotReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.call(201, "POST", "/v2/apps", `{"id":"/w","cmd":"sleep 1","instances":2}`)
		synctest.Wait()
		r.call(200, "PUT", "/v2/apps//w", `{"labels":{"local.never-start":"true"}}`)
		synctest.Wait()
		tasks := func(state string) (ids []string) {
			for _, v := range r.app("/w")["tasks"].([]any) {
				if task := v.(map[string]any); task["state"] == state {
					ids = append(ids, task["id"].(string))
				}
			}
			return ids
		}
		running, staging := tasks("TASK_RUNNING"), tasks("TASK_STAGING")
		if len(running) != 2 || len(staging) != 2 {
			t.Fatalf("running %v, staging %v", running, staging)
		}
		r.call(200, "POST", "/v2/tasks/delete?wipe=true", fmt.Sprintf(`{"ids":["%s","%s"]}`, staging[0], staging[1]))
		time.Sleep(time.Minute)
		if now := tasks("TASK_STAGING"); len(now) != 0 || !slices.Equal(tasks("TASK_RUNNING"), running) {
			t.Errorf("after the wipe: staging %v, running %v, before %v", now, tasks("TASK_RUNNING"), running)
		}
		r.call(200, "POST", "/v2/tasks/delete", fmt.Sprintf(`{"ids":["%s"]}`, running[0])) // an old one goes
		time.Sleep(time.Minute)
		if now := tasks("TASK_STAGING"); len(now) != 2 {
			t.Errorf("after an old one has gone: staging %v", now)
		}
	})
}
