package local

import (
	"encoding/json"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
)

// serveDeployments is /v2/deployments.
func (m *Marathon) serveDeployments(_ http.ResponseWriter, r *http.Request, rest string) error {
	id := strings.Trim(rest, "/")
	m.mu.Lock()
	defer m.mu.Unlock()
	if id == "" && r.Method == http.MethodGet {
		all := []map[string]any{}
		for _, dep := range m.deployments {
			all = append(all, m.deploymentView(dep))
		}
		return ok(all)
	}
	if id == "" || r.Method != http.MethodDelete {
		return errMethod
	}
	at := slices.IndexFunc(m.deployments, func(d *deployment) bool { return d.id == id })
	if at < 0 {
		return missing("DeploymentPlan %s does not exist", id)
	}
	dep := m.deployments[at]
	if dep.foreign || flag(r, "force", false) {
		m.cancel(dep)
		return &reply{status: http.StatusAccepted}
	}
	back, err := m.revert(dep)
	if err != nil {
		return err
	}
	return deployed(http.StatusOK, back)
}

type reject struct {
	Reason    string `json:"reason"`
	Declined  int    `json:"declined"`
	Processed int    `json:"processed"`
}

// serveQueue is /v2/queue.
func (m *Marathon) serveQueue(_ http.ResponseWriter, r *http.Request, rest string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id, isDelay := strings.CutSuffix(strings.Trim(rest, "/"), "/delay"); isDelay {
		id = resolve(id, "/")
		if r.Method != http.MethodDelete {
			return errMethod
		}
		if len(m.waiting(id)) == 0 {
			return missing("Application %s not found in tasks queue.", id)
		}
		delete(m.delays, id)
		m.poke()
		return &reply{status: http.StatusNoContent}
	}
	if strings.Trim(rest, "/") != "" || r.Method != http.MethodGet {
		return errMethod
	}
	lastOffers := slices.Contains(r.URL.Query()["embed"], "lastUnusedOffers")
	items := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(m.offers)) {
		s := m.root.specs[id]
		if n := len(m.waiting(id)); s != nil && n > 0 {
			items = append(items, m.queueItem(s, n, lastOffers))
		}
	}
	return ok(inDoubles(map[string]any{"queue": items}))
}

func (m *Marathon) queueItem(s *spec, n int, lastOffers bool) map[string]any {
	o := m.offers[s.id]
	left, overdue := m.delayLeft(s)
	summary := map[string]any{
		"processedOffersCount": o.processed, "unusedOffersCount": o.unused,
		"rejectSummaryLastOffers": o.lastRejects(), "rejectSummaryLaunchAttempt": o.rejects(),
	}
	if !o.lastLost.IsZero() {
		summary["lastUnusedOfferAt"] = o.lastLost
	}
	if !o.lastUsed.IsZero() {
		summary["lastUsedOfferAt"] = o.lastUsed
	}
	item := map[string]any{
		"count": n, "role": s.role(), "since": o.since, "processedOffersSummary": summary,
		"delay": map[string]any{"timeLeftSeconds": left, "overdue": overdue},
	}
	if o.waitsFor != "" {
		item["waitsFor"] = o.waitsFor
	}
	key := "app"
	if s.pod != nil {
		key = "pod"
	}
	item[key] = s.definition()
	if lastOffers {
		item["lastUnusedOffers"] = m.lastOffers(o)
	}
	return item
}

// lastRejects is the funnel of the last offer: the stages after the one that
// refused it saw nothing.
func (o *offerStats) lastRejects() []reject {
	var rs []reject
	left := 0
	if o.last != "" {
		left = 1
	}
	for _, reason := range stages {
		r := reject{reason, 0, left}
		if reason == o.last {
			r.Declined, left = left, 0
		}
		rs = append(rs, r)
	}
	return rs
}

// rejects is the funnel of all offers since the launch began.
func (o *offerStats) rejects() []reject {
	var rs []reject
	left := o.processed
	for _, reason := range stages {
		rs = append(rs, reject{reason, o.declined[reason], left})
		left -= o.declined[reason]
	}
	return rs
}

// lastOffers is the agent's last offer, if it was refused.
func (m *Marathon) lastOffers(o *offerStats) []map[string]any {
	if o.last == "" {
		return []map[string]any{}
	}
	free := m.agentResources().minus(m.used)
	scalar := func(name string, v float64) map[string]any {
		return map[string]any{"name": name, "scalar": math.Round(v*1000) / 1000, "role": "*"}
	}
	attributes := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(m.options.Agent.Attributes)) {
		attributes = append(attributes, map[string]any{"name": name, "text": m.options.Agent.Attributes[name]})
	}
	a := m.options.Agent
	reasons := []string{o.last}
	return []map[string]any{{
		"timestamp": o.lastLost, "reason": reasons,
		"offer": map[string]any{
			"id": m.agentID + "-O0", "agentId": m.agentID, "hostname": a.Hostname, "attributes": attributes,
			"resources": []map[string]any{scalar("cpus", free.CPUs), scalar("mem", free.Mem), scalar("disk", free.Disk),
				scalar("gpus", float64(free.GPUs)),
				{"name": "ports", "role": "*", "ranges": []map[string]int{{"begin": a.PortMin, "end": a.PortMax}}}},
		},
	}}
}

// address is where clients reach this Marathon.
func (m *Marathon) address(r *http.Request) string {
	return cmpString(m.options.Address, r.Host)
}

func (m *Marathon) serveLeader(_ http.ResponseWriter, r *http.Request) error {
	return ok(map[string]string{"leader": m.address(r)})
}

func (m *Marathon) servePing(w http.ResponseWriter, r *http.Request) error {
	kind, text := "text/plain", "pong"
	switch {
	case r.Header.Get("Accept") == "", accepts(r, kind):
	case accepts(r, "text/html"):
		kind = "text/html"
	case accepts(r, "application/json"):
		kind, text = "application/json", `"pong"`
	default:
		return &reply{status: http.StatusNoContent}
	}
	w.Header().Set("Content-Type", kind)
	_, _ = io.WriteString(w, text) // a client that has gone needs no answer
	return nil
}

// servePlugins is /v2/plugins: there are none.
func (m *Marathon) servePlugins(http.ResponseWriter, *http.Request) error {
	return ok(map[string]any{"plugins": []any{}})
}

func (m *Marathon) serveMetrics(http.ResponseWriter, *http.Request) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	apps, pods := 0, 0
	for s := range maps.Values(m.root.specs) {
		if s.app != nil {
			apps++
		} else {
			pods++
		}
	}
	var c counts
	for _, is := range m.instances {
		for _, i := range is {
			c.add(i)
		}
	}
	gauge := func(n int) map[string]int { return map[string]int{"value": n} }
	return ok(map[string]any{
		"version": "4.0.0", "start": m.started,
		"gauges": map[string]any{
			"marathon.apps.active.gauge": gauge(apps), "marathon.pods.active.gauge": gauge(pods),
			"marathon.groups.active.gauge": gauge(len(m.root.groups)), "marathon.deployments.active.gauge": gauge(len(m.deployments)),
			"marathon.instances.staged.gauge": gauge(c.Staged), "marathon.instances.running.gauge": gauge(c.Running),
		},
		"counters": map[string]any{}, "histograms": map[string]any{}, "meters": map[string]any{}, "timers": map[string]any{},
	})
}

// serveInfo is /v2/info.
func (m *Marathon) serveInfo(_ http.ResponseWriter, r *http.Request) error {
	c, host := m.options.Cluster, m.options.Agent.Hostname
	enforce := "Off"
	if c.NewGroupEnforceRole {
		enforce = "Top"
	}
	var network any
	if c.DefaultNetworkName != "" {
		network = c.DefaultNetworkName
	}
	features := append([]string{}, c.Features...)
	text := infoText(r.Host)
	maps.Copy(text["marathon_config"].(map[string]any), map[string]any{
		"default_network_name": network, "features": features, "hostname": host, "local_port_max": c.LocalPortMax,
		"local_port_min": c.LocalPortMin, "mesos_bridge_name": c.BridgeName, "mesos_role": c.MesosRole, "new_group_enforce_role": enforce,
	})
	maps.Copy(text, map[string]any{
		"version": c.Version, "leader": m.address(r), "frameworkId": strings.TrimSuffix(m.agentID, "-S0") + "-0000",
	})
	return ok(text)
}

// infoText is what /v2/info says whatever the options are: the defaults of
// Marathon's flags.
func infoText(host string) map[string]any {
	port := json.Number("8080")
	if i := strings.LastIndexByte(host, ':'); i >= 0 && host[i+1:] != "" {
		port = json.Number(host[i+1:])
	}
	return map[string]any{
		"name": "marathon", "buildref": "local", "elected": true,
		"marathon_config": map[string]any{
			"access_control_allow_origin": nil, "checkpoint": true, "decline_offer_duration": 120000, "env_vars_prefix": nil,
			"executor": "//cmd", "failover_timeout": 604800, "framework_name": "marathon", "ha": false, "launch_token": 100,
			"launch_token_refresh_interval": 30000, "leader_proxy_connection_timeout_ms": 5000, "leader_proxy_read_timeout_ms": 10000,
			"maintenance_mode": true, "master": "local", "max_instances_per_offer": 5, "mesos_heartbeat_failure_threshold": 5,
			"mesos_heartbeat_interval": 15000, "mesos_leader_ui_url": nil, "mesos_user": "root", "min_revive_offers_interval": 100,
			"offer_matching_timeout": 3000, "on_elected_prepare_timeout": 180000, "reconciliation_initial_delay": 15000,
			"reconciliation_interval": 600000, "scale_apps_initial_delay": 15000, "scale_apps_interval": 300000, "store_cache": true,
			"task_launch_confirm_timeout": 300000, "task_launch_timeout": 300000, "task_lost_expunge_initial_delay": 300000,
			"task_lost_expunge_interval": 30000, "task_reservation_timeout": 20000, "webui_url": nil,
		},
		"zookeeper_config": map[string]any{
			"zk": "zk://local/marathon", "zk_compression": true, "zk_compression_threshold": 65536, "zk_connection_timeout": 10000,
			"zk_max_node_size": 1024000, "zk_max_versions": keptVersions, "zk_session_timeout": 10000, "zk_timeout": 10000,
		},
		"http_config": map[string]any{"http_port": port, "https_port": 8443},
	}
}

// serveFiles is /files: the sandboxes of tasks, as a Mesos agent gives them.
func (m *Marathon) serveFiles(w http.ResponseWriter, r *http.Request, _ string) error {
	m.executor.Files().ServeHTTP(w, r)
	return nil
}
