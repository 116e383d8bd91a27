package local

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func TestAppsComeBackFromTheDataFolder(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		inFolder := func(o *Options) { o.Data = dir }
		r := newRig(t, inFolder)
		r.call(201, "POST", "/v2/apps", `{"id":"/g/a","cmd":"sleep 1","instances":2,"labels":{"k":"v"}}`)
		r.call(201, "POST", "/v2/pods", `{"id":"/g/p","containers":[{"name":"c","exec":{"command":{"shell":"x"}},"resources":{"cpus":0.1,"mem":8}}]}`)
		r.call(200, "PATCH", "/v2/groups/g", `{"enforceRole":true}`)
		r.settled()
		before := r.app("/g/a")
		group := r.call(200, "GET", "/v2/groups/g?embed=group.apps", "")

		if _, err := newMarathon(Options{Executor: (&fake{}).make, Data: dir}, r.prober); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Fatalf("a second one on the same folder: %v", err)
		}
		if err := r.m.Close(); err != nil {
			t.Fatal(err)
		}
		again := newRig(t, inFolder)
		again.await("the tasks", func() bool { return len(again.fake.running("/g/a")) == 2 && len(again.fake.running("/g/p")) == 1 })
		synctest.Wait()
		after := again.app("/g/a")
		for _, f := range []string{"version", "instances", "cmd", "tasksRunning"} {
			if before[f] != after[f] {
				t.Errorf("%s was %v and is %v", f, before[f], after[f])
			}
		}
		if g := again.call(200, "GET", "/v2/groups/g?embed=group.apps", ""); g["enforceRole"] != group["enforceRole"] || g["enforceRole"] != true {
			t.Errorf("enforceRole was %v and is %v", group["enforceRole"], g["enforceRole"])
		}
		if ds := again.call(200, "GET", "/v2/deployments", "")[""].([]any); len(ds) != 0 {
			t.Errorf("deployments %v", ds)
		}
	})
}

func TestDeploymentsAreResumedAfterARestart(t *testing.T) {
	for name, play := range map[string]func(r *rig, again func() *rig){
		"a lock stays, and is rolled back": func(r *rig, again func() *rig) {
			r.call(201, "POST", "/v2/apps", `{"id":"/g/l","cmd":"sleep 1","cpus":1}`)
			r.settled()
			stuck := r.call(200, "PUT", "/v2/apps//g/l", `{"cpus":99999}`)
			r = again()
			now := r.call(200, "GET", "/v2/deployments", "")[""].([]any)
			if len(now) != 1 || now[0].(map[string]any)["id"] != stuck["deploymentId"] || now[0].(map[string]any)["version"] != stuck["version"] {
				r.Fatalf("deployments %v, want %v", now, stuck)
			}
			if out := r.call(409, "PUT", "/v2/apps//g/l", `{"cpus":2}`); !strings.Contains(fmt.Sprint(out["deployments"]), stuck["deploymentId"].(string)) {
				r.Errorf("locked by %v", out)
			}
			r.call(200, "DELETE", "/v2/deployments/"+stuck["deploymentId"].(string), "")
			r.settled()
			if app := r.app("/g/l"); app["cpus"] != 1.0 || len(r.fake.running("/g/l")) != 1 {
				r.Errorf("after the rollback: %v, tasks %v", app["cpus"], r.fake.running("/g/l"))
			}
			r = again()
			if now := r.call(200, "GET", "/v2/deployments", "")[""].([]any); len(now) != 0 {
				r.Errorf("what had ended is back: %v", now)
			}
		},
		"a group's creation is rolled back": func(r *rig, again func() *rig) {
			stuck := r.call(200, "PUT", "/v2/groups/made", `{"apps":[{"id":"a","cmd":"sleep 1","cpus":99999}],"groups":[{"id":"in"}]}`)["deploymentId"].(string)
			r = again()
			r.call(200, "DELETE", "/v2/deployments/"+stuck, "")
			r.settled()
			r.call(404, "GET", "/v2/groups/made", "")
		},
		"dependencies come first": func(r *rig, again func() *rig) {
			r.call(200, "PUT", "/v2/apps", `[{"id":"/api","cmd":"sleep 1","dependencies":["/db"]},{"id":"/db","cmd":"sleep 1","cpus":99999}]`)
			r = again()
			synctest.Wait()
			if n := len(r.fake.running("/api")); n != 0 {
				r.Errorf("%d tasks of api did not wait for db", n)
			}
			r.call(200, "PUT", "/v2/apps//db?force=true", `{"cpus":1}`)
			r.settled()
			r.await("both", func() bool { return len(r.fake.running("/api")) == 1 && len(r.fake.running("/db")) == 1 })
		},
		"a deletion takes the volumes with it": func(r *rig, again func() *rig) {
			r.call(201, "POST", "/v2/apps", `{"id":"/dev/db","role":"dev","cmd":"run it","container":{"type":"MESOS","volumes":[{"containerPath":"data","mode":"RW","persistent":{"size":10}}]}}`)
			r.settled()
			r.fake.mu.Lock()
			var volume string
			for _, task := range r.fake.ran {
				volume = task.Volumes[0].Host
			}
			r.fake.mu.Unlock()
			if err := os.MkdirAll(volume, 0o700); err != nil {
				r.Fatal(err)
			}
			r.fake.gate(true)
			r.call(200, "DELETE", "/v2/apps//dev/db", "")
			synctest.Wait()
			r = again()
			r.settled()
			if _, err := os.Stat(volume); !os.IsNotExist(err) {
				r.Errorf("the volume outlived its app: %v", err)
			}
		},
		"a restart doubles nothing, and what ran before runs": func(r *rig, again func() *rig) {
			r.call(201, "POST", "/v2/apps", `{"id":"/r","cmd":"one 1","instances":3}`)
			r.settled()
			r.fake.gate(true)
			r.call(200, "PUT", "/v2/apps//r", `{"cmd":"two 2"}`)
			synctest.Wait()
			r = again()
			r.settled()
			synctest.Wait()
			if now := r.fake.running("/r"); len(now) != 3 || r.fake.ran[now[0]].Cmd != "two 2" {
				r.Errorf("tasks %v", now)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(o *Options) { o.Data = dir })
				play(r, func() *rig {
					if err := r.m.Close(); err != nil {
						t.Fatal(err)
					}
					r = newRig(t, func(o *Options) { o.Data = dir })
					return r
				})
			})
		})
	}
}

func TestADamagedStateIsNotAnEmptyOne(t *testing.T) {
	for _, file := range []string{"state.json", "deployments.json"} {
		dir := t.TempDir()
		if file != "state.json" {
			if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(`{"format":1,"version":"2026-01-01T00:00:00.000Z"}`), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range []string{"", "{", `{"format":99}`, `{"format":1,"surprise":1}`} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			m, err := newMarathon(Options{Executor: (&fake{}).make, Data: dir}, &healthy{})
			if err == nil {
				m.Close()
				t.Errorf("%q was taken for a %s", text, file)
			} else if !strings.Contains(err.Error(), file) {
				t.Errorf("%q: the error does not name %s: %v", text, file, err)
			}
		}
	}
}

func TestPersistentVolumesStayWithTheirInstance(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		inFolder := func(o *Options) { o.Data = dir; o.Cluster.MesosRole = "dev" }
		r := newRig(t, inFolder)
		const app = `{"id":"/db","cmd":"run it","container":{"type":"MESOS","volumes":[{"containerPath":"data","mode":"RW","persistent":{"size":10}}]}`
		r.call(201, "POST", "/v2/apps", app+`}`)
		r.settled()
		folder := func(r *rig) string {
			t.Helper()
			ids := r.fake.running("/db")
			if len(ids) != 1 {
				t.Fatalf("tasks %v", ids)
			}
			r.fake.mu.Lock()
			defer r.fake.mu.Unlock()
			return r.fake.ran[ids[0]].Volumes[0].Host
		}
		first := folder(r)
		if err := os.MkdirAll(first, 0o700); err != nil {
			t.Fatal(err)
		}
		r.call(200, "PUT", "/v2/apps//db", `{"labels":{"a":"b"}}`)
		r.settled()
		if now := folder(r); now != first {
			t.Errorf("a restart moved the volume from %s to %s", first, now)
		}
		r.call(200, "PUT", "/v2/apps//db", `{"instances":0}`)
		r.settled()
		r.call(200, "PUT", "/v2/apps//db", `{"instances":1}`)
		r.settled()
		if now := folder(r); now != first {
			t.Errorf("scaling down and up moved the volume from %s to %s", first, now)
		}
		if err := r.m.Close(); err != nil {
			t.Fatal(err)
		}
		again := newRig(t, inFolder)
		again.await("the task", func() bool { return len(again.fake.running("/db")) == 1 })
		if now := folder(again); now != first {
			t.Errorf("a new start moved the volume from %s to %s", first, now)
		}
		again.call(200, "DELETE", "/v2/apps//db", "")
		again.settled()
		if _, err := os.Stat(first); !os.IsNotExist(err) {
			t.Errorf("the volume outlived its app: %v", err)
		}
	})
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || slices.ContainsFunc(left, func(p string) bool { return strings.Contains(p, ".new-") }) {
		t.Errorf("left over: %v %v", left, err)
	}
}

// A write whose state cannot be stored (here as on a full disk) is refused, and
// nothing has changed; when there is room again all goes on.
func TestAWriteThatCannotBeStoredChangesNothing(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.Data = dir })
		r.call(201, "POST", "/v2/apps", `{"id":"/a","cmd":"sleep 1"}`)
		r.settled()
		state, aside := filepath.Join(dir, "state.json"), filepath.Join(dir, "aside")
		move := func(from, to string) {
			t.Helper()
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
		move(state, aside)
		if err := os.MkdirAll(filepath.Join(state, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, q := range [][3]string{{"POST", "/v2/apps", `{"id":"/b","cmd":"sleep 1"}`}, {"PUT", "/v2/apps//a", `{"instances":3}`},
			{"DELETE", "/v2/apps//a", ""}, {"PATCH", "/v2/groups/g", `{"enforceRole":true}`}} {
			if w := r.raw(q[0], q[1], q[2]); w.Code != 500 && w.Code != 404 || w.Code == 500 && !strings.Contains(w.Body.String(), "storing the state") {
				t.Errorf("%v: %d %s", q, w.Code, w.Body)
			}
		}
		if got := ids(r, "/v2/apps"); got != "/a" || len(r.fake.running("/a")) != 1 || len(r.call(200, "GET", "/v2/deployments", "")[""].([]any)) != 0 {
			t.Errorf("apps %s, tasks %v", got, r.fake.running("/a"))
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*.new-*")); err != nil || len(left) != 0 {
			t.Errorf("left are %v, %v", left, err)
		}
		if err := os.RemoveAll(state); err != nil {
			t.Fatal(err)
		}
		move(aside, state)
		r.call(200, "PUT", "/v2/apps//a", `{"instances":3}`)
		r.settled()
		if n := len(r.fake.running("/a")); n != 3 {
			t.Errorf("%d tasks", n)
		}
	})
}
