package scheduler

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// Deployments carry writes out: step by step, a step when the one before it is
// done.
type Deployments struct {
	*base
	instances *Instances
	driver    *driver
	storage   *storage
	cluster   manifests.Cluster
	most      int // --max_running_deployments

	active   []*Deployment
	rollback state.Timestamp // the version of every rollback of this process; see Rollback
}

// Deployment carries one write out.
type Deployment struct {
	ID       string
	Version  state.Timestamp
	Steps    []state.Step
	Current  int             // 1-based; 0: not begun
	Affected map[string]bool // ids with an action: they are locked
	Foreign  bool            // stands for another client's: never finishes

	Original, Target *state.RootGroup

	restarts map[string]*restarting       // by id, from when their step began
	scales   map[string]*scaling          // by id, from when their step began
	kill     map[string][]*state.Instance // those that a client wants gone, by id
}

func newDeployment(id string, version state.Timestamp, steps []state.Step) *Deployment {
	return &Deployment{ID: id, Version: version, Steps: steps, Affected: map[string]bool{},
		restarts: map[string]*restarting{}, scales: map[string]*scaling{}}
}

// Spec is what the deployment makes of an id, or what of it was there.
func (dep *Deployment) Spec(id string) *state.RunSpec {
	if s := dep.Target.Specs[id]; s != nil {
		return s
	}
	return dep.Original.Specs[id]
}

// CurrentActions are those of the step that runs.
func (dep *Deployment) CurrentActions() []state.Action {
	if dep.Current == 0 {
		return nil
	}
	return dep.Steps[dep.Current-1].Actions
}

// plan is a deployment as the events print it.
func (dep *Deployment) plan() map[string]any {
	return map[string]any{"id": dep.ID, "steps": dep.Steps, "version": dep.Version}
}

// Edit is one write.
type Edit struct {
	Group  string // whose change the event is about
	Force  bool
	Change func(*state.Draft) error
	Kill   map[string][]*state.Instance // to go first where a count is lowered

	rollback bool // its version is that of all rollbacks
}

// Active are the deployments that run, oldest first.
func (d *Deployments) Active() []*Deployment { return d.active }

// Of are the deployments that hold a lock on an id.
func (d *Deployments) Of(id string) []state.Ref {
	refs := []state.Ref{}
	for _, dep := range d.active {
		if dep.Affected[id] {
			refs = append(refs, state.Ref{ID: dep.ID})
		}
	}
	return refs
}

// Draft begins the next root group.
func (d *Deployments) Draft() *state.Draft {
	return d.Versions.Draft(d.Versions.Next(time.Now()), d.cluster)
}

// Write makes the next root group, locks what it changes, commits it and begins
// the deployment.
func (d *Deployments) Write(e Edit) (*Deployment, error) {
	dep, err := d.write(e)
	if refused := (*state.Refusal)(nil); errors.As(err, &refused) {
		d.publish("group_change_failed", map[string]any{"groupId": e.Group, "version": d.Versions.Last, "reason": refused.Message})
	}
	return dep, err
}

func (d *Deployments) write(e Edit) (*Deployment, error) {
	if len(d.active) >= d.most {
		return nil, state.Refuse(403, "Max number (%d) of running deployments is achieved. Wait for existing deployments to complete or cancel one"+
			"using force=true parameter. You can increase max deployment number by using --max_running_deployments parameter "+
			"but be advised that this can have negative effects on the performance.", d.most)
	}
	draft := d.Draft()
	if e.rollback {
		if d.rollback.IsZero() {
			d.rollback = draft.Version
		}
		draft.Version = d.rollback
	}
	if err := e.Change(draft); err != nil {
		return nil, err
	}
	if err := draft.Finish(); err != nil {
		return nil, err
	}
	dep := newDeployment(uuid.NewString(), draft.Version, draft.Steps())
	dep.Original, dep.Target, dep.kill = d.Versions.Root, draft.RootGroup, e.Kill
	for _, s := range dep.Steps {
		for _, a := range s.Actions {
			dep.Affected[a.ID()] = true
		}
	}
	if err := d.lock(dep, e.Force); err != nil {
		return nil, err
	}
	if err := d.Commit(draft); err != nil {
		return nil, err
	}
	d.publish("group_change_success", map[string]any{"groupId": e.Group, "version": dep.Version})
	d.begin(dep)
	return dep, nil
}

const lockedMessage = "App is locked by one or more deployments. Override with the option '?force=true'. View details at '/v2/deployments/<DEPLOYMENT_ID>'."

// lock refuses a deployment that others conflict with, or cancels those if it is
// forced.
func (d *Deployments) lock(dep *Deployment, force bool) error {
	var conflicts []*Deployment
	for _, other := range d.active {
		for id := range other.Affected {
			if dep.Affected[id] {
				conflicts = append(conflicts, other)
				break
			}
		}
	}
	if len(conflicts) > 0 && !force {
		locked := state.Refuse(409, lockedMessage)
		for _, c := range conflicts {
			locked.Deployments = append(locked.Deployments, state.Ref{ID: c.ID})
		}
		d.publishFailed(dep, lockedMessage)
		return locked
	}
	for _, c := range conflicts {
		d.Cancel(c)
	}
	return nil
}

// Commit makes a draft the root group, and stores it. No deployment begins.
func (d *Deployments) Commit(draft *state.Draft) error {
	if err := d.instances.save(draft.RootGroup); err != nil {
		return state.Refuse(500, "storing the state: %v", err)
	}
	for _, s := range d.Versions.Commit(draft) {
		d.instances.adopt(s)
	}
	return nil
}

// begin starts a deployment; one without steps is over at once.
func (d *Deployments) begin(dep *Deployment) {
	if len(dep.Steps) == 0 {
		d.succeed(dep)
		return
	}
	d.active = append(d.active, dep)
	d.save()
	d.advance()
	d.wakeUp()
}

// advance takes each deployment as far as it goes now.
func (d *Deployments) advance() {
	for _, dep := range slices.Clone(d.active) {
		for !dep.Foreign && d.stepForward(dep) {
		}
	}
}

// stepForward drives the current step, and reports whether it was the end of it.
func (d *Deployments) stepForward(dep *Deployment) bool {
	if !slices.Contains(d.active, dep) {
		return false
	}
	if dep.Current > 0 {
		done := true
		for _, a := range dep.CurrentActions() {
			done = d.driver.drive(dep, a) && done
		}
		if !done {
			return false
		}
		d.publishStep("deployment_step_success", dep)
	}
	if dep.Current == len(dep.Steps) {
		d.drop(dep)
		d.succeed(dep)
		return false
	}
	dep.Current++
	d.publishStep("deployment_info", dep)
	for _, a := range dep.CurrentActions() {
		d.driver.enter(dep, a)
	}
	return true
}

// Cancel stops a deployment where it is; no definition changes.
func (d *Deployments) Cancel(dep *Deployment) {
	d.drop(dep)
	d.publishFailed(dep, "The upgrade has been cancelled")
	d.wakeUp()
}

// drop takes a deployment off the list.
func (d *Deployments) drop(dep *Deployment) {
	d.active = slices.DeleteFunc(d.active, func(o *Deployment) bool { return o == dep })
	for id := range dep.restarts {
		delete(d.instances.replacing, id)
	}
	d.save()
}

// Rollback is the forced write that undoes what one deployment changed. All
// rollbacks of one process have the same version: so has Marathon since 1.9.
func (d *Deployments) Rollback(dep *Deployment) Edit {
	return Edit{Group: "/", Force: true, rollback: true, Change: func(draft *state.Draft) error {
		draft.Revert(dep.Original, dep.Target, dep.Affected)
		return nil
	}}
}

// LockForeign begins a deployment that stands for another client's and locks a run
// spec until it is cancelled.
func (d *Deployments) LockForeign(s *state.RunSpec) *Deployment {
	dep := newDeployment(uuid.NewString(), d.Versions.Next(time.Now()), []state.Step{{Actions: []state.Action{s.Action("Restart")}}})
	dep.Current, dep.Affected[s.ID], dep.Foreign, dep.Original, dep.Target = 1, true, true, d.Versions.Root, d.Versions.Root
	d.active = append(d.active, dep)
	return dep
}

func (d *Deployments) succeed(dep *Deployment) {
	d.publish("deployment_success", map[string]any{"id": dep.ID, "plan": dep.plan()})
}

func (d *Deployments) publishFailed(dep *Deployment, reason string) {
	d.publish("deployment_failed", map[string]any{"id": dep.ID, "plan": dep.plan(), "reason": reason})
}

func (d *Deployments) publishStep(event string, dep *Deployment) {
	d.publish(event, map[string]any{"plan": dep.plan(), "currentStep": dep.Steps[dep.Current-1]})
}

func (d *Deployments) publish(event string, payload map[string]any) {
	d.Events.Publish(event, func() map[string]any { return payload })
}
