package manifests

import (
	"encoding/json"
	"fmt"
	"testing"
)

// realisticApps are n apps as they are found live: Docker on a bridge, on the
// host, with checks, labels, environment and constraints.
func realisticApps(tb testing.TB, n int) (live, desired []App) {
	const written = `{"id": "/shop/team-%d/service-%d", "cpus": 0.5, "mem": 512, "instances": 3,
		"container": {"type": "DOCKER", "docker": {"image": "registry.example.com/shop/service:1.%d"},
			"portMappings": [{"containerPort": 8080, "name": "http", "labels": {"VIP_0": "/service-%[2]d:80"}}, {"containerPort": 9090, "name": "metrics"}],
			"volumes": [{"containerPath": "/etc/service", "hostPath": "/etc/service", "mode": "RO"}]},
		"networks": [{"mode": "container/bridge"}],
		"env": {"STAGE": "prod", "LOG_LEVEL": "info", "DATABASE": "db.example.com", "WORKERS": "8", "REGION": "eu"},
		"labels": {"team": "shop", "tier": "1", "HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": "service.example.com"},
		"healthChecks": [{"protocol": "MESOS_HTTP", "path": "/health", "portIndex": 0}],
		"constraints": [["hostname", "UNIQUE"], ["rack", "GROUP_BY", "3"]],
		"fetch": [{"uri": "https://repo.example.com/docker.tar.gz"}],
		"upgradeStrategy": {"minimumHealthCapacity": 0.8, "maximumOverCapacity": 0.2}}`
	c := DefaultCluster()
	for i := range n {
		body := fmt.Sprintf(written, i%40, i, i%10)
		var app, shown App
		if err := json.Unmarshal([]byte(body), &app); err != nil {
			tb.Fatal(err)
		}
		normal := NormaliseApp(&app, nil, &c)
		for m := range normal.Container.PortMappings {
			normal.Container.PortMappings[m].ServicePort = new(10000 + (2*i+m)%10000)
		}
		b, err := json.Marshal(normal)
		if err != nil {
			tb.Fatal(err)
		}
		if err := json.Unmarshal(b, &shown); err != nil {
			tb.Fatal(err)
		}
		live, desired = append(live, shown), append(desired, app)
	}
	return live, desired
}

// BenchmarkNormaliseAndCompare is what a pass over a synced Marathon of 10,000
// apps costs: the goal is 100 ms on one core and 64 MB.
func BenchmarkNormaliseAndCompare(b *testing.B) {
	live, desired := realisticApps(b, 10_000)
	c := DefaultCluster()
	b.ReportAllocs()
	for b.Loop() {
		for i := range live {
			l := NormaliseApp(&live[i], nil, &c)
			if got := CompareApps(l, NormaliseApp(&desired[i], l, &c)); got.Effect != EffectNone {
				b.Fatalf("%s: %+v", got.Effect, got.Fields)
			}
		}
	}
}

// BenchmarkCompareEqual is the comparison alone.
func BenchmarkCompareEqual(b *testing.B) {
	live, desired := realisticApps(b, 1)
	c := DefaultCluster()
	l := NormaliseApp(&live[0], nil, &c)
	d := NormaliseApp(&desired[0], l, &c)
	b.ReportAllocs()
	for b.Loop() {
		if CompareApps(l, d).Effect != EffectNone {
			b.Fatal("differ")
		}
	}
}

func BenchmarkDecodeAndValidate(b *testing.B) {
	live, _ := realisticApps(b, 1)
	text, err := json.Marshal(live[0])
	if err != nil {
		b.Fatal(err)
	}
	tree := parseTree(b, text)
	c := DefaultCluster()
	b.ReportAllocs()
	for b.Loop() {
		app, _ := DecodeApp(tree)
		ValidateApp(app, &c)
	}
}

// TestComparingEqualAppsAllocatesNothing: a pass compares all apps and almost
// all are equal.
func TestComparingEqualAppsAllocatesNothing(t *testing.T) {
	live, desired := realisticApps(t, 1)
	c := DefaultCluster()
	l := NormaliseApp(&live[0], nil, &c)
	d := NormaliseApp(&desired[0], l, &c)
	if n := testing.AllocsPerRun(100, func() { CompareApps(l, d) }); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// BenchmarkExport is what an export of 1,000 apps costs, less the reading and
// the writing.
func BenchmarkExport(b *testing.B) {
	apps, _ := realisticApps(b, 1_000)
	live := make([]Item, len(apps))
	for i := range apps {
		live[i] = Item{ID: apps[i].ID, Kind: KindApp, App: &apps[i]}
	}
	b.ReportAllocs()
	for b.Loop() {
		if files, err := Export(live, ExportOptions{Cluster: DefaultCluster()}); err != nil || len(files) != len(live) {
			b.Fatalf("%d files: %v", len(files), err)
		}
	}
}
