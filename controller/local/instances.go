package local

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/pacer-gitops/pacer/controller/local/executor"
)

// condition is what an instance is at, in Marathon's words.
type condition string

const (
	scheduled   condition = "Scheduled"
	provisioned condition = "Provisioned"
	staging     condition = "Staging"
	starting    condition = "Starting"
	running     condition = "Running"
	finished    condition = "Finished"
	killing     condition = "Killing"
	failed      condition = "Failed"
	killed      condition = "Killed"
)

// instance is one of the count of an app or pod. It stays the same while its
// tasks come and go; one that is not wanted any more ends with its tasks and is
// then removed.
type instance struct {
	id          string
	spec        *spec // what it runs, or will run
	condition   condition
	since       stamp
	incarnation int     // of its tasks, from 1
	tasks       []*task // of this incarnation: one, or one a container; none: it waits for an offer
	past        []*task // of the incarnation before, while it waits: Marathon shows them until the next
	unwanted    bool    // Marathon's goal Decommissioned
	wiped       bool    // its volumes go with it
	readied     bool    // passed its readiness checks
	readiness   *readiness
	healthy     *bool // as last told in an event
}

// task is one task of an instance.
type task struct {
	id, name  string
	instance  *instance
	state     executor.State
	stateAt   stamp
	ports     []int
	ips       []string
	pid       int
	stagedAt  stamp
	startedAt stamp
	health    []*health
	resources resources
	killing   bool
	simulated bool   // by a label: the executor does not know it
	blame     string // why it was ended, where that counts as a failure
	cancel    func() // stops its probes
}

// taskFailure is the last way in which a task of an app ended badly.
type taskFailure struct {
	AppID     string `json:"appId"`
	Host      string `json:"host"`
	Message   string `json:"message"`
	State     string `json:"state"`
	TaskID    string `json:"taskId"`
	Timestamp stamp  `json:"timestamp"`
	Version   stamp  `json:"version"`
	SlaveID   string `json:"slaveId"`
}

func (i *instance) wanted() bool    { return !i.unwanted }
func (i *instance) generation() int { return i.spec.generation }

// current is a task of the instance; nil: none was launched.
func (i *instance) current() *task {
	if len(i.tasks) == 0 {
		return nil
	}
	return i.tasks[0]
}

// consideredHealthy is true without health checks; else each check of each
// task must have succeeded.
func (i *instance) consideredHealthy() bool {
	h := i.health()
	return h == nil && !i.spec.checked() || h != nil && *h
}

// health is nil while not all is known, or nothing is checked.
func (i *instance) health() *bool {
	seen := i.healthSeen()
	if n := 0; len(seen) > 0 {
		for _, t := range i.tasks {
			n += len(t.health)
		}
		if n == len(seen) {
			return new(!slices.Contains(seen, false))
		}
	}
	return nil
}

// healthSeen is what each check has found that has found something.
func (i *instance) healthSeen() []bool {
	var seen []bool
	for _, t := range i.tasks {
		for _, h := range t.health {
			if h.seen {
				seen = append(seen, h.alive)
			}
		}
	}
	return seen
}

// outdated are the wanted instances of an older configuration.
func (m *Marathon) outdated(s *spec) []*instance {
	var old []*instance
	for _, i := range m.instances[s.id] {
		if i.wanted() && i.generation() != s.generation {
			old = append(old, i)
		}
	}
	return old
}

// replaceOrder sorts instances so that the first is the first to be replaced:
// what is not healthy. killSelection has no part in it. Source: Marathon's
// TaskReplaceActor.
func (m *Marathon) replaceOrder(is []*instance) {
	slices.SortStableFunc(is, func(a, b *instance) int {
		return cmp.Compare(b2i(a.current() != nil && a.consideredHealthy()), b2i(b.current() != nil && b.consideredHealthy()))
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// killOrder sorts instances so that the first is the first to go when a count is
// lowered: what is staging, what is starting, what runs, by killSelection; last
// what waits for an offer, surprising as that is. Health has no part in it.
// Source: Marathon's ScalingProposition.
func (m *Marathon) killOrder(s *spec, is []*instance) {
	const waits = 3
	weight := func(i *instance) int {
		if at := slices.Index([]condition{staging, starting, running}, i.condition); at >= 0 {
			return at
		}
		return waits
	}
	slices.SortStableFunc(is, func(a, b *instance) int {
		age := b.activeSince().Compare(a.activeSince().Time)
		if s.oldestFirst() {
			age = -age
		}
		return cmp.Or(cmp.Compare(weight(a), weight(b)), age)
	})
}

// activeSince is when the first task of an instance began to run, else when it
// came to its condition.
func (i *instance) activeSince() stamp {
	first := stamp{}
	for _, t := range i.tasks {
		if !t.startedAt.IsZero() && (first.IsZero() || t.startedAt.Before(first.Time)) {
			first = t.startedAt
		}
	}
	if first.IsZero() {
		return i.since
	}
	return first
}

// scale schedules or ends instances until n are wanted.
func (m *Marathon) scale(s *spec, n int) {
	m.scaleDown(s, n, nil)
	wanted := 0
	for _, i := range m.instances[s.id] {
		if i.wanted() {
			wanted++
		}
	}
	m.schedule(s, n-wanted)
}

// scaleDown ends instances until n are wanted, and those of sentenced in any
// case, first. It returns those that it ends.
func (m *Marathon) scaleDown(s *spec, n int, sentenced []*instance) []*instance {
	var rest, going []*instance
	for _, i := range m.instances[s.id] {
		switch {
		case !i.wanted():
		case slices.Contains(sentenced, i):
			going = append(going, i)
		default:
			rest = append(rest, i)
		}
	}
	m.killOrder(s, rest)
	if more := len(rest) - n; more > 0 {
		going = append(going, rest[:more]...)
	}
	for _, i := range going {
		m.decommission(i)
	}
	return going
}

// schedule adds n instances that wait for an offer.
func (m *Marathon) schedule(s *spec, n int) {
	for range n {
		i := m.unpark(s)
		if i == nil {
			i = &instance{
				id:   strings.ReplaceAll(strings.TrimPrefix(s.id, "/"), "/", "_") + ".instance-" + uuid.NewString(),
				spec: s,
			}
		}
		m.instances[s.id] = append(m.instances[s.id], i)
		m.become(i, scheduled)
		m.expect(s)
	}
	if n > 0 {
		m.poke()
	}
}

// adopt gives waiting instances of the same configuration its newest version.
func (m *Marathon) adopt(s *spec) {
	for _, i := range m.instances[s.id] {
		if i.current() == nil && i.generation() == s.generation {
			i.spec = s
		}
	}
}

// become notes the condition of an instance and tells it.
func (m *Marathon) become(i *instance, c condition) {
	i.condition, i.since = c, m.stampNow()
	if c == provisioned || c == staging || c == starting || c == running {
		m.delayAgain(i.spec)
	}
	m.tellInstance(i)
}

// stampNow is now, where a moment need not be unique.
func (m *Marathon) stampNow() stamp { return stamp{time.Now().UTC().Truncate(time.Millisecond)} }

func (m *Marathon) tellInstance(i *instance) {
	m.publish("instance_changed_event", func() map[string]any {
		var agent, host any
		if len(i.tasks)+len(i.past) > 0 {
			agent, host = m.agentID, m.options.Agent.Hostname
		}
		return map[string]any{
			"instanceId": i.id, "condition": i.condition, "runSpecId": i.spec.id,
			"agentId": agent, "host": host, "runSpecVersion": i.spec.version,
		}
	})
}

// decommission ends an instance for good.
func (m *Marathon) decommission(i *instance) {
	if i.unwanted {
		return
	}
	i.unwanted = true
	if i.current() == nil {
		m.remove(i)
		return
	}
	m.tellInstance(i) // the goal has changed
	m.killTasks(i)
}

// stopAll ends all of an id and says whether all are gone.
func (m *Marathon) stopAll(id string) bool {
	for _, i := range slices.Clone(m.instances[id]) {
		m.decommission(i)
	}
	if len(m.instances[id]) > 0 {
		return false
	}
	m.forget(id)
	m.publish("app_terminated_event", func() map[string]any { return map[string]any{"appId": id} })
	return true
}

// forget drops what is remembered of an id that is gone.
func (m *Marathon) forget(id string) {
	delete(m.instances, id)
	delete(m.delays, id)
	delete(m.offers, id)
	delete(m.failures, id)
	delete(m.history, id)
	for _, i := range m.parked[id] {
		m.dropVolumes(i)
	}
	delete(m.parked, id)
}

func (m *Marathon) remove(i *instance) {
	id := i.spec.id
	m.instances[id] = slices.DeleteFunc(m.instances[id], func(o *instance) bool { return o == i })
	if i.spec.resident() && m.root.specs[id] != nil && !i.wiped {
		m.park(i)
	} else {
		m.dropVolumes(i)
	}
	m.poke()
}

// killTasks asks for the end of the tasks of an instance.
func (m *Marathon) killTasks(i *instance) {
	for _, t := range i.tasks {
		if t.killing || t.over() {
			continue
		}
		t.killing = true
		m.endTask(t)
		m.tellKilling(t)
	}
}

// tellKilling shows a task as TASK_KILLING until it has ended: with the feature
// task_killing Marathon does, without it the task goes on running for all to see.
func (m *Marathon) tellKilling(t *task) {
	if t.over() || !slices.Contains(m.options.Cluster.Features, "task_killing") {
		return
	}
	t.state, t.stateAt = executor.Killing, m.stampNow()
	m.tellStatus(t, "")
	m.settle(t.instance)
}

// endTask ends one task: by the executor, or at once where it does not know it.
func (m *Marathon) endTask(t *task) {
	id := t.id
	kill := func() { m.executor.Kill(id) }
	if t.simulated {
		kill = func() { m.reports.add(executor.Update{TaskID: id, State: executor.Killed, Timestamp: time.Now()}) }
	}
	if wait := slowToDie(t.instance.spec); wait > 0 {
		m.after(wait, kill)
		return
	}
	kill()
}

// after runs f later, unless Marathon is closed before.
func (m *Marathon) after(wait time.Duration, f func()) {
	if m.ctx.Err() != nil {
		return // Close ends everything itself, and waits for nobody new
	}
	m.work.Go(func() {
		select {
		case <-m.ctx.Done():
		case <-time.After(wait):
			f()
		}
	})
}

func (t *task) over() bool { return t.state.Terminal() }

// taskUpdate takes what the executor tells of a task.
func (m *Marathon) taskUpdate(u executor.Update) {
	t := m.tasks[u.TaskID]
	if t == nil || t.over() {
		return
	}
	if u.State == executor.Killing {
		return // told when the kill was asked for, or, without the feature task_killing, not at all
	}
	t.state, t.stateAt = u.State, m.stampNow()
	if u.State == executor.Killed && t.blame != "" {
		t.state, u.State, u.Message = executor.Failed, executor.Failed, t.blame
	}
	if u.PID != 0 {
		t.pid = u.PID
	}
	if len(u.IPs) > 0 {
		t.ips = u.IPs
	}
	if u.State == executor.Running && t.startedAt.IsZero() {
		t.startedAt = t.stateAt
	}
	if u.State != executor.Staging {
		m.tellStatus(t, u.Message)
	}
	if t.over() {
		m.taskOver(t, u)
	} else if u.State == executor.Running {
		m.watchHealth(t)
	}
	m.settle(t.instance)
	m.poke()
}

func (m *Marathon) tellStatus(t *task, text string) {
	i := t.instance
	m.publish("status_update_event", func() map[string]any {
		return map[string]any{
			"slaveId": m.agentID, "taskId": t.id, "taskStatus": t.state, "message": text, "appId": i.spec.id,
			"host": m.options.Agent.Hostname, "ipAddresses": addresses(t.ips), "ports": t.ports, "version": i.spec.version,
		}
	})
}

// taskOver gives back what a task held and remembers how it ended.
func (m *Marathon) taskOver(t *task, u executor.Update) {
	t.cancel()
	m.used = m.used.minus(t.resources)
	m.offersChanged()
	for _, p := range t.ports {
		delete(m.ports, p)
	}
	delete(m.tasks, t.id)
	i := t.instance
	if u.State == executor.Failed || u.State == executor.Lost {
		m.noteFailure(t, u.State, u.Message)
	}
	if u.State != executor.Killed && !t.killing {
		m.backOff(i.spec)
		m.killTasks(i) // the containers of a pod end together
	}
}

// noteFailure remembers how a task ended badly, or why it is ended.
func (m *Marathon) noteFailure(t *task, s executor.State, text string) {
	spec := t.instance.spec
	m.failures[spec.id] = &taskFailure{
		AppID: spec.id, Host: m.options.Agent.Hostname, Message: text, State: string(s),
		TaskID: t.id, Timestamp: m.stampNow(), Version: spec.version, SlaveID: m.agentID,
	}
}

// settle derives the condition of an instance from its tasks, and goes on once
// all of them are over.
func (m *Marathon) settle(i *instance) {
	c := running
	over := 0
	for _, t := range i.tasks {
		if t.over() {
			over++
			continue
		}
		c = least(c, conditionOf(t.state))
	}
	if over == len(i.tasks) {
		m.instanceOver(i)
		return
	}
	if over == 0 && c != i.condition {
		m.become(i, c)
	}
}

func (m *Marathon) instanceOver(i *instance) {
	c := killed
	for _, t := range i.tasks {
		if s := conditionOf(t.state); s != killed {
			c = s
		}
	}
	m.become(i, c)
	i.readiness, i.healthy = nil, nil
	s := m.root.specs[i.spec.id]
	if i.unwanted || s == nil || m.restarting(s.id) && i.generation() != s.generation {
		i.unwanted = true
		m.remove(i)
		return
	}
	i.tasks, i.past, i.spec, i.readied = nil, i.tasks, s, false
	m.expect(s)
}

// restarting says whether a deployment is replacing the instances of an id now.
func (m *Marathon) restarting(id string) bool {
	return slices.ContainsFunc(m.deployments, func(d *deployment) bool { return d.restarts[id] != nil })
}

func conditionOf(s executor.State) condition {
	switch s {
	case executor.Staging:
		return staging
	case executor.Starting:
		return starting
	case executor.Finished:
		return finished
	case executor.Failed, executor.Lost:
		return failed
	case executor.Killed:
		return killed
	case executor.Killing:
		return killing
	}
	return running
}

func least(a, b condition) condition {
	order := []condition{killing, scheduled, provisioned, staging, starting, running}
	if slices.Index(order, a) < slices.Index(order, b) {
		return a
	}
	return b
}

// scaleInterval is how often instances that no deployment drives are counted
// again: --scale_apps_interval.
const scaleInterval = 5 * time.Minute

// keepCounts brings what no deployment drives back to its count: what is
// missing at once, what is too much (after a cancelled deployment) at the
// interval at which Marathon counts.
func (m *Marathon) keepCounts() {
	counted := time.Since(m.counted) >= scaleInterval
	if counted {
		m.counted = time.Now()
	}
	for id, is := range m.instances {
		s := m.root.specs[id]
		if len(m.deploymentsOf(id)) > 0 {
			continue
		}
		if s == nil {
			m.stopAll(id)
			continue
		}
		wanted := 0
		for _, i := range is {
			if i.wanted() {
				wanted++
			}
		}
		if wanted < s.instances() || counted && wanted > s.instances() {
			m.scale(s, s.instances())
		}
	}
}
