package api

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/scheduler"
	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// deploymentsEndpoint is /v2/deployments.
func deploymentsEndpoint(r *http.Request, rest string) endpoint {
	id := strings.Trim(rest, "/")
	if id == "" {
		return get(r, listDeployments)
	}
	return methods{http.MethodDelete: on(withID(deleteDeployment, id))}.of(r)
}

func listDeployments(c *call) (*reply, error) {
	all := []map[string]any{}
	for _, dep := range c.Deployments.Active() {
		all = append(all, c.deploymentView(dep))
	}
	return ok(all)
}

func deleteDeployment(c *call, id string) (*reply, error) {
	active := c.Deployments.Active()
	at := slices.IndexFunc(active, func(d *scheduler.Deployment) bool { return d.ID == id })
	if at < 0 {
		return nil, missing("DeploymentPlan %s does not exist", id)
	}
	if active[at].Foreign || c.flag("force", false) {
		c.Deployments.Cancel(active[at])
		return &reply{status: http.StatusAccepted}, nil
	}
	return c.write(c.Deployments.Rollback(active[at]))
}

func (m views) deploymentView(dep *scheduler.Deployment) map[string]any {
	apps, pods := []string{}, []string{}
	for _, id := range slices.Sorted(maps.Keys(dep.Affected)) {
		if s := dep.Spec(id); s != nil && s.Pod != nil {
			pods = append(pods, id)
		} else {
			apps = append(apps, id)
		}
	}
	type running struct {
		state.Action
		Readiness []state.Readiness `json:"readinessCheckResults"`
	}
	current := []running{}
	for _, a := range dep.CurrentActions() {
		current = append(current, running{a, m.readinessViews(a.ID())})
	}
	return map[string]any{
		"id": dep.ID, "version": dep.Version, "steps": dep.Steps, "affectedApps": apps, "affectedPods": pods,
		"currentActions": current, "currentStep": dep.Current, "totalSteps": len(dep.Steps),
	}
}

// queueEndpoint is /v2/queue.
func queueEndpoint(r *http.Request, rest string) endpoint {
	rest = strings.Trim(rest, "/")
	if id, isDelay := strings.CutSuffix(rest, "/delay"); isDelay {
		return methods{http.MethodDelete: on(withID(deleteDelay, manifests.AbsoluteID("/", id)))}.of(r)
	}
	if rest != "" {
		return methods{}.of(r)
	}
	return get(r, listQueue)
}

func deleteDelay(c *call, id string) (*reply, error) {
	if len(c.Instances.Waiting(id)) == 0 {
		return nil, missing("Application %s not found in tasks queue.", id)
	}
	c.ResetDelay(id)
	return &reply{status: http.StatusNoContent}, nil
}

func listQueue(c *call) (*reply, error) {
	lastOffers := slices.Contains(c.URL.Query()["embed"], "lastUnusedOffers")
	items := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(c.Queue)) {
		s := c.Versions.Root.Specs[id]
		if n := len(c.Instances.Waiting(id)); s != nil && n > 0 {
			items = append(items, c.queueItem(s, n, lastOffers))
		}
	}
	return ok(inDoubles(map[string]any{"queue": items}))
}

func (m views) queueItem(s *state.RunSpec, n int, lastOffers bool) map[string]any {
	o := m.Queue[s.ID]
	summary := map[string]any{
		"processedOffersCount": o.Processed, "unusedOffersCount": o.Unused,
		"rejectSummaryLastOffers": o.LastRejects(), "rejectSummaryLaunchAttempt": o.Rejects(),
	}
	if !o.LastLost.IsZero() {
		summary["lastUnusedOfferAt"] = o.LastLost
	}
	if !o.LastUsed.IsZero() {
		summary["lastUsedOfferAt"] = o.LastUsed
	}
	item := map[string]any{
		"count": n, "role": s.Role(), "since": o.Since, "processedOffersSummary": summary, "delay": m.delayView(s),
	}
	if o.WaitsFor != "" {
		item["waitsFor"] = o.WaitsFor
	}
	key := "app"
	if s.Pod != nil {
		key = "pod"
	}
	item[key] = s.Definition()
	if lastOffers {
		item["lastUnusedOffers"] = m.lastOffers(o)
	}
	return item
}

// delayView is how long launches are held back, in whole seconds. Source:
// Marathon's LaunchStats.
func (m views) delayView(s *state.RunSpec) map[string]any {
	left, delayed := m.Limiter.Left(s, time.Now())
	seconds := int(left / time.Second)
	return map[string]any{"timeLeftSeconds": max(0, seconds), "overdue": !delayed || seconds < 0}
}

// lastOffers is the agent's last offer, if it was declined.
func (m views) lastOffers(o *state.OfferStatistics) []map[string]any {
	if o.Last == "" {
		return []map[string]any{}
	}
	a, free := m.Agent, m.Agent.Free()
	scalar := func(name string, v float64) map[string]any {
		return map[string]any{"name": name, "scalar": math.Round(v*1000) / 1000, "role": "*"}
	}
	attributes := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(a.Attributes)) {
		attributes = append(attributes, map[string]any{"name": name, "text": a.Attributes[name]})
	}
	return []map[string]any{{
		"timestamp": o.LastLost, "reason": []string{o.Last},
		"offer": map[string]any{
			"id": a.ID + "-O0", "agentId": a.ID, "hostname": a.Hostname, "attributes": attributes,
			"resources": []map[string]any{scalar("cpus", free.CPUs), scalar("mem", free.Mem), scalar("disk", free.Disk),
				scalar("gpus", float64(free.GPUs)),
				{"name": "ports", "role": "*", "ranges": []map[string]int{{"begin": a.PortMin, "end": a.PortMax}}}},
		},
	}}
}
