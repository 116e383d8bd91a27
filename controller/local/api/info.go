package api

import (
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/pacer-gitops/pacer/controller/local/state"
)

// address is where clients reach this Marathon.
func address(c *call) string { return cmp.Or(c.api.options.Address, c.Host) }

func readLeader(c *call) (*reply, error) { return ok(map[string]string{"leader": address(c)}) }

// readPlugins is /v2/plugins: there are none.
func readPlugins(*call) (*reply, error) { return ok(map[string]any{"plugins": []any{}}) }

func ping(w http.ResponseWriter, r *http.Request) {
	kind, text := "text/plain", "pong"
	switch {
	case r.Header.Get("Accept") == "", accepts(r, kind):
	case accepts(r, "text/html"):
		kind = "text/html"
	case accepts(r, "application/json"):
		kind, text = "application/json", `"pong"`
	default:
		answer(w, r, &reply{status: http.StatusNoContent}, nil)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = io.WriteString(w, text) // a client that has gone needs no answer
}

func readMetrics(c *call) (*reply, error) {
	apps, pods := 0, 0
	for s := range maps.Values(c.Versions.Root.Specs) {
		if s.App != nil {
			apps++
		} else {
			pods++
		}
	}
	var all counts
	for _, is := range c.Instances.All() {
		n := countsOf(is)
		all.Staged += n.Staged
		all.Running += n.Running
	}
	gauge := func(n int) map[string]int { return map[string]int{"value": n} }
	return ok(map[string]any{
		"version": "4.0.0", "start": c.api.started,
		"gauges": map[string]any{
			"marathon.apps.active.gauge": gauge(apps), "marathon.pods.active.gauge": gauge(pods),
			"marathon.groups.active.gauge": gauge(len(c.Versions.Root.Groups)), "marathon.deployments.active.gauge": gauge(len(c.Deployments.Active())),
			"marathon.instances.staged.gauge": gauge(all.Staged), "marathon.instances.running.gauge": gauge(all.Running),
		},
		"counters": map[string]any{}, "histograms": map[string]any{}, "meters": map[string]any{}, "timers": map[string]any{},
	})
}

func readInfo(c *call) (*reply, error) {
	o := c.api.options.Cluster
	enforce := "Off"
	if o.NewGroupEnforceRole {
		enforce = "Top"
	}
	var network any
	if o.DefaultNetworkName != "" {
		network = o.DefaultNetworkName
	}
	features := append([]string{}, o.Features...)
	info := defaultInfo(c.Host)
	maps.Copy(info["marathon_config"].(map[string]any), map[string]any{
		"default_network_name": network, "features": features, "hostname": c.Agent.Hostname, "local_port_max": o.LocalPortMax,
		"local_port_min": o.LocalPortMin, "mesos_bridge_name": o.BridgeName, "mesos_role": o.MesosRole, "new_group_enforce_role": enforce,
	})
	maps.Copy(info, map[string]any{
		"version": o.Version, "leader": address(c), "frameworkId": strings.TrimSuffix(c.Agent.ID, "-S0") + "-0000",
	})
	return ok(info)
}

// defaultInfo is what /v2/info says whatever the options are: the defaults of
// Marathon's flags.
func defaultInfo(host string) map[string]any {
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
			"zk_max_node_size": 1024000, "zk_max_versions": state.KeptVersions, "zk_session_timeout": 10000, "zk_timeout": 10000,
		},
		"http_config": map[string]any{"http_port": port, "https_port": 8443},
	}
}
