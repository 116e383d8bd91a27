package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/manifests"
)

// cluster is a Marathon in memory, in the time of the test. It has what an
// apply has to live with: one lock for each app of a deployment, force that
// cancels whole deployments, deployments that are forgotten when they end, a
// restart as the only way to replace tasks whose definition is stored already.
// An app with the command "hang" never starts a task; "crash" loses each one.
type cluster struct {
	mu          sync.Mutex
	apps        map[string]*fakeApp
	pods        map[string]*fakePod
	groups      map[string]*manifests.Group
	deployments []*fakeDeployment
	serial      int
	startup     time.Duration

	// before and after are asked with "METHOD id" around each write: an error
	// of before hinders it, one of after only hides its answer.
	before, after func(call string) error
	unreadable    error
	calls         []string
	writes        map[string]int // successful ones, by id
	restarts      map[string]int // of tasks, by id
	deleted       []string
	maxRunning    int
	peak          int // deployments at once

	// What requests cost, in time: nil for nothing.
	putCost  func(changed, there int) time.Duration
	listCost func(there int) time.Duration
	lists    int
}

type fakeApp struct {
	def     *manifests.App
	version time.Time
	config  time.Time // lastConfigChangeAt
	tasks   []*fakeTask
	surplus time.Time // till then tasks that are too many are not ended
	failure *marathon.TaskFailure
}

// trim ends the tasks that are too many.
func (a *fakeApp) trim(now time.Time) {
	if !now.Before(a.surplus) {
		a.tasks = a.tasks[:min(len(a.tasks), a.def.Count())]
	}
}

type fakeTask struct {
	version time.Time
	running time.Time
}

type fakePod struct {
	def     *manifests.Pod
	version time.Time
	since   time.Time
}

type fakeDeployment struct {
	marathon.Deployment
	restart map[string]bool
	stop    bool
	ends    time.Time // of pods, groups and stops
}

func newCluster() *cluster {
	return &cluster{apps: map[string]*fakeApp{}, pods: map[string]*fakePod{}, groups: map[string]*manifests.Group{},
		writes: map[string]int{}, restarts: map[string]int{}, startup: time.Second, maxRunning: 100}
}

func hangs(a *manifests.App) bool { return a.Cmd != nil && (*a.Cmd == "hang" || *a.Cmd == "crash") }

// crash ends the tasks of a command such as "loop 3s" when they have run for so
// long, and launches the next ones a back-off later.
func (a *fakeApp) crash(id string, now time.Time, startup time.Duration) {
	var life time.Duration
	if a.def.Cmd != nil {
		text, _ := strings.CutPrefix(*a.def.Cmd, "loop ")
		life, _ = time.ParseDuration(text)
	}
	for _, t := range a.tasks {
		for end := t.running.Add(life); life > 0 && !now.Before(end); end = t.running.Add(life) {
			a.failure = &marathon.TaskFailure{AppID: id, TaskID: id + end.String(), Message: "Command exited with status 1", State: "TASK_FAILED", Version: t.version, Timestamp: end, Host: "h"}
			t.running = end.Add(time.Second + startup)
		}
	}
}

// tick brings everything to the present. c.mu is held.
func (c *cluster) tick() {
	now := time.Now()
	for id, a := range c.apps {
		a.crash(id, now, c.startup)
	}
	for changed := true; changed; {
		changed = false
		for _, d := range slices.Clone(c.deployments) {
			if c.ended(d, now) {
				c.deployments = slices.DeleteFunc(c.deployments, func(x *fakeDeployment) bool { return x == d })
				changed = true
			}
		}
	}
	for id, a := range c.apps { // a launch queue works without any deployment
		if len(c.holding(id)) == 0 && !hangs(a.def) {
			for len(a.tasks) < a.def.Count() && len(a.tasks) > 0 {
				a.tasks = append(a.tasks, &fakeTask{a.version, now.Add(c.startup)})
			}
			a.trim(now)
		}
	}
}

// ended works on a deployment and says whether it is done.
func (c *cluster) ended(d *fakeDeployment, now time.Time) bool {
	if d.stop || len(d.AffectedApps) == 0 {
		return !now.Before(d.ends)
	}
	done := true
	for _, id := range d.AffectedApps {
		a := c.apps[id]
		if a == nil {
			continue
		}
		n := a.def.Count()
		if d.restart[id] && !hangs(a.def) {
			fresh := 0
			for _, t := range a.tasks {
				if !t.version.Before(a.config) {
					fresh++
				}
			}
			for ; fresh < n; fresh++ {
				a.tasks = append(a.tasks, &fakeTask{a.version, now.Add(c.startup)})
			}
			up := len(a.tasks) > 0 || n == 0
			for _, t := range a.tasks {
				if !t.version.Before(a.config) && now.Before(t.running) {
					up = false
				}
			}
			if up {
				before := len(a.tasks)
				a.tasks = slices.DeleteFunc(a.tasks, func(t *fakeTask) bool { return t.version.Before(a.config) })
				c.restarts[id] += before - len(a.tasks)
			}
			done = done && up
			continue
		}
		if hangs(a.def) && n > 0 && (len(a.tasks) < n || d.restart[id]) {
			a.failure = nil
			if *a.def.Cmd == "crash" {
				a.failure = &marathon.TaskFailure{AppID: id, Message: "Command exited with status 127", State: "TASK_FAILED", Version: a.version, Timestamp: now, Host: "h"}
			}
			done = false
			continue
		}
		for len(a.tasks) < n {
			a.tasks = append(a.tasks, &fakeTask{a.version, now.Add(c.startup)})
		}
		a.trim(now)
		for _, t := range a.tasks {
			if now.Before(t.running) {
				done = false
			}
		}
	}
	return done
}

func (c *cluster) holding(id string) []string {
	var ids []string
	for _, d := range c.deployments {
		if slices.Contains(d.Affected(), id) {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// version is a time that no other version has.
func (c *cluster) newVersion() time.Time {
	c.serial++
	return time.Now().Truncate(time.Millisecond).Add(time.Duration(c.serial) * time.Microsecond)
}

// deploy takes the locks, or says who has them.
func (c *cluster) deploy(force bool, apps, pods []string) (*fakeDeployment, error) {
	var conflicts []string
	for _, id := range slices.Concat(apps, pods) {
		conflicts = append(conflicts, c.holding(id)...)
	}
	slices.Sort(conflicts)
	conflicts = slices.Compact(conflicts)
	if len(conflicts) > 0 && !force {
		return nil, &marathon.Error{Status: 409, Sent: true, Message: "App is locked by one or more deployments.", Deployments: conflicts}
	}
	c.deployments = slices.DeleteFunc(c.deployments, func(d *fakeDeployment) bool { return slices.Contains(conflicts, d.ID) })
	if len(c.deployments) >= c.maxRunning {
		return nil, &marathon.Error{Status: 403, Sent: true, Message: "Max number (100) of running deployments is achieved."}
	}
	c.serial++
	d := &fakeDeployment{restart: map[string]bool{}, ends: time.Now().Add(c.startup)}
	d.ID = fmt.Sprintf("d%d", c.serial)
	d.AffectedApps, d.AffectedPods = apps, pods
	for _, id := range apps {
		d.CurrentActions = append(d.CurrentActions, marathon.Action{Action: "ScaleApplication", App: id})
	}
	c.deployments = append(c.deployments, d)
	c.peak = max(c.peak, len(c.deployments))
	return d, nil
}

// theirs marks the context of what somebody else does: no fault meets it.
type theirs struct{}

// call wraps a write: faults before and after, and what is remembered of it.
func (c *cluster) call(ctx context.Context, name string, ids []string, write func() (marathon.Receipt, error)) (marathon.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, name)
	if err := ctx.Err(); err != nil {
		return marathon.Receipt{}, &marathon.Error{Cause: err}
	}
	ours := ctx.Value(theirs{}) == nil
	if c.before != nil && ours {
		if err := c.before(name); err != nil {
			return marathon.Receipt{}, err
		}
	}
	if c.putCost != nil {
		time.Sleep(c.putCost(len(ids), len(c.apps)))
	}
	c.tick()
	r, err := write()
	if err == nil {
		for _, id := range ids {
			if ours {
				c.writes[id]++
			}
		}
		c.tick()
		if c.after != nil && ours {
			if err := c.after(name); err != nil {
				return marathon.Receipt{}, err
			}
		}
		if ctx.Err() != nil { // nobody waits for the answer any more
			return marathon.Receipt{}, &marathon.Error{Sent: true, Cause: ctx.Err()}
		}
	}
	return r, err
}

func clone[T any](v *T) *T {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	out := new(T)
	if err := json.Unmarshal(b, out); err != nil {
		panic(err)
	}
	return out
}

// put stores definitions in one deployment.
func (c *cluster) put(defs []*manifests.App, force bool) (marathon.Receipt, error) {
	var changed []string
	for _, a := range defs {
		if a.Cmd == nil {
			return marathon.Receipt{}, &marathon.Error{Status: 422, Sent: true, Message: "Object is not valid",
				Details: []marathon.Detail{{Path: "/apps/" + a.ID + "/cmd", Errors: []string{"is missing"}}}}
		}
		if old := c.apps[a.ID]; old == nil || manifests.HashApp(old.def) != manifests.HashApp(a) {
			changed = append(changed, a.ID)
		}
	}
	if len(changed) == 0 {
		return marathon.Receipt{Deployment: "noop", Version: "noop"}, nil
	}
	d, err := c.deploy(force, changed, nil)
	if err != nil {
		return marathon.Receipt{}, err
	}
	version := c.newVersion()
	for _, a := range defs {
		old := c.apps[a.ID]
		switch {
		case !slices.Contains(changed, a.ID):
			continue
		case old == nil:
			c.apps[a.ID] = &fakeApp{def: clone(a), version: version, config: version}
			continue
		}
		was, is := *old.def, *a
		was.Instances, is.Instances = nil, nil
		old.def, old.version = clone(a), version
		if manifests.HashApp(&was) != manifests.HashApp(&is) {
			old.config = version
			d.restart[a.ID] = true
		}
	}
	return marathon.Receipt{Deployment: d.ID, Version: version.Format(time.RFC3339Nano)}, nil
}

func notFound(id string) error {
	return &marathon.Error{Status: 404, Sent: true, Message: "App '" + id + "' does not exist"}
}

func (c *cluster) CreateApp(ctx context.Context, a *manifests.App, force bool) (marathon.Receipt, error) {
	return c.call(ctx, verb("POST", force)+a.ID, []string{a.ID}, func() (marathon.Receipt, error) {
		if c.apps[a.ID] != nil {
			return marathon.Receipt{}, &marathon.Error{Status: 409, Sent: true, Message: "An app with id [" + a.ID + "] already exists."}
		}
		return c.put([]*manifests.App{a}, force)
	})
}

func (c *cluster) PutApp(ctx context.Context, a *manifests.App, force bool) (marathon.Receipt, error) {
	return c.call(ctx, verb("PUT", force)+a.ID, []string{a.ID}, func() (marathon.Receipt, error) {
		return c.put([]*manifests.App{a}, force)
	})
}

func (c *cluster) MergeApp(ctx context.Context, a *manifests.App, force bool) (marathon.Receipt, error) {
	return c.call(ctx, verb("MERGE", force)+a.ID, []string{a.ID}, func() (marathon.Receipt, error) {
		return c.put([]*manifests.App{a}, force)
	})
}

func verb(v string, force bool) string {
	if force {
		return v + "! "
	}
	return v + " "
}

func (c *cluster) PutApps(ctx context.Context, apps []*manifests.App, force bool) (marathon.Receipt, error) {
	var ids []string
	for _, a := range apps {
		ids = append(ids, a.ID)
	}
	return c.call(ctx, fmt.Sprintf("ARRAY %d", len(apps)), ids, func() (marathon.Receipt, error) { return c.put(apps, force) })
}

func (c *cluster) DeleteApp(ctx context.Context, id string, force bool) (marathon.Receipt, error) {
	return c.call(ctx, verb("DELETE", force)+id, []string{id}, func() (marathon.Receipt, error) {
		if c.apps[id] == nil {
			return marathon.Receipt{}, notFound(id)
		}
		d, err := c.deploy(force, []string{id}, nil)
		if err != nil {
			return marathon.Receipt{}, err
		}
		d.stop = true
		delete(c.apps, id)
		if ctx.Value(theirs{}) == nil {
			c.deleted = append(c.deleted, id)
		}
		return marathon.Receipt{Deployment: d.ID}, nil
	})
}

func (c *cluster) RestartApp(ctx context.Context, id string, force bool) (marathon.Receipt, error) {
	return c.call(ctx, verb("RESTART", force)+id, []string{id}, func() (marathon.Receipt, error) {
		a := c.apps[id]
		if a == nil {
			return marathon.Receipt{}, notFound(id)
		}
		d, err := c.deploy(force, []string{id}, nil)
		if err != nil {
			return marathon.Receipt{}, err
		}
		a.version = c.newVersion()
		a.config = a.version
		d.restart[id] = true
		return marathon.Receipt{Deployment: d.ID, Version: a.version.Format(time.RFC3339Nano)}, nil
	})
}

func (c *cluster) CreatePod(ctx context.Context, p *manifests.Pod, force bool) (marathon.Receipt, error) {
	return c.PutPod(ctx, p, force)
}

func (c *cluster) CreateGroup(ctx context.Context, g *manifests.Group, force bool) (marathon.Receipt, error) {
	return c.PutGroup(ctx, g, force)
}

func (c *cluster) PutPod(ctx context.Context, p *manifests.Pod, force bool) (marathon.Receipt, error) {
	return c.call(ctx, "PUTPOD "+p.ID, []string{p.ID}, func() (marathon.Receipt, error) {
		d, err := c.deploy(force, nil, []string{p.ID})
		if err != nil {
			return marathon.Receipt{}, err
		}
		c.pods[p.ID] = &fakePod{clone(p), c.newVersion(), time.Now().Add(c.startup)}
		return marathon.Receipt{Deployment: d.ID}, nil
	})
}

func (c *cluster) DeletePod(ctx context.Context, id string, force bool) (marathon.Receipt, error) {
	return c.call(ctx, "DELPOD "+id, []string{id}, func() (marathon.Receipt, error) {
		if c.pods[id] == nil {
			return marathon.Receipt{}, notFound(id)
		}
		d, err := c.deploy(force, nil, []string{id})
		if err != nil {
			return marathon.Receipt{}, err
		}
		delete(c.pods, id)
		return marathon.Receipt{Deployment: d.ID}, nil
	})
}

func (c *cluster) PutGroup(ctx context.Context, g *manifests.Group, force bool) (marathon.Receipt, error) {
	return c.call(ctx, "PUTGROUP "+g.ID, []string{g.ID}, func() (marathon.Receipt, error) {
		c.groups[g.ID] = clone(g)
		return marathon.Receipt{Deployment: "noop"}, nil
	})
}

func (c *cluster) DeleteGroup(ctx context.Context, id string, force bool) (marathon.Receipt, error) {
	return c.call(ctx, "DELGROUP "+id, []string{id}, func() (marathon.Receipt, error) {
		for app := range c.apps {
			if strings.HasPrefix(app, id+"/") {
				return marathon.Receipt{}, &marathon.Error{Status: 409, Sent: true, Message: "group " + id + " is not empty"}
			}
		}
		delete(c.groups, id)
		return marathon.Receipt{}, nil
	})
}

// read wraps a read.
func (c *cluster) read() (func(), error) {
	c.mu.Lock()
	if c.unreadable != nil {
		c.mu.Unlock()
		return nil, c.unreadable
	}
	c.tick()
	return c.mu.Unlock, nil
}

func (c *cluster) app(id string, tasks bool) marathon.App {
	a, now := c.apps[id], time.Now()
	s := marathon.Status{Version: a.version.Format(time.RFC3339Nano), LastConfigChangeAt: a.config, Deployments: c.holding(id), LastTaskFailure: a.failure}
	app := marathon.App{Definition: a.def}
	if tasks {
		app.Tasks = []marathon.Task{}
	}
	for i, t := range a.tasks {
		if now.Before(t.running) {
			s.Staged++
		} else {
			s.Running++
		}
		if t.version.Before(a.config) || tasks && t.version.After(a.version) {
			s.Outdated++
		}
		if tasks {
			app.Tasks = append(app.Tasks, marathon.Task{ID: fmt.Sprint(i), Version: t.version})
		}
	}
	s.Healthy = s.Running
	app.Status = s
	return app
}

func (c *cluster) Apps(context.Context) (map[string]marathon.App, error) {
	if c.listCost != nil {
		c.mu.Lock()
		cost := c.listCost(len(c.apps))
		c.mu.Unlock()
		time.Sleep(cost) // without the lock: who waits for that keeps the clock of a bubble from going on
	}
	unlock, err := c.read()
	if err != nil {
		return nil, err
	}
	defer unlock()
	c.calls = append(c.calls, "LIST")
	c.lists++
	out := map[string]marathon.App{}
	for id := range c.apps {
		out[id] = c.app(id, false)
	}
	return out, nil
}

func (c *cluster) TreeIDs(context.Context) (map[string]bool, error) {
	unlock, err := c.read()
	if err != nil {
		return nil, err
	}
	defer unlock()
	ids := map[string]bool{}
	for id := range c.apps {
		ids[id] = true
	}
	return ids, nil
}

func (c *cluster) App(_ context.Context, id string) (marathon.App, error) {
	unlock, err := c.read()
	if err != nil {
		return marathon.App{}, err
	}
	defer unlock()
	if c.apps[id] == nil {
		return marathon.App{}, notFound(id)
	}
	return c.app(id, true), nil
}

func (c *cluster) pod(id string) marathon.Pod {
	p := c.pods[id]
	s := marathon.Status{Version: p.version.Format(time.RFC3339Nano)}
	if n := p.def.Count(); time.Now().Before(p.since) {
		s.Staged = n
	} else {
		s.Running, s.Healthy = n, n
	}
	return marathon.Pod{Definition: clone(p.def), Status: s}
}

func (c *cluster) Pods(context.Context) (map[string]marathon.Pod, error) {
	unlock, err := c.read()
	if err != nil {
		return nil, err
	}
	defer unlock()
	out := map[string]marathon.Pod{}
	for id := range c.pods {
		out[id] = c.pod(id)
	}
	return out, nil
}

func (c *cluster) Pod(_ context.Context, id string) (marathon.Pod, error) {
	unlock, err := c.read()
	if err != nil {
		return marathon.Pod{}, err
	}
	defer unlock()
	if c.pods[id] == nil {
		return marathon.Pod{}, notFound(id)
	}
	return c.pod(id), nil
}

func (c *cluster) Deployments(context.Context) ([]marathon.Deployment, error) {
	unlock, err := c.read()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []marathon.Deployment
	for _, d := range c.deployments {
		out = append(out, d.Deployment)
	}
	return out, nil
}

func (c *cluster) Queue(context.Context) ([]marathon.QueueItem, error) {
	unlock, err := c.read()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []marathon.QueueItem
	for _, id := range slices.Sorted(maps.Keys(c.apps)) {
		if a := c.apps[id]; a.def.Cmd != nil && *a.def.Cmd == "hang" && len(c.holding(id)) > 0 {
			q := marathon.QueueItem{ID: id, Kind: manifests.KindApp, Count: 1, Role: "*"}
			q.Delay.Overdue = true
			q.Summary.Processed, q.Summary.Unused = 57, 57
			q.Summary.LastOffers = []marathon.RejectStage{{Reason: "InsufficientCpus", Declined: 50, Processed: 50}}
			q.App = a.def
			out = append(out, q)
		}
	}
	return out, nil
}

// has puts apps there, running, before a test begins.
func (c *cluster) has(apps ...*manifests.App) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range apps {
		v := c.newVersion()
		f := &fakeApp{def: clone(a), version: v, config: v}
		for range a.Count() {
			f.tasks = append(f.tasks, &fakeTask{v, time.Now()})
		}
		c.apps[a.ID] = f
	}
}

// foreign begins a deployment that Pacer knows nothing of.
func (c *cluster) foreign(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, err := c.deploy(true, []string{id}, nil)
	if err != nil {
		panic(err)
	}
	d.stop, d.ends = true, time.Now().Add(20*time.Second)
	return d.ID
}
