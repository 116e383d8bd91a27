package scheduler

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/internal/wait"
	"github.com/pacer-gitops/pacer/manifests"
)

// Health probes tasks in the background and takes the results under the lock. It
// ends tasks that are unhealthy.
type Health struct {
	*base
	instances *Instances
	prober    Prober

	published map[string][]string // the health checks of each app of which an event was published
	probes    map[*state.Task]probes
}

// probes are all that ask one task.
type probes struct {
	ctx  context.Context
	stop context.CancelFunc
}

// publishChecks publishes the health checks of an app's version, once. Those of
// pods are Mesos' affair.
func (h *Health) publishChecks(s *state.RunSpec) {
	for n := range s.App.HealthChecks {
		c := &s.App.HealthChecks[n]
		text, err := state.Encode(c)
		key := s.Version.String() + string(text)
		if err != nil || slices.Contains(h.published[s.ID], key) {
			continue
		}
		h.published[s.ID] = append(h.published[s.ID], key)
		h.Events.Publish("add_health_check_event", func() map[string]any {
			return map[string]any{"appId": s.ID, "version": s.Version, "healthCheck": c}
		})
	}
}

// forgetChecks publishes that no version of an app is checked any more.
func (h *Health) forgetChecks(id string) {
	for range h.published[id] {
		h.Events.Publish("remove_health_check_event", func() map[string]any { return map[string]any{"appId": id} })
	}
	delete(h.published, id)
}

// probing is the context of the probes of a task.
func (h *Health) probing(t *state.Task) context.Context {
	p, found := h.probes[t]
	if !found {
		p.ctx, p.stop = context.WithCancel(h.ctx)
		h.probes[t] = p
	}
	return p.ctx
}

// stop ends the probes of a task.
func (h *Health) stop(t *state.Task) {
	if p, found := h.probes[t]; found {
		p.stop()
		delete(h.probes, t)
	}
}

// watch starts the probes of a task that has begun to run.
func (h *Health) watch(t *state.Task) {
	if t.Health != nil {
		return
	}
	for n, c := range checksOf(t) {
		t.Health = append(t.Health, &state.Health{})
		ctx := h.probing(t)
		h.background(func() { h.probe(ctx, t, n, c) })
	}
}

// probe asks a task again and again.
func (h *Health) probe(ctx context.Context, t *state.Task, n int, c check) {
	for pause := c.delay; wait.Sleep(ctx, pause) == nil; pause = max(c.interval, time.Millisecond) {
		err := c.probe(ctx, h.prober, h.runner, h.Agent.Hostname, t.ID)
		if ctx.Err() != nil {
			return
		}
		h.report(func() { h.probed(t, t.Health[n], c, err) })
	}
}

// probed takes the result of a probe.
//
//	result   before the first success,    afterwards
//	         within the grace period
//	success  alive                        alive
//	failure  by Mesos: as if not probed;  a failure: not alive, and too many
//	         by Marathon: not alive       in a row end the task
func (h *Health) probed(t *state.Task, found *state.Health, c check, err error) {
	i := t.Instance
	if t.Over() {
		return
	}
	was := found.Alive
	switch {
	case err == nil:
		found.Alive, found.Failures, found.LastSuccess = true, 0, state.At(time.Now())
		if found.FirstSuccess.IsZero() {
			found.FirstSuccess = found.LastSuccess
		}
	case found.FirstSuccess.IsZero() && time.Since(t.StartedAt.Time) < c.grace:
		if c.byMesos {
			return
		}
	default:
		h.Events.Publish("failed_health_check_event", func() map[string]any {
			return map[string]any{"appId": i.Spec.ID, "taskId": i.ID, "healthCheck": c.definition}
		})
		tooMany := c.maxFailures > 0 && found.Failures >= c.maxFailures
		found.Alive, found.LastFailure, found.LastCause = false, state.At(time.Now()), err.Error()
		found.Failures++
		if tooMany {
			h.killUnhealthy(t, found)
		}
	}
	found.Seen = true
	if was != found.Alive {
		h.Events.Publish("health_status_changed_event", func() map[string]any {
			return map[string]any{"appId": i.Spec.ID, "instanceId": i.ID, "version": i.Spec.Version, "alive": found.Alive}
		})
	}
	h.publish(i)
	h.wakeUp()
}

func (h *Health) publish(i *state.Instance) {
	now := i.Health()
	if ptr.Equal(now, i.Healthy) {
		return
	}
	i.Healthy = now
	if i.Spec.Pod != nil {
		i.Since = state.At(time.Now()) // health is part of the state of what Mesos checks
	}
	h.Events.Publish("instance_health_changed_event", func() map[string]any {
		return map[string]any{"instanceId": i.ID, "runSpecId": i.Spec.ID, "healthy": now, "runSpecVersion": i.Spec.Version}
	})
}

// killUnhealthy ends a task; its instance stays and is launched again.
func (h *Health) killUnhealthy(t *state.Task, found *state.Health) {
	i := t.Instance
	if t.Killing {
		return
	}
	h.instances.noteFailure(t, executor.Killed, "Task was killed since health check failed. Reason: "+found.LastCause)
	h.Events.Publish("unhealthy_instance_kill_event", func() map[string]any {
		return map[string]any{"appId": i.Spec.ID, "taskId": t.ID, "instanceId": i.ID, "version": i.Spec.Version,
			"reason": found.LastCause, "host": h.Agent.Hostname, "slaveId": h.Agent.ID}
	})
	h.instances.killTasks(i)
}

// checkReadiness starts asking a running instance whether it is ready.
func (h *Health) checkReadiness(s *state.RunSpec, i *state.Instance) {
	t := i.Current()
	if i.Readiness != nil || t == nil {
		return
	}
	c := s.App.ReadinessChecks[0]
	r := &state.Readiness{Name: *c.Name, TaskID: t.ID}
	i.Readiness = r
	ports := t.Ports
	for _, p := range appPorts(s.App) {
		switch {
		case p.noHost:
		case p.name == *c.PortName && len(ports) > 0:
			host := net.JoinHostPort(h.Agent.Hostname, strconv.Itoa(ports[0]))
			address := fmt.Sprintf("%s://%s%s", strings.ToLower(*c.Protocol), host, *c.Path)
			ctx := h.probing(t)
			h.background(func() { h.readiness(ctx, i, r, c, address) })
			return
		default:
			ports = ports[min(1, len(ports)):]
		}
	}
	// Refused by validation: without a port nothing is ever ready.
}

// readiness asks an instance until it is ready.
func (h *Health) readiness(ctx context.Context, i *state.Instance, r *state.Readiness, c manifests.ReadinessCheck, address string) {
	for pause := time.Duration(0); wait.Sleep(ctx, pause) == nil; pause = seconds(c.IntervalSeconds) {
		asked, cancel := context.WithTimeout(ctx, seconds(c.TimeoutSeconds))
		response, err := h.prober.Get(asked, address)
		cancel()
		ready := err == nil && slices.Contains(c.HTTPStatusCodesForReady, response.Status)
		h.report(func() {
			if i.Readiness != r {
				return
			}
			r.Seen, r.Ready = true, ready
			i.Ready = i.Ready || ready
			if *c.PreserveLastResponse {
				r.Response = lastResponse(address, response, err)
			}
		})
		if ready {
			return
		}
	}
}

// lastResponse is an answer to a readiness check as Marathon keeps it; where none
// came it makes one up.
func lastResponse(address string, r Response, err error) map[string]any {
	if err != nil {
		r = Response{http.StatusGatewayTimeout, fmt.Sprintf("Marathon could not query %s: %v", address, err), "text/plain"}
	}
	media, _, _ := strings.Cut(r.ContentType, ";")
	return map[string]any{"status": r.Status, "body": r.Body, "contentType": strings.TrimSpace(media)}
}
