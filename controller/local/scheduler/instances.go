package scheduler

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/local/state"
)

// Instances schedules and ends instances and their tasks, and follows the states
// that the executor reports.
type Instances struct {
	*base
	tracker
	volumes *volumes
	killing bool // the feature task_killing is on

	tasks     map[string]*state.Task // that are not over
	failures  map[string]*state.TaskFailure
	replacing map[string]bool // run specs that a deployment restarts now
}

// LastFailure is the last way in which a task of a run spec ended badly; nil: none
// did.
func (is *Instances) LastFailure(id string) *state.TaskFailure { return is.failures[id] }

// scale schedules or ends instances until a run spec has its count.
func (is *Instances) scale(s *state.RunSpec) {
	is.scaleDown(s, nil)
	is.schedule(s, s.Instances()-len(is.active(s.ID)))
}

// scaleDown ends instances until no more than the count are left; those of first end
// in any case. It returns those that it ends.
func (is *Instances) scaleDown(s *state.RunSpec, first []*state.Instance) []*state.Instance {
	var rest, going []*state.Instance
	for _, i := range is.active(s.ID) {
		if slices.Contains(first, i) {
			going = append(going, i)
		} else {
			rest = append(rest, i)
		}
	}
	state.SortForScaling(s, rest)
	if more := len(rest) - s.Instances(); more > 0 {
		going = append(going, rest[:more]...)
	}
	for _, i := range going {
		is.decommission(i)
	}
	return going
}

// schedule adds n instances that wait for an offer.
func (is *Instances) schedule(s *state.RunSpec, n int) {
	for range n {
		i := is.volumes.unpark(s)
		if i == nil {
			i = &state.Instance{
				ID:   strings.ReplaceAll(strings.TrimPrefix(s.ID, "/"), "/", "_") + ".instance-" + uuid.NewString(),
				Spec: s,
			}
		}
		is.tracker[s.ID] = append(is.tracker[s.ID], i)
		is.become(i, state.Scheduled)
		is.Queue.Add(s.ID, time.Now())
	}
	if n > 0 {
		is.wakeUp()
	}
}

// adopt gives waiting instances of the same configuration its newest version.
func (is *Instances) adopt(s *state.RunSpec) {
	for _, i := range is.tracker[s.ID] {
		if i.Current() == nil && i.Spec.Generation == s.Generation {
			i.Spec = s
		}
	}
}

// become changes and publishes the condition of an instance.
func (is *Instances) become(i *state.Instance, c state.Condition) {
	i.Condition, i.Since = c, state.At(time.Now())
	switch c {
	case state.Provisioned, state.Staging, state.Starting, state.Running:
		is.Limiter.Progressed(i.Spec, time.Now())
	}
	is.publish(i)
}

func (is *Instances) publish(i *state.Instance) {
	is.Events.Publish("instance_changed_event", func() map[string]any {
		var agent, host any
		if len(i.Shown()) > 0 {
			agent, host = is.Agent.ID, is.Agent.Hostname
		}
		return map[string]any{
			"instanceId": i.ID, "condition": i.Condition, "runSpecId": i.Spec.ID,
			"agentId": agent, "host": host, "runSpecVersion": i.Spec.Version,
		}
	})
}

// Kill ends the tasks of instances, which then get new ones. With wipe the
// instances go, too, and their volumes with them; others come in their place.
// Source: Marathon's TaskKiller.
func (is *Instances) Kill(victims []*state.Instance, wipe bool) {
	for _, i := range victims {
		if wipe {
			i.Wiped = true
			is.decommission(i)
		} else {
			is.killTasks(i)
		}
	}
	is.wakeUp()
}

// decommission ends an instance for good.
func (is *Instances) decommission(i *state.Instance) {
	if i.Decommissioned {
		return
	}
	i.Decommissioned = true
	if i.Current() == nil {
		is.remove(i)
		return
	}
	is.publish(i) // the goal has changed
	is.killTasks(i)
}

// killTasks asks for the end of the tasks of an instance.
func (is *Instances) killTasks(i *state.Instance) {
	for _, t := range i.Tasks {
		if !t.Killing && !t.Over() {
			t.Killing = true
			is.runner.kill(t)
			is.showKilling(t)
		}
	}
}

// showKilling shows a task as TASK_KILLING until it has ended: with the feature
// task_killing Marathon does, without it the task is shown as running until then.
func (is *Instances) showKilling(t *state.Task) {
	if is.killing && !t.Over() {
		t.State, t.StateAt = executor.Killing, state.At(time.Now())
		is.publishStatus(t, "")
		is.settle(t.Instance)
	}
}

// remove takes an instance off the list. Its volumes wait for the next one where
// the run spec still has them.
func (is *Instances) remove(i *state.Instance) {
	id := i.Spec.ID
	is.tracker[id] = slices.DeleteFunc(is.tracker[id], func(o *state.Instance) bool { return o == i })
	if i.Spec.Resident() && is.Versions.Root.Specs[id] != nil && !i.Wiped {
		is.volumes.park(i)
	} else {
		is.volumes.remove(i)
	}
	is.wakeUp()
}

// stopAll ends all instances of a run spec and reports whether all are gone.
func (is *Instances) stopAll(id string) bool {
	for _, i := range slices.Clone(is.tracker[id]) {
		is.decommission(i)
	}
	if len(is.tracker[id]) > 0 {
		return false
	}
	delete(is.tracker, id)
	delete(is.Limiter, id)
	delete(is.Queue, id)
	delete(is.failures, id)
	is.Versions.Forget(id)
	is.volumes.forget(id)
	is.Events.Publish("app_terminated_event", func() map[string]any { return map[string]any{"appId": id} })
	return true
}

// launched takes the tasks of an instance that were handed an offer.
func (is *Instances) launched(i *state.Instance) {
	for _, t := range i.Tasks {
		is.Agent.take(t)
		is.tasks[t.ID] = t
	}
}

// update takes what the executor reports of a task; nil: nothing new. The caller
// settles the instance.
func (is *Instances) update(u executor.Update) *state.Task {
	t := is.tasks[u.TaskID]
	if t == nil || t.Over() || u.State == executor.Killing { // see showKilling
		return nil
	}
	if u.State == executor.Killed && t.Blame != "" {
		u.State, u.Message = executor.Failed, t.Blame
	}
	t.State, t.StateAt = u.State, state.At(time.Now())
	if u.PID != 0 {
		t.PID = u.PID
	}
	if len(u.IPs) > 0 {
		t.IPs = u.IPs
	}
	if u.State == executor.Running && t.StartedAt.IsZero() {
		t.StartedAt = t.StateAt
	}
	if u.State != executor.Staging {
		is.publishStatus(t, u.Message)
	}
	if t.Over() {
		is.over(t, u)
	}
	return t
}

func (is *Instances) publishStatus(t *state.Task, message string) {
	i := t.Instance
	is.Events.Publish("status_update_event", func() map[string]any {
		return map[string]any{
			"slaveId": is.Agent.ID, "taskId": t.ID, "taskStatus": t.State, "message": message, "appId": i.Spec.ID,
			"host": is.Agent.Hostname, "ipAddresses": state.Addresses(t.IPs), "ports": t.Ports, "version": i.Spec.Version,
		}
	})
}

// over gives back what a task held and notes how it ended.
func (is *Instances) over(t *state.Task, u executor.Update) {
	is.Agent.giveBack(t)
	delete(is.tasks, t.ID)
	if u.State == executor.Failed || u.State == executor.Lost {
		is.noteFailure(t, u.State, u.Message)
	}
	if u.State != executor.Killed && !t.Killing {
		is.Limiter.Failed(t.Instance.Spec, time.Now())
		is.killTasks(t.Instance) // the containers of a pod end together
	}
}

// noteFailure keeps how a task ended badly, or why it is ended.
func (is *Instances) noteFailure(t *state.Task, s executor.State, message string) {
	spec := t.Instance.Spec
	is.failures[spec.ID] = &state.TaskFailure{
		AppID: spec.ID, Host: is.Agent.Hostname, Message: message, State: string(s),
		TaskID: t.ID, Timestamp: state.At(time.Now()), Version: spec.Version, SlaveID: is.Agent.ID,
	}
}

// settle derives the condition of an instance from its tasks. Once all of them
// are over it waits for the next ones, or goes.
func (is *Instances) settle(i *state.Instance) {
	c, over := i.Progress()
	if c != "" && (over || c != i.Condition) {
		is.become(i, c)
	}
	if !over {
		return
	}
	i.Readiness, i.Healthy = nil, nil
	s := is.Versions.Root.Specs[i.Spec.ID]
	if i.Decommissioned || s == nil || is.replacing[s.ID] && i.Spec.Generation != s.Generation {
		i.Decommissioned = true
		is.remove(i)
		return
	}
	i.Tasks, i.Past, i.Spec, i.Ready = nil, i.Tasks, s, false
	is.Queue.Add(s.ID, time.Now())
}

// restore brings back what was stored with the root group.
func (is *Instances) restore(st storedState) {
	for id := range is.Versions.Root.Specs {
		is.tracker[id] = nil // keepCounts schedules them
	}
	for _, one := range st.Specs {
		is.volumes.restore(is.Versions.Root.Specs[one.ID], one.Residents)
	}
}

// stored is a run spec with the instances that have volumes.
func (is *Instances) stored(s *state.RunSpec) storedSpec {
	return storedSpec{s, is.volumes.stored(s, is.Of(s.ID))}
}

// save stores a root group, with the instances that have volumes.
func (is *Instances) save(r *state.RootGroup) error {
	if is.volumes.storage.lock == nil {
		return nil
	}
	st := storedState{Format: storedFormat, Version: r.Version, AgentID: is.Agent.ID, Groups: r.Groups}
	for _, id := range r.Under("/") {
		st.Specs = append(st.Specs, is.stored(r.Specs[id]))
	}
	return is.volumes.storage.write(stateFile, st)
}

// saveVolumes stores the state if an instance with volumes came or went: who
// starts on the folder next must find its volumes.
func (is *Instances) saveVolumes() {
	if !is.volumes.unsaved {
		return
	}
	is.volumes.unsaved = false
	if err := is.save(is.Versions.Root); err != nil {
		is.log.Error("storing the state failed", "error", err)
	}
}
