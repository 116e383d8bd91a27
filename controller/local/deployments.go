package local

import (
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/google/uuid"
)

// deployment carries one write out: step by step, a step when the one before
// it is done.
type deployment struct {
	id       string
	version  stamp
	steps    []step
	current  int             // 1-based; 0: not begun
	affected map[string]bool // ids with an action: they are locked
	foreign  bool            // stands for somebody else's: never finishes

	original, target *root
	restarts         map[string]*restart    // by id, from when their step began
	scales           map[string]*scaling    // by id, from when their step began
	toKill           map[string][]*instance // those that a client wants gone, by id
}

// scaling is a change of a count alone.
type scaling struct {
	going  []*instance        // those that have to go first
	before map[*instance]bool // nil while they go; then what there is, which is not waited for
	add    int                // instances that come and are waited for
}

// restart bounds a restart. It is fixed when its step begins, as Marathon does:
// later the count of healthy tasks says nothing about what was there.
type restart struct {
	kill int // old instances that may go at once
	most int // instances that there may be in all
	old  int // instances of an older configuration at the beginning
}

func newDeployment(id string, version stamp, steps []step) *deployment {
	return &deployment{id: id, version: version, steps: steps, affected: map[string]bool{},
		restarts: map[string]*restart{}, scales: map[string]*scaling{}}
}

// edit is one write.
type edit struct {
	group  string // whose change the event tells
	force  bool
	revert bool // its version is that of all rollbacks
	change func(*draft) error
	toKill map[string][]*instance // to go first where a count is lowered
}

// write makes the next root, locks what it changes, swaps it in and begins the
// deployment. The caller holds the lock and answers after it returns.
func (m *Marathon) write(e edit) (*deployment, error) {
	dep, err := m.tryWrite(e)
	if refused := (*apiError)(nil); errors.As(err, &refused) {
		m.publish("group_change_failed", func() map[string]any {
			return map[string]any{"groupId": e.group, "version": stamp{m.lastStamp}, "reason": refused.message()}
		})
	}
	return dep, err
}

func (m *Marathon) tryWrite(e edit) (*deployment, error) {
	if len(m.deployments) >= m.options.MaxRunningDeployments {
		return nil, fail(http.StatusForbidden, "Max number (%d) of running deployments is achieved. Wait for existing deployments to complete or cancel one"+
			"using force=true parameter. You can increase max deployment number by using --max_running_deployments parameter "+
			"but be advised that this can have negative effects on the performance.", m.options.MaxRunningDeployments)
	}
	d := m.newDraft(m.stamp())
	if e.revert {
		if m.rollback.IsZero() {
			m.rollback = d.at
		}
		d.at, d.version = m.rollback, m.rollback
	}
	if err := e.change(d); err != nil {
		return nil, err
	}
	if err := d.finish(m.nextGeneration); err != nil {
		return nil, err
	}
	dep := newDeployment(uuid.NewString(), d.version, d.steps())
	dep.original, dep.target, dep.toKill = d.old, d.root, e.toKill
	for _, s := range dep.steps {
		for _, a := range s.Actions {
			dep.affected[a.id()] = true
		}
	}
	if err := m.lock(dep, e); err != nil {
		return nil, err
	}
	if err := m.swap(d); err != nil {
		return nil, err
	}
	m.publish("group_change_success", func() map[string]any {
		return map[string]any{"groupId": e.group, "version": d.version}
	})
	m.begin(dep)
	return dep, nil
}

// lock refuses a deployment that another one stands in the way of, or cancels
// those if it is forced.
func (m *Marathon) lock(dep *deployment, e edit) error {
	var conflicts []*deployment
	for _, other := range m.deployments {
		for id := range other.affected {
			if dep.affected[id] {
				conflicts = append(conflicts, other)
				break
			}
		}
	}
	if len(conflicts) > 0 && !e.force {
		var ids []string
		for _, c := range conflicts {
			ids = append(ids, c.id)
		}
		m.publish("deployment_failed", func() map[string]any {
			return map[string]any{"id": dep.id, "plan": dep.plan(), "reason": lockedMessage}
		})
		return locked(ids)
	}
	for _, c := range conflicts {
		m.cancel(c)
	}
	return nil
}

// swap makes the draft the root, keeps the versions, and stores it.
func (m *Marathon) swap(d *draft) error {
	if err := m.save(d.root); err != nil {
		return fail(http.StatusInternalServerError, "storing the state: %v", err)
	}
	if len(m.roots) == 0 {
		m.roots = []*root{m.root}
	}
	m.root = d.root
	m.roots = append(m.roots, m.root)
	m.roots = m.roots[max(0, len(m.roots)-keptVersions):]
	for _, p := range d.puts {
		s := d.specs[p.id]
		if s == nil || s == d.old.specs[p.id] {
			continue
		}
		s.definition() // now, not when ten thousand are read
		h := append(m.history[s.id], s)
		m.history[s.id] = h[max(0, len(h)-keptVersions):]
		m.adopt(s)
	}
	return nil
}

// begin starts a deployment; one without steps is over at once.
func (m *Marathon) begin(dep *deployment) {
	if len(dep.steps) == 0 {
		m.succeed(dep)
		return
	}
	m.deployments = append(m.deployments, dep)
	m.deploymentsChanged()
	m.advanceDeployments()
	m.poke()
}

// advanceDeployments takes each deployment as far as it goes now.
func (m *Marathon) advanceDeployments() {
	for _, dep := range slices.Clone(m.deployments) {
		for !dep.foreign && m.stepForward(dep) {
		}
	}
}

// stepForward drives the current step, and says whether it was the end of it.
func (m *Marathon) stepForward(dep *deployment) bool {
	if !slices.Contains(m.deployments, dep) {
		return false
	}
	if dep.current > 0 {
		done := true
		for _, a := range dep.steps[dep.current-1].Actions {
			done = m.drive(dep, a) && done
		}
		if !done {
			return false
		}
		m.publishStep("deployment_step_success", dep)
	}
	if dep.current == len(dep.steps) {
		m.deployments = slices.DeleteFunc(m.deployments, func(d *deployment) bool { return d == dep })
		m.deploymentsChanged()
		m.succeed(dep)
		return false
	}
	dep.current++
	m.publishStep("deployment_info", dep)
	for _, a := range dep.steps[dep.current-1].Actions {
		m.enter(dep, a)
	}
	return true
}

// enter does what an action does once, when its step begins.
func (m *Marathon) enter(dep *deployment, a action) {
	if s := cmpSpec(dep.target.specs[a.id()], dep.original.specs[a.id()]); s != nil && s.app != nil {
		m.tellChecks(s)
	}
	s := m.root.specs[a.id()]
	switch {
	case a.is("Stop"):
		m.dropChecks(a.id())
	case s == nil:
	case a.is("Scale"):
		dep.scales[s.id] = &scaling{going: m.scaleDown(s, s.instances(), dep.toKill[s.id])}
	case a.is("Restart"):
		m.enterRestart(dep, s)
	}
}

func (m *Marathon) enterRestart(dep *deployment, s *spec) {
	delete(m.delays, s.id) // Marathon resets the back-off, too
	for _, i := range m.outdated(s) {
		if i.current() == nil {
			m.decommission(i) // never launched: nothing to wait for
		}
	}
	dep.restarts[s.id] = m.planRestart(s)
}

// planRestart fixes what a restart may use. Source: Marathon's
// TaskReplaceActor.
func (m *Marathon) planRestart(s *spec) *restart {
	healthy, all := 0, 0
	for _, i := range m.instances[s.id] {
		all++
		if i.wanted() && i.consideredHealthy() {
			healthy++
		}
	}
	minHealthy, most := s.upgrade()
	r := &restart{kill: max(0, healthy-minHealthy), most: most, old: len(m.outdated(s))}
	if minHealthy == most && most <= healthy {
		if s.resident() {
			r.kill = healthy - minHealthy + 1
		} else {
			r.most++
		}
	}
	if s.instances() < all {
		r.kill = max(r.kill, all-s.instances())
	}
	return r
}

// drive brings an action forward and says whether it is done.
func (m *Marathon) drive(dep *deployment, a action) bool {
	s := m.root.specs[a.id()]
	switch {
	case a.is("Stop"):
		return m.stopAll(a.id())
	case a.is("Start") || s == nil:
		return true
	case a.is("Scale"):
		return m.rescale(dep.scales[s.id], s)
	default:
		return m.restart(dep, s)
	}
}

// restart replaces the instances of an older configuration: one of them goes
// for each new one that is up, and a new one comes where there is room.
func (m *Marathon) restart(dep *deployment, s *spec) bool {
	r, n := dep.restarts[s.id], s.instances()
	fresh, up := 0, 0
	for _, i := range m.instances[s.id] {
		if i.wanted() && i.generation() == s.generation {
			fresh++
			if m.ready(s, i) {
				up++
			}
		}
	}
	old := m.outdated(s)
	m.replaceOrder(old)
	for len(old) > 0 && r.old-len(old) < r.kill+up {
		m.decommission(old[0])
		old = old[1:]
	}
	total := fresh // and what is old, until it is dead
	for _, i := range m.instances[s.id] {
		if i.generation() != s.generation || !i.wanted() {
			total++
		}
	}
	if fresh > n {
		m.scale(s, n)
	}
	m.schedule(s, min(n-fresh, r.most-total))
	return len(m.outdated(s)) == 0 && m.reached(s)
}

// rescale brings the instances of a spec to their count, and says whether those
// that came are up. Those that were there are not waited for, be they well or
// not. Source: Marathon's TaskStartActor.
func (m *Marathon) rescale(c *scaling, s *spec) bool {
	if c == nil {
		return true // it came after the step began, by somebody else
	}
	is := m.instances[s.id]
	if slices.ContainsFunc(c.going, func(i *instance) bool { return slices.Contains(is, i) }) {
		return false
	}
	if c.before == nil {
		c.before = map[*instance]bool{}
		for _, i := range is {
			c.before[i] = true
		}
		c.add = max(0, s.instances()-len(is))
		m.schedule(s, c.add)
	}
	wanted, up := 0, 0
	for _, i := range m.instances[s.id] {
		if i.wanted() {
			wanted++
		}
		if i.wanted() && !c.before[i] && m.ready(s, i) {
			up++
		}
	}
	if up < c.add {
		m.schedule(s, s.instances()-wanted) // what was lost on the way
	}
	return up >= c.add
}

// reached says whether a spec has its count of instances, each up, and none
// that is still dying.
func (m *Marathon) reached(s *spec) bool {
	for _, i := range m.instances[s.id] {
		if !i.wanted() || !m.ready(s, i) {
			return false
		}
	}
	return len(m.instances[s.id]) == s.instances()
}

// ready says whether an instance counts as up in a deployment: running, healthy
// and past its readiness checks.
func (m *Marathon) ready(s *spec, i *instance) bool {
	if i.condition != running || !i.consideredHealthy() {
		return false
	}
	if s.app == nil || len(s.app.ReadinessChecks) == 0 || i.readied {
		return true
	}
	m.checkReadiness(s, i)
	return false
}

// succeed tells the end of a deployment.
func (m *Marathon) succeed(dep *deployment) {
	m.publish("deployment_success", func() map[string]any {
		return map[string]any{"id": dep.id, "plan": dep.plan()}
	})
}

// cancel stops a deployment where it is; no definition changes.
func (m *Marathon) cancel(dep *deployment) {
	m.deployments = slices.DeleteFunc(m.deployments, func(d *deployment) bool { return d == dep })
	m.deploymentsChanged()
	m.publish("deployment_failed", func() map[string]any {
		return map[string]any{"id": dep.id, "plan": dep.plan(), "reason": "The upgrade has been cancelled"}
	})
	m.poke()
}

// revert undoes what one deployment changed, by a forced deployment. All
// rollbacks of one process have the same version: so has Marathon since 1.9.
func (m *Marathon) revert(dep *deployment) (*deployment, error) {
	return m.write(edit{group: "/", force: true, revert: true, change: func(d *draft) error {
		for id := range dep.affected {
			if was := dep.original.specs[id]; was != nil {
				d.put(&spec{id: id, app: was.app, pod: was.pod})
			} else if d.specs[id] != nil {
				d.drop(id)
			}
		}
		for id, g := range dep.original.groups {
			if dep.target.groups[id] != g {
				d.groups[id] = g
				d.addGroups(id)
			}
		}
		for id := range dep.target.groups {
			if dep.original.groups[id] == nil && len(d.under(id)) == 0 {
				d.dropGroup(id)
			}
		}
		return nil
	}})
}

// plan is a deployment as the events print it.
func (dep *deployment) plan() map[string]any {
	return map[string]any{"id": dep.id, "steps": dep.steps, "version": dep.version}
}

func (m *Marathon) publishStep(event string, dep *deployment) {
	m.publish(event, func() map[string]any {
		return map[string]any{"plan": dep.plan(), "currentStep": dep.steps[dep.current-1]}
	})
}

// view is a deployment as GET /v2/deployments prints it.
func (m *Marathon) deploymentView(dep *deployment) map[string]any {
	apps, pods := []string{}, []string{}
	for _, id := range slices.Sorted(maps.Keys(dep.affected)) {
		if s := cmpSpec(dep.target.specs[id], dep.original.specs[id]); s != nil && s.pod != nil {
			pods = append(pods, id)
		} else {
			apps = append(apps, id)
		}
	}
	type running struct {
		action
		Readiness []any `json:"readinessCheckResults"`
	}
	current := []running{}
	if dep.current > 0 {
		for _, a := range dep.steps[dep.current-1].Actions {
			current = append(current, running{a, m.readinessView(a.id())})
		}
	}
	return map[string]any{
		"id": dep.id, "version": dep.version, "steps": dep.steps, "affectedApps": apps, "affectedPods": pods,
		"currentActions": current, "currentStep": dep.current, "totalSteps": len(dep.steps),
	}
}

func cmpSpec(a, b *spec) *spec {
	if a != nil {
		return a
	}
	return b
}

// deploymentsOf are the deployments that hold a lock on an id.
func (m *Marathon) deploymentsOf(id string) []ref {
	refs := []ref{}
	for _, dep := range m.deployments {
		if dep.affected[id] {
			refs = append(refs, ref{dep.id})
		}
	}
	return refs
}
